"""The statements whose cost must not grow use the indexes that are meant for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

import stogram_sdk as sdk
from stogram_sdk.database import current_database, session
from stogram_sdk.paging import write_cursor
from stogram_sdk.schema.migration import schema_of
from tests.support.factories import make_chat, make_message, make_user
from tests.support.postgres import PostgresServer

#: Whole databases, made and filled.
pytestmark = pytest.mark.slow

MESSAGES, CHATS, USERS = 4_000, 60, 400
_USER, _CHAT = "user-1", "chat-1"

_FILL = f"""
INSERT INTO "User" (id, email, username, password, "updatedAt")
    SELECT 'user-' || n, n || '@example.com', 'User_' || n, '-', '2024-01-01'
    FROM numbers WHERE n < {USERS};
INSERT INTO "Chat" (id, type, "updatedAt")
    SELECT 'chat-' || n, 'GROUP', '2024-01-01' FROM numbers WHERE n < {CHATS};
INSERT INTO "ChatMember" (id, "userId", "chatId", "joinedAt")
    SELECT c.n || '/' || u.n, 'user-' || u.n, 'chat-' || c.n,
        CAST('2024-01-01 00:00:00.000' AS :time)
    FROM numbers AS c JOIN numbers AS u ON u.n < 2 OR c.n = 1 OR (u.n + c.n) % 40 = 0
    WHERE c.n < {CHATS} AND u.n < {USERS};
INSERT INTO "ChatSettings" (id, "userId", "chatId", "createdAt", "updatedAt", "unreadCount")
    SELECT id, "userId", "chatId", '2024-01-01 00:00:00.000', '2024-01-01', 1 FROM "ChatMember";
INSERT INTO "Message"
    (id, content, "senderId", "chatId", "isSent", "createdAt", "updatedAt", "replyToId", "fileUrl",
        "scheduledFor", hashtags, mentions)
    SELECT 'message-' || n, 'text', 'user-' || (n % 2),
        'chat-' || CASE n % 4 WHEN 0 THEN n % {CHATS} ELSE 1 END, n % 100 <> 3,
        CAST('2024-02-01 00:00:00.' || (100 + n % 900) AS :time), '2024-01-01',
        CASE WHEN n >= 100 THEN 'message-' || (n % 100) END, CASE n % 50 WHEN 1 THEN '/' END,
        CASE WHEN n % 100 = 3 THEN CAST('2030-01-01 00:00:00.000' AS :time)
            WHEN n % 10 = 7 THEN CAST('2023-01-01 00:00:00.000' AS :time) END, :tag, :mention
    FROM numbers WHERE n < {MESSAGES};
INSERT INTO "Reaction" (id, "messageId", "userId", emoji, "createdAt")
    SELECT 'reaction-' || n, 'message-' || (n / 4), 'user-' || (n % {USERS}), '+',
        CAST('2024-02-01 00:00:00.' || (100 + n % 900) AS :time)
    FROM numbers WHERE n < {MESSAGES};
INSERT INTO "Call" (id, "chatId", "initiatorId", type, status, "startedAt")
    SELECT 'call-' || n, 'chat-' || CASE n % 4 WHEN 0 THEN n % {CHATS} ELSE 1 END,
        'user-' || (n % 2), 'AUDIO', 'ENDED',
        CAST('2024-02-01 00:00:00.' || (100 + n % 900) AS :time)
    FROM numbers WHERE n < {MESSAGES};
"""

_NUMBERS = f"""
CREATE TABLE numbers AS WITH RECURSIVE counted(n) AS
    (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n < {MESSAGES}) SELECT n FROM counted
