"""Statements are built once for each database, and read their rows into models."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from sys import getsizeof
from typing import Any

import peewee
import pytest
from peewee import SQL, fn

import stogram_sdk as sdk
from stogram_sdk.fields import time_from_database
from stogram_sdk.models import SECRETS
from stogram_sdk.parts import Converted, Related, Row, Same, reader_of
from stogram_sdk.statements import P, after_locking, dialect, statement
from tests.support.factories import make_chat, make_message, make_user, sent_statements


@statement
def _named(upper: bool = False) -> Any:
    name = peewee.fn.UPPER(sdk.User.username) if upper else sdk.User.username
    return sdk.User.select(sdk.User.id, name).where(sdk.User.username == P.username)


def test_a_statement_is_built_once_for_each_database(tmp_path: Path, engine: str) -> None:
    builds: list[str] = []

    @statement
    def one() -> Any:
        builds.append(dialect().name)
        return sdk.User.select(sdk.User.id).where(sdk.User.id == P.user_id)

    with sdk.session():
        for _ in range(3):
            assert one.first(user_id="nobody") is None
    assert builds == [engine]
    text = one.sql()
    sdk.connect(f"sqlite:///{tmp_path}/other.db")
    sdk.migrate()
    with sdk.session():
        assert one.all(user_id="nobody") == []
    assert builds == [engine, "sqlite"]
    assert (one.sql() == text) == (engine == "sqlite")


def test_a_variant_is_one_object_with_its_own_text(engine: str) -> None:
    assert _named.variant(upper=True) is _named.variant(upper=True)
    assert _named.variant(upper=True).sql() != _named.variant(upper=False).sql() == _named.sql()
    make_user("ivan")
    with sdk.session():
        assert _named.first(username="ivan").username == "ivan"
        assert _named.variant(upper=True).first(username="ivan")[1] == "IVAN"


def test_values_are_parameters_and_a_missing_one_is_an_error(engine: str) -> None:
    hostile = '\'; DROP TABLE "User"; --'
    with sdk.session(), sent_statements() as sent:
        assert _named.first(username=hostile) is None
        assert hostile not in sent[0]
        with pytest.raises(KeyError):
            _named.first()


@statement
def _messages() -> Any:
    return (
        sdk.Message.select(
            *sdk.Message._meta.sorted_fields,
            *sdk.User._meta.sorted_fields,
            peewee.fn.LENGTH(sdk.Message.content),
            sdk.Chat.id,
            sdk.Chat.type,
            sdk.Chat.is_secret,
        )
        .join(sdk.User, peewee.JOIN.LEFT_OUTER, on=(sdk.User.id == P.user_id))
        .join_from(sdk.Message, sdk.Chat)
        .order_by(sdk.Message.created_at)
    )


def test_rows_are_read_as_models_values_and_none(engine: str) -> None:
    ivan = make_user("ivan")
    chat = make_chat(ivan)
    sent = make_message(ivan, chat, "#tag @ivan")
    with sdk.session():
        (row,) = _messages.all(user_id=ivan.id)
        ((_, nobody, *_),) = _messages.all(user_id="nobody")
    assert nobody is None
    message, user, length, part = row
    assert message.__data__ == sdk.Message.get_by_id(sent.id).__data__
    whole = sdk.User.get_by_id(ivan.id)
    assert user.__data__ == {
        field.name: getattr(whole, field.name)
        for field in sdk.User._meta.sorted_fields
        if field not in SECRETS
    }
    assert (user.password, user.verification_token) == ("not the hash of a password", None)
    assert length == 10
    assert (part.id, part.type, part.is_secret) == (chat.id, chat.type, False)
    assert (message.hashtags, message.mentions) == (["tag"], ["ivan"])
    assert not message.dirty_fields


@statement
def _with_relations() -> Any:
    chat, user, answered = (model.alias() for model in (sdk.Chat, sdk.User, sdk.Message))
    its_chat = Related(chat.select(chat.id, chat.name).where(chat.id == sdk.Message.chat))
    reply = answered.select(Row([answered.id, answered.content], chat=Same(its_chat)))
    message = Row(
        [sdk.Message.id, sdk.Message.content],
        sender=Row([user.id, user.username]),
        chat=its_chat,
        reply_to=Related(reply.where(answered.id == sdk.Message.reply_to)),
        reactions=Converted(fn.LENGTH(sdk.Message.content), lambda length: [length]),
    )
    return (
        sdk.Chat.select(SQL("1"), message, SQL("2"))
        .join(sdk.Message, peewee.JOIN.LEFT_OUTER)
        .join(user, peewee.JOIN.LEFT_OUTER, on=(user.id == sdk.Message.sender))
        .order_by(sdk.Message.created_at)
    )


def test_a_row_has_its_relations(engine: str) -> None:
    ivan = make_user("ivan")
    chat = make_chat(ivan, name="Team")
    first = make_message(ivan, chat, "Hello")
    make_message(ivan, chat, "Hi!", reply_to_id=first.id)
    with sdk.session(), sent_statements() as sent:
        rows = _with_relations.all()
        assert [(before, after) for before, _, after in rows] == [(1, 2), (1, 2)]
        (_, hello, _), (_, answer, _) = rows
        assert (hello.reply_to, hello.sender.username, hello.chat.name) == (None, "ivan", "Team")
        assert (answer.reply_to.content, answer.reactions) == ("Hello", [3])
        # What is the same row of the database is one instance.
        assert answer.sender is hello.sender
        assert answer.reply_to.chat is answer.chat is hello.chat
    assert len(sent) == 1


def test_what_has_relations_is_not_shared() -> None:
    """Where chats are on several servers, an id may be that of a message in each of two chats."""
    chat = Row([sdk.Chat.id])
    reply = sdk.Message.alias()
    message = Row(
        [sdk.Message.id, sdk.Message.content],
        chat=chat,
        reply_to=Related(reply.select(Row([reply.id], chat=Same(chat)))),
    )
    read = reader_of([message], frozenset({"TEXT"}))()
    first, second, third = map(
        read,
        [("m", "A", "a", None), ("m", "B", "b", '["m"]'), ("n", "C", "b", '["m"]')],
    )
    assert [row.content for row in (first, second, third)] == ["A", "B", "C"]
    assert first.chat.id == "a" and first.reply_to is None
    assert second.chat is third.chat is second.reply_to.chat is third.reply_to.chat
    assert second.reply_to is third.reply_to


def test_what_was_read_inside_is_not_the_same_outside() -> None:
    inside = Row([sdk.Chat.id])
    related = Related(sdk.Chat.select(inside))
    message = Row([sdk.Message.id], sender=related, chat=Same(inside))
    with pytest.raises(KeyError):
        reader_of([message], frozenset({"TEXT"}))


def test_columns_are_those_of_their_row() -> None:
    """What one row is given does not show in another."""
    message = sdk.Message
    row = [message.id, message.created_at, message.updated_at, message.hashtags]
    read = reader_of([Row(row)], frozenset({"TEXT", "TEXT[]"}))()
    never, late = "2026-01-01 00:00:00", "2026-01-02 00:00:00.5"
    unchanged, edited, empty = map(
        read,
        [("a", never, never, None), ("b", never, late, ["tag"]), ("c", None, None, None)],
    )
    assert unchanged.updated_at is unchanged.created_at
    assert unchanged.created_at == edited.created_at
    assert edited.updated_at == datetime(2026, 1, 2, 0, 0, 0, 500_000, UTC)
    assert (empty.created_at, empty.updated_at, empty.hashtags) == (None, None, [])
    edited.content = "new"
    with pytest.raises(sdk.NotLoaded):
        assert unchanged.content
    unchanged.hashtags.append("other")
    assert (edited.hashtags, empty.hashtags) == (["tag"], [])


@pytest.mark.parametrize("model", sdk.MODELS, ids=lambda model: model.__name__)
def test_the_names_of_columns_are_kept_once(model: Any) -> None:
    fields = model._meta.sorted_fields
    read = reader_of([Row(fields)], frozenset())()
    rows = [read((str(number), *[None] * (len(fields) - 1))) for number in range(40)]
    held = rows[-1].__data__
    assert getsizeof(held) < 0.7 * getsizeof(dict(**held))


def test_a_row_that_is_not_there_is_none(engine: str) -> None:
    make_chat(make_user(), name="Empty")
    with sdk.session():
        assert _with_relations.all() == [(1, None, 2)]


def test_a_lock_is_sent_with_its_query_where_rows_are_locked(engine: str) -> None:
    @statement
    def locked() -> Any:
        mine = sdk.User.select(sdk.User.id).where(sdk.User.id == P.user_id)
        return after_locking(mine, dialect().lock(mine))

    ivan = make_user()
    with sdk.transaction(), sent_statements() as sent:
        assert locked.first(user_id=ivan.id) == ivan
    assert len(sent) == 1
    assert ("FOR NO KEY UPDATE; SELECT" in locked.sql()) == (engine == "postgresql")


def writes() -> Any:
    """What changes when this transaction writes, or locks a row."""
    if dialect().name == "sqlite":
        return sdk.db.connection().total_changes
    return sdk.db.execute_sql("SELECT pg_current_xact_id_if_assigned()").fetchone()


#: What may find that there is nothing left to do, by names of what there is.
REPEATED = {
    "add_contact": "ivan olga",
    "add_reaction": "ivan chat message emoji",
    "block_user": "ivan olga",
    "mark_read": "ivan chat",
    "mark_read, a message": "ivan chat message",
    "move_to_folder": "ivan chat folder",
    "move_to_folder, none": "ivan chat nothing",
    "mute_chat": "ivan chat",
    "pin_message": "ivan chat message",
    "set_favorite": "ivan chat",
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_call_with_nothing_left_to_do_asks_once_and_writes_nothing(
    name: str, engine: str
) -> None:
    ivan, olga = make_user(), make_user()
    chat = make_chat(ivan, olga)
    there = {"ivan": ivan.id, "olga": olga.id, "chat": chat.id, "emoji": "+", "nothing": None}
    there["message"] = make_message(olga, chat).id
    there["folder"] = sdk.create_folder(ivan.id, "work").id
    call = partial(getattr(sdk, name.partition(",")[0]), *map(there.get, REPEATED[name].split()))
    first = call()
    with sdk.transaction():
        before = writes()
        with sent_statements() as sent:
            again = call()
        assert writes() == before
    assert len(sent) == 1 + (engine == "sqlite")
    assert again == ((first[0], False) if isinstance(first, tuple) else first)


def test_a_statement_counts_the_rows_it_wrote(engine: str) -> None:
    @statement
    def describe() -> Any:
        return sdk.User.update({sdk.User.bio: P.bio}).where(sdk.User.bio.is_null())

    for _ in range(3):
        make_user()
    with sdk.session():
        assert describe.run(bio="bio") == 3
        assert describe.run(bio="bio") == 0


def test_times_are_texts_in_a_statement_alone(engine: str) -> None:
    """A query of one's own gets what the driver makes of them."""

    @statement
    def latest() -> Any:
        return sdk.User.select(peewee.fn.MAX(sdk.User.created_at))

    ivan = make_user()
    with sdk.session():
        text = latest.first()
        ((own,),) = sdk.db.execute_sql('SELECT "createdAt" FROM "User"').fetchall()
    assert isinstance(text, str)
    assert isinstance(own, str if engine == "sqlite" else datetime)
    for found in (time_from_database(text), time_from_database(own), ivan.created_at):
        assert found == ivan.created_at and found.tzinfo is UTC
