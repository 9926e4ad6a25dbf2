"""The example in the docstring of every public function runs, on both engines."""

from __future__ import annotations

import doctest
import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import stogram_sdk as sdk
from tests.support.factories import make_chat, make_user

FUNCTIONS = [name for name in sdk.__all__ if inspect.isfunction(getattr(sdk, name))]


@pytest.fixture
def names(engine: str) -> dict[str, Any]:
    """What the examples do not make themselves: all that is public, and a small cast."""
    anna, boris, maria = (make_user(name.lower(), display_name=name) for name in NAMES)
    chat = make_chat(anna, boris, name="Release team")
    message = sdk.send_message(anna.id, chat.id, "@boris, the #Release is ready")
    cast = {"anna": anna, "boris": boris, "maria": maria, "chat": chat, "message": message}
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    times = {"UTC": UTC, "datetime": datetime, "timedelta": timedelta, "tomorrow": tomorrow}
    return {name: getattr(sdk, name) for name in sdk.__all__} | cast | times


NAMES = ("Anna", "Boris", "Maria")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_function_runs(name: str, names: dict[str, Any]) -> None:
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(sdk, name), name, globs=names)
    lines = sum(example.source.count("\n") for example in test.examples)
    assert 1 <= lines <= 4, "an example of one to four lines"
    said: list[str] = []
    failed, _ = doctest.DocTestRunner(verbose=False).run(test, out=said.append, clear_globs=False)
    assert not failed, "".join(said)