"""


def _prepare(url: str, tag: str, mention: str, time: str) -> None:
    sdk.connect(url)
    sdk.migrate()
    script = _FILL.replace(":tag", tag).replace(":mention", mention).replace(":time", time)
    with session(), current_database().atomic():
        for sql in [_NUMBERS, *script.strip().rstrip(";").split(";"), "DROP TABLE numbers"]:
            current_database().execute_sql(
                sql.replace("%", "%%") if time == "TIMESTAMP" else sql, None
            )
        current_database().execute_sql("ANALYZE")


@pytest.fixture(scope="module")
def filled_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as name:
        url = postgres_server.url_of(name)
        _prepare(url, "ARRAY['tag' || n % 5]", "ARRAY['user_' || n % 5]", "TIMESTAMP")
        sdk.close()
        yield url


@pytest.fixture(scope="module")
def filled_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    url = f"sqlite:///{tmp_path_factory.mktemp('plans')}/stogram.db"
    _prepare(url, "json_array('tag' || n % 5)", "json_array('user_' || n % 5)", "TEXT")
    sdk.close()
    yield url


_NEWER = write_cursor("messages", (True, datetime(2024, 2, 1, tzinfo=UTC), "m"))
_OLD = sdk.ImportedMessage("old", _USER, datetime(2024, 2, 1, tzinfo=UTC), "text")
_STATEMENTS = "SELECT", "WITH", "INSERT", "UPDATE", "EXECUTE"


def _sent_by(call: Callable[[], object]) -> list[tuple[str, Any]]:
    """Statements and parameters; locks that are sent together with one are apart from it."""
    db = current_database()
    sent: list[tuple[str, Any]] = []
    execute = db.carry_out

    def noting(sql: str, params: Any = None, *rest: Any, **options: Any) -> Any:
        if sql.rpartition("; ")[2].startswith(_STATEMENTS):
            sent.append((sql, list(params or ())))
        return execute(sql, params, *rest, **options)

    db.carry_out = noting
    try:
        call()
    finally:
        del db.carry_out
    return sent


def _plan(sql: str, params: list[Any]) -> str:
    """The plan of the last of the statements that were sent together."""
    db = current_database()
    if db.dialect.name == "sqlite":
        return "\n".join(
            row[3] for row in db.execute_sql(f"EXPLAIN QUERY PLAN {sql}", params).fetchall()
        )
    with db.atomic() as transaction:
        db.execute_sql("SET LOCAL enable_seqscan = off")
        db.execute_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        *before, last = sql.split("; ")
        used = sum(text.count("%s") for text in before)
        rows = db.execute_sql(f"EXPLAIN {last}", params[used:]).fetchall()
        transaction.rollback()
    return "\n".join(row[0] for row in rows)


def _try_to_import(chat: str) -> None:
    """By somebody who may not, so that nothing is written."""
    with suppress(sdk.NotAllowed):
        sdk.import_messages(_USER, chat, [_OLD])


def _forward_for_a_moment(chat: str) -> None:
    with current_database().atomic() as transaction:
        sdk.forward_messages(_USER, chat, ["message-1", "message-2"], chat)
        transaction.rollback()


def _calls() -> dict[str, tuple[Callable[[], object], set[str], set[str]]]:
    """For each: the call, and the indexes that it uses on PostgreSQL and on SQLite."""
    s = sdk
    newest = "Message_visible_idx"
    # By the tag first, also where it comes with another collation than the index has.
    by_tag = {"MessageTag_1 (tag=?"}
    hashtags = {"Index Cond: ((tag = $"}, by_tag
    mentions = hashtags
    own_mentions = hashtags
    # The settings of each chat are looked up: comparing all with all takes long in many chats.
    settings = {'."userId") AND ("chatId" = t'}
    return {
        "find_by_hashtag": (lambda: s.find_by_hashtag(_USER, "tag1"), *hashtags),
        "find_by_hashtag, a chat": (
            lambda: s.find_by_hashtag(_USER, "tag1", chat_id=_CHAT),
            *hashtags,
        ),
        "find_by_mention": (lambda: s.find_by_mention(_USER), *own_mentions),
        "find_by_mention, another": (lambda: s.find_by_mention(_USER, "User_2"), *mentions),
        "search_messages": (lambda: s.search_messages(_USER, "absent"), {newest}, {newest}),
        "list_chats": (lambda: s.list_chats(_USER), {newest, *settings}, {newest}),
        "list_chats, unread": (
            lambda: s.list_chats(_USER, unread_only=True),
            {newest, *settings},
            {newest},
        ),
        "list_folders": (
            lambda: s.list_folders(_USER),
            {newest, *settings},
            {"ChatMember_userId_chatId_key"},
        ),
        "get_chat": (lambda: s.get_chat(_USER, _CHAT), {newest}, {newest}),
        "get_message": (
            lambda: s.get_message(_USER, _CHAT, "message-1"),
            {"Message_pkey"},
            {"sqlite_autoindex_Message_1"},
        ),
        "list_messages, newer": (
            lambda: s.list_messages(_USER, _CHAT, cursor=_NEWER),
            {newest},
            {newest},
        ),
        "list_messages, around": (
            lambda: s.list_messages(_USER, _CHAT, around="message-1"),
            {newest, "Message_pkey"},
            {newest},
        ),
        "import_messages": (
            lambda: _try_to_import(_CHAT),
            {newest, "Message_deleted_idx"},
            {newest, "Message_deleted_idx"},
        ),
        "forward_messages": (
            lambda: _forward_for_a_moment(_CHAT),
            {"Message_pkey"},
            {"sqlite_autoindex_Message_1 (id=?)"},
        ),
        "list_replies": (
            lambda: s.list_replies(_USER, _CHAT, "message-1"),
            {"Message_replies_idx"},
            {"Message_replies_idx"},
        ),
        "list_media": (
            lambda: s.list_media(_USER, _CHAT),
            {"Message_media_idx"},
            {"Message_media_idx"},
        ),
        "list_media, of a type": (
            lambda: s.list_media(_USER, _CHAT, type=s.MessageType.TEXT),
            {"Message_media_idx"},
            {"Message_media_idx"},
        ),
        "list_messages": (lambda: s.list_messages(_USER, _CHAT), {newest}, {newest}),
        "mark_read": (lambda: s.mark_read(_USER, _CHAT), {newest}, {newest}),
        "recount_unread": (lambda: s.recount_unread(_USER, _CHAT), {newest}, {newest}),
        "send_message": (
            lambda: s.send_message(_USER, _CHAT, "text"),
            {newest},
            {newest},
        ),
        "post_system_message": (
            lambda: s.post_system_message(_CHAT, "text"),
            {newest, "ChatMember_keepers_idx"},
            {newest, "ChatMember_keepers_idx"},
        ),
        "list_scheduled": (
            lambda: s.list_scheduled(_USER),
            {"Message_scheduled_idx"},
            {"Message_scheduled_idx"},
        ),
        "list_scheduled, a chat": (
            lambda: s.list_scheduled(_USER, _CHAT),
            {"Message_scheduled_idx"},
            {"Message_scheduled_idx"},
        ),
        "publish_scheduled": (
            lambda: s.publish_scheduled(now=datetime(2024, 1, 1, tzinfo=UTC)),
            {"Message_due_idx"},
            {"Message_due_idx"},
        ),
        "list_calls": (
            lambda: s.list_calls(_USER),
            {"Call_chatId_startedAt_id_idx"},
            {"Call_chatId_startedAt_id_idx"},
        ),
        "list_calls, a chat": (
            lambda: s.list_calls(_USER, chat_id=_CHAT),
            {"Call_chatId_startedAt_id_idx"},
            {"Call_chatId_startedAt_id_idx"},
        ),
        "start_call": (
            lambda: s.start_call(_USER, _CHAT, s.CallType.AUDIO),
            {"Call_live_idx"},
            {"Call_live_idx"},
        ),
        "list_members": (
            lambda: s.list_members(_USER, _CHAT),
            {"ChatMember_chatId_joinedAt_id_idx"},
            {"ChatMember_chatId_joinedAt_id_idx"},
        ),
        "find_user": (
            lambda: s.find_user("USER_7"),
            {"User_username_lower_idx"},
            {"User_username_lower_idx"},
        ),
        "search_users": (
            lambda: s.search_users(_USER, "user_7"),
            {f"User_{word}_idx" for word in ("username_word1", "displayName_word3")},
            {
                "kept USING PRIMARY KEY ((word,userId)>(?,?) AND word<?)",
                "earlier USING COVERING INDEX UserWord_userId_idx",
            },
        ),
        "verify_email": (
            lambda: s.verify_email("token"),
            {"User_verificationToken_idx"},
            {"SEARCH User USING INDEX User_verificationToken"},
        ),
        "find_user_by_email": (
            lambda: s.find_user_by_email("7@EXAMPLE.com"),
            {"User_email_lower_idx"},
            {"User_email_lower_idx"},
        ),
        "users_to_notify": (lambda: s.users_to_notify(_CHAT, "message-1"), {"Message_pkey"}, set()),
        "users_to_notify_each": (
            lambda: s.users_to_notify_each([(_CHAT, "message-1"), (_CHAT, "message-2")]),
            {"Message_pkey"},
            {"sqlite_autoindex_Message_1"},
        ),
        "unread_totals": (
            lambda: s.unread_totals(_USER),
            {newest, "Index Cond: ((tag = ", *settings},
            by_tag,
        ),
        "add_reaction": (
            lambda: s.add_reaction(_USER, _CHAT, "message-1", "👍"),
            {"Message_pkey"},
            {"sqlite_autoindex_Message_1"},
        ),
        "list_reactions": (
            lambda: s.list_reactions(_USER, _CHAT, ["message-1", "message-2"]),
            {"Reaction_messageId", "Message_pkey"},
            {"Reaction_messageId"},
        ),
        "list_message_reactions": (
            lambda: s.list_message_reactions(_USER, _CHAT, "message-1"),
            {"Reaction_messageId"},
            {"Reaction_messageId"},
        ),
    }


NAMES = list(_calls())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("engine", ["sqlite", "postgres", "postgres, prepared"])
def test_plan(request: pytest.FixtureRequest, engine: str, name: str) -> None:
    database, _, prepared = engine.partition(", ")
    url = request.getfixturevalue(f"filled_{database}")
    sdk.connect(url, prepare=None if database == "sqlite" else bool(prepared))
    call, *expected = _calls()[name]
    with session():
        plans = [_plan(*sent) for sent in _sent_by(call)]
    assert plans
    sdk.close()
    # PostgreSQL 15 calls an InitPlan $1.
    text = re.sub(r"\(InitPlan \d+\)\.col1", "$n", "\n".join(plans))
    if prepared:  # A plan for any value names none.
        expected = [{index.partition("'")[0] for index in indexes} for indexes in expected]
    missing = {index for index in expected[engine == "sqlite"] if index not in text}
    assert not missing, text
    # Whole tables are read by nobody; for some plans of PostgreSQL a Chat is cheap enough.
    assert not re.search(
        r'Seq Scan on "(Message|MessageTag|Call|ChatMember|ChatSettings|User)"', text
    ), text
    # Nor are all messages of a chat, but for a search; PostgreSQL takes them for some hundred.
    assert name == "search_messages" or "Message_chatId_idx" not in text, text
    # SQLite reads a whole table to make one of it; one of a list is made while that is.
    assert "BLOOM FILTER ON" not in text, text
    assert not re.search(
        r"SCAN (Message|MessageTag|Call|ChatMember|ChatSettings|User|t\d+)\b", text
    ), text


def test_an_import_looks_up_each_time_by_itself(filled_postgres: str) -> None:
    """A join would read the messages of the chat anew for each time that is taken."""
    sdk.connect(filled_postgres)
    with session():
        plans = [_plan(*sent) for sent in _sent_by(_calls()["import_messages"][0])]
    sdk.close()
    (looked_up,) = [plan for plan in plans if "unnest given" in plan]
    assert "Join" not in looked_up


@pytest.mark.parametrize("prepare", [True, False])
def test_a_chat_is_looked_at_by_itself_where_another_has_nearly_all_messages(
    postgres_server: PostgresServer, prepare: bool
) -> None:
    """Its messages, not all of them in the order of their time."""
    with postgres_server.database() as name:
        sdk.connect(postgres_server.url_of(name), prepare=prepare)
        sdk.migrate()
        ann, ben = make_user("ann"), make_user("ben")
        crowded, *chats = [make_chat(ann, ben) for _ in range(4)]
        for chat in chats:
            make_message(ann, chat)
        with session(statement_timeout=60):
            current_database().execute_sql(_CROWD, (ann.id, crowded.id))
            current_database().execute_sql("ANALYZE")
            sdk.remove_member(ann.id, crowded.id, ben.id)
            for call in (sdk.list_chats, sdk.unread_totals):
                text = "\n".join(_plan(*sent) for sent in _sent_by(lambda: call(ben.id)))  # noqa: B023
                assert "Message_createdAt_idx" not in text, text
        sdk.close()


_CROWD = """
INSERT INTO "Message" (id, "senderId", "chatId", "isSent", "createdAt", "updatedAt")
    SELECT 'crowd-' || n, %s, %s, true, timestamp '2026-01-01' + n * interval '1 s', '2026-01-01'
    FROM generate_series(1, 100000) AS n
