"""Finding people by the beginning of a word."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import stogram_sdk as sdk
from stogram_sdk.command.check import check
from stogram_sdk.database import current_database
from stogram_sdk.text import found_word, words_of
from tests.support.factories import make_user, statements
from tests.support.second_writer import SecondWriter
from tests.support.states import migrate_here


@pytest.fixture
def asker(engine: str) -> sdk.User:
    for username, name in (
        ("anna_p", "Anna Petrova"),
        ("anna", None),
        ("hanna", "Ханна О'Коннор"),
        ("petr", "Пётр Петрович Анин"),
        ("stranger", "Straße ＡＮＮＡ"),
        ("greek", "Σίσυφος"),
        ("arab", "محمد علی‌رضا"),
        ("fourth", "one two three four"),
        ("fifth", "three Ｆｉｖｅ 4 six"),
        ("hyphen", "Анна-Мария (работа)"),
    ):
        make_user(username, display_name=name)
    return make_user("asker", display_name="Anna Asker")


def found(asker: sdk.User, text: str, **options: object) -> list[str]:
    with statements(1):
        return [row.username for row in sdk.search_users(asker.id, text, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text, usernames",
    [
        ("ann", ["anna_p", "anna", "stranger"]),
        ("ANNA", ["anna_p", "anna", "stranger"]),
        ("anna_p", ["anna_p"]),
        ("pet anna", ["anna_p"]),
        ("anna pet", ["anna_p"]),
        ("anna xyz", []),
        ("а", ["petr", "hyphen"]),
        ("анна мар", ["hyphen"]),
        ("ПЁ", ["petr"]),
        ("пе", ["petr"]),
        ("етр", []),
        ("петрович", ["petr"]),
        ("пётр", ["petr"]),
        ("STRASSE", ["stranger"]),
        ("strasse", ["stranger"]),
        ("σίσυφοσ", ["greek"]),
        ("ΣΊΣ", ["greek"]),
        ("محمد", ["arab"]),
        ("رضا", ["arab"]),
        ("коннор", ["hanna"]),
        ("three", ["fourth", "fifth"]),
        ("two three", ["fourth"]),
        ("three two one fourth", ["fourth"]),
        ("stranger ann", ["stranger"]),
        ("strasse anna", ["stranger"]),
        ("مح رضا", ["arab"]),
        ("бот three", []),
        ("three five", ["fifth"]),
        ("three six", []),
        ("four", ["fourth"]),
        ("работа", ["hyphen"]),
        ("nna", []),
        ("100%", []),
    ],
)
def test_words_are_found_by_their_beginning(
    asker: sdk.User, text: str, usernames: list[str]
) -> None:
    assert sorted(found(asker, text)) == sorted(usernames)


@pytest.mark.parametrize("rare", [1, 3, 2_000])
def test_other_words_are_found_however_many_have_them(
    asker: sdk.User, rare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stogram_sdk.user_search._RARE", rare)
    current_database().statements.clear()
    for number in range(6):
        make_user(f"anna{number}", display_name=f"Maria{number % 2} Anna Ｐｅｔ{number // 3}")
    for text, numbers in (
        ("anna maria", "012345"),
        ("anna maria1", "135"),
        ("anna pet1 maria1", "35"),
        ("pet0 maria1 ann", "1"),
        ("anna4 maria pet", "4"),
        ("anna pet2", ""),
    ):
        whole = found(asker, text)
        assert sorted(whole) == [f"anna{number}" for number in numbers], text
        pages = [sdk.search_users(asker.id, text, limit=2)]
        while (cursor := pages[-1].next_cursor) is not None:
            pages.append(sdk.search_users(asker.id, text, limit=2, cursor=cursor))
        assert [row.username for page in pages for row in page] == whole
    current_database().statements.clear()


def test_who_has_just_that_word_comes_first_and_each_once(asker: sdk.User) -> None:
    make_user("annabel_lee", display_name="Anna Annabel Annabella")
    whole = found(asker, "anna")
    assert len(whole) == len(set(whole)) == 4
    assert set(whole[:2]) <= {"anna", "stranger", "anna_p"}
    assert {"annabel_lee"} < set(whole)


def test_pages_make_up_the_whole(asker: sdk.User) -> None:
    for number in range(7):
        make_user(f"anna{number % 3}_{number}", display_name="Anna Anna Petrova")
    whole = sdk.search_users(asker.id, "an")
    for size in range(1, len(whole) + 1):
        pages = [sdk.search_users(asker.id, "an", limit=size)]
        while (cursor := pages[-1].next_cursor) is not None:
            pages.append(sdk.search_users(asker.id, "an", limit=size, cursor=cursor))
        assert [row for page in pages for row in page] == whole


def test_who_has_blocked_the_one_who_asks_is_not_found(asker: sdk.User) -> None:
    anna = sdk.find_user("anna")
    assert anna is not None
    sdk.block_user(anna.id, asker.id)
    assert "anna" not in found(asker, "anna")
    assert "anna" in [row.username for row in sdk.search_users(make_user().id, "anna")]
    sdk.unblock_user(anna.id, asker.id)
    sdk.block_user(asker.id, anna.id)
    assert "anna" in found(asker, "anna"), "whom one has blocked oneself one can find, to unblock"


def test_names_that_change_are_found_by_the_new_one(asker: sdk.User) -> None:
    sdk.update_profile(asker.id, display_name="Zoë")
    viewer = make_user()
    assert [row.id for row in sdk.search_users(viewer.id, "zoë")] == [asker.id]
    assert [row.id for row in sdk.search_users(viewer.id, "zoe\u0308")] == [asker.id]
    assert "asker" not in found(viewer, "anna")


@pytest.mark.usefixtures("on_postgres")
@pytest.mark.parametrize("name", ["Anna  Petrova-Ли", "x" * 300 + " y", "Ǆ ﬃ ß", "_a b", "«a» b…c"])
def test_the_database_parts_words_as_python_does(name: str) -> None:
    call = "SELECT " + ", ".join(f"stogram_word(%s, {number})" for number in range(1, 5))
    with sdk.session():
        (row,) = sdk.db.execute_sql(call, [name] * 4).fetchall()
    assert [word for word in row if word] == words_of(name)[:4]
    for word in words_of(name)[:3]:
        assert found_word("x_y", name, word) == word


def test_names_that_the_server_has_made_are_found(engine: str) -> None:
    viewer, server = make_user(), SecondWriter()
    ids = [server.register("Пётр-Первый"), server.register("x", "Пётр Второй")]
    assert sorted(row.id for row in sdk.search_users(viewer.id, "пётр")) == sorted(ids)


# --- The table of words of SQLite ---


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stogram.db"


@pytest.fixture
def viewer(path: Path) -> Iterator[sdk.User]:
    """Somebody who searches, in a migrated file."""
    migrate_here(f"sqlite:///{path}")
    sdk.connect(f"sqlite:///{path}")
    yield make_user("viewer")
    sdk.close()


def by_another_program(path: Path, sql: str) -> None:
    """One that has none of our functions."""
    file = sqlite3.connect(path)
    file.executescript(f"PRAGMA foreign_keys = on; {sql}")
    file.close()


def words_in(path: Path, user: sdk.User) -> list[str]:
    file = sqlite3.connect(path)
    of_user = 'SELECT word FROM "UserWord" WHERE "userId" = ? ORDER BY place'
    words = [word for (word,) in file.execute(of_user, (user.id,))]
    file.close()
    return words


REGISTER = """INSERT INTO "User" (id, email, username, password, "displayName", "updatedAt")
    VALUES ('{0}', '{0}', '{0}', '-', '{1}', '2024-01-01')"""


def test_names_that_another_program_has_written_are_found(viewer: sdk.User, path: Path) -> None:
    for username, name in (("petr", "ПЁТР Первый"), ("other", "Иван Пётр"), ("x", "Anna")):
        by_another_program(path, REGISTER.format(username, name))
    ours = make_user("ours", display_name="Пётр")
    whole = [row.username for row in sdk.search_users(viewer.id, "пётр")]
    assert sorted(whole) == ["other", "ours", "petr"]
    assert [row.username for row in sdk.search_users(viewer.id, "пётр перв")] == ["petr"]
    pages = [sdk.search_users(viewer.id, "пётр", limit=1)]
    while (cursor := pages[-1].next_cursor) is not None:
        pages.append(sdk.search_users(viewer.id, "пётр", limit=1, cursor=cursor))
    assert [row.username for page in pages for row in page] == whole
    by_another_program(path, """UPDATE "User" SET "displayName" = 'Ян' WHERE username = 'ours'""")
    by_another_program(path, """DELETE FROM "User" WHERE username = 'petr'""")
    assert [row.username for row in sdk.search_users(viewer.id, "пётр")] == ["other"]
    assert sdk.search_users(viewer.id, "ян") == sdk.visible_profiles(viewer.id, [ours.id])


def test_words_are_written_once_and_go_with_the_name(viewer: sdk.User, path: Path) -> None:
    anna = make_user("anna", display_name="Анна Анна Петрова Иванова")
    assert words_in(path, anna) == ["anna", "анна", "анна", "петрова"]
    sdk.update_profile(anna.id, display_name="Zoë")
    assert words_in(path, anna) == ["anna", "zoë"]
    sdk.set_status(anna.id, sdk.UserStatus.ONLINE)
    assert words_in(path, anna) == ["anna", "zoë"]
    by_another_program(path, f"""UPDATE "User" SET username = 'ann' WHERE id = '{anna.id}'""")
    assert words_in(path, anna) == [""], "they are noted as unknown"
    sdk.update_profile(anna.id, display_name=None)
    assert words_in(path, anna) == ["ann"]
    sdk.delete_user(anna.id)
    assert words_in(path, anna) == []


@pytest.mark.parametrize(
    "damage",
    [
        'DROP TRIGGER "User_words_updated"',
        'DROP TABLE "UserWord"; DROP TRIGGER "User_words_delete"',
        'DROP INDEX "UserWord_userId_idx"',
    ],
)
def test_words_that_nobody_keeps_are_made_anew(viewer: sdk.User, path: Path, damage: str) -> None:
    sdk.close()
    by_another_program(path, damage)
    url = f"sqlite:///{path}"
    (wrong,) = check(url).wrong
    assert (wrong.name, wrong.remedy) == (
        "words of names",
        "Run `stogram migrate`: it makes them anew",
    )
    migrate_here(url)
    assert check(url).is_right
    assert words_in(path, viewer) == ["viewer"]
