"""A search of long texts takes a time that grows with the texts alone, and lets others run."""

from __future__ import annotations

import random
import re
import threading
import time

import pytest

import stogram_sdk as sdk
from stogram_sdk.any_case import _matches_a_long, _spelled, any_case_pattern, matches
from stogram_sdk.validation import MAX_CONTENT_LENGTH
from tests.support.factories import make_chat, make_message, make_user

#: A text that is sought, and what its text repeats: at each place nearly all of it is found.
NEARLY = {
    "ß": ("ß" * 1_023 + "x", "ß"),
    "Cyrillic": ("а" * 1_023 + "я", "а"),
    "odd": ("s" * 1_023, "ß"),
    "dots": ("i" * 1_023 + "x", "i\u0307"),
    "words": ("на " * 341 + "x", "на "),
}


def long(what: str, end: str = "") -> str:
    repeated = NEARLY[what][1]
    length = MAX_CONTENT_LENGTH - len(end)
    return repeated * (length // len(repeated)) + end


def test_both_ways_find_the_same() -> None:
    letters = "sSſßẞfiıİ\u0307ﬁﬃﬀkKаАиИ\u0306йЙ.|)(?[]\\^-; \u1e9eΩ\u2126eé\u0301"
    chosen = random.Random(1)
    found = 0
    for _ in range(5_000):
        pattern = any_case_pattern("".join(chosen.choices(letters, k=chosen.randint(1, 5))))
        text = "".join(chosen.choices(letters, k=chosen.randint(0, 12)))
        is_there = re.search(pattern, text) is not None
        assert _matches_a_long(text, *_spelled(pattern)) == is_there, (pattern, text)
        found += is_there
    assert found > 100


@pytest.mark.parametrize("what", NEARLY)
def test_the_time_grows_with_the_text_and_not_with_its_square(what: str) -> None:
    pattern = any_case_pattern(NEARLY[what][0])

    def seconds(text: str) -> float:
        taken = []
        for _ in range(5):
            began = time.thread_time()
            assert not matches(pattern, text)
            taken.append(time.thread_time() - began)
        return min(taken)

    # Sixteen times the text takes sixteen times the time; its square would be 256 times.
    # What lies between is for a busy machine.
    assert seconds(long(what)) < 64 * seconds(long(what)[: MAX_CONTENT_LENGTH // 16])
    assert matches(pattern, long(what) + NEARLY[what][0])


@pytest.mark.parametrize("what", NEARLY)
@pytest.mark.usefixtures("engine")
def test_nobody_stands_still_meanwhile(what: str) -> None:
    ann = make_user()
    chat = make_chat(ann)
    for _ in range(4):
        make_message(ann, chat, long(what))
    hit = make_message(ann, chat, long(what, NEARLY[what][0]))
    done, pauses = threading.Event(), [0.0]

    def run() -> None:
        last = time.monotonic()
        while not done.is_set():
            time.sleep(0.001)
            pauses.append(time.monotonic() - last)
            last = time.monotonic()

    thread = threading.Thread(target=run)
    thread.start()
    began = time.process_time()
    try:
        found = sdk.search_messages(ann.id, NEARLY[what][0])
    finally:
        done.set()
        thread.join()
    print(what, f"{time.process_time() - began:.2f} s, {max(pauses) * 1000:.0f} ms")
    assert [message.id for message in found] == [hit.id]
    assert time.process_time() - began < 5
    assert max(pauses) < 2