"""


_REACTIONS = """
INSERT INTO "Reaction" (id, "userId", "messageId", emoji)
    WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 5000)
    SELECT 'reaction-' || n, {0}, {0}, n FROM counted
"""


def test_a_message_without_reactions_is_looked_up_beside_one_that_has_them_all(engine: str) -> None:
    """All rows are of one message: so any row is taken for one of whichever is asked for."""
    ann = make_user()
    chat = make_chat(ann)
    popular = make_message(ann, chat)
    plain = make_message(ann, chat)
    with session():
        database = current_database()
        database.execute_sql(_REACTIONS.format(database.param), (ann.id, popular.id))
        database.execute_sql("ANALYZE")
        [(sql, params)] = _sent_by(lambda: sdk.get_message(ann.id, chat.id, plain.id))
        how = "EXPLAIN QUERY PLAN" if engine == "sqlite" else "EXPLAIN (ANALYZE)"
        plan = "\n".join(str(row[-1]) for row in database.execute_sql(f"{how} {sql}", params))
    assert not re.search(r"SCAN t\d+$|Rows Removed by Filter: \d{3}", plan, re.MULTILINE), plan


def test_a_sample_of_the_tags_is_compared_by_the_id(filled_postgres: str) -> None:
    """By the time it would read all the messages of an import, for each tag of them."""
    sdk.connect(filled_postgres)
    with session():
        database = current_database()
        sent = _sent_by(lambda: schema_of(database, "public").catalog(database))
        (sample,) = [each for each in sent if "TABLESAMPLE" in each[0]]
        plan = _plan(*sample)
    assert "Message_pkey" in plan and "Message_createdAt_idx" not in plan
