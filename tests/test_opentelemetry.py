"""The instrumentation of psycopg2 sees what the SDK sends, and changes nothing of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import stogram_sdk as sdk
from stogram_sdk import aio
from stogram_sdk.database import current_database
from tests.support.factories import make_chat, make_message, make_user


@pytest.fixture
def spans(migrated_postgres: str) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    Psycopg2Instrumentor().instrument(tracer_provider=provider)
    try:
        yield exporter
    finally:
        Psycopg2Instrumentor().uninstrument()


@pytest.fixture
def traced(spans: InMemorySpanExporter, on_postgres: None, direct_url: str) -> InMemorySpanExporter:
    """Connected after the instrumentation was switched on, and so that statements have names."""
    sdk.connect(direct_url)
    return spans


def statements(spans: InMemorySpanExporter) -> list[str]:
    found: tuple[ReadableSpan, ...] = spans.get_finished_spans()
    return [str((span.attributes or {}).get("db.statement")) for span in found]


def test_each_statement_is_a_span_of_whoever_called(traced: InMemorySpanExporter) -> None:
    ivan = make_user("ivan")
    traced.clear()
    tracer = TracerProvider().get_tracer(__name__)

    async def main() -> int:
        with tracer.start_as_current_span("request") as span:
            await asyncio.gather(aio.get_user(ivan.id), aio.get_privacy(ivan.id))
            async with aio.transaction():
                await aio.get_user(ivan.id)
        return span.get_span_context().trace_id

    trace_id = asyncio.run(main())
    sent = statements(traced)
    for name in ("get_user", "get_privacy"):
        assert any(re.search(rf"EXECUTE stogram_read_\d+_{name}\(", each) for each in sent)
    assert "COMMIT" in sent
    of = {span.context.trace_id for span in traced.get_finished_spans() if span.context}
    assert of == {trace_id}
    assert trace.get_current_span().get_span_context().trace_id == 0


def test_transactions_are_still_transactions(traced: InMemorySpanExporter) -> None:
    ivan, olga = make_user("ivan"), make_user("olga")
    chat = make_chat(ivan, olga)
    with sdk.transaction():
        make_message(ivan, chat, "#plan")
        make_message(ivan, chat, "#other")
    with pytest.raises(ZeroDivisionError), sdk.transaction():
        make_message(ivan, chat, "lost")
        _ = 1 / 0
    sdk.leave_chat(olga.id, chat.id)
    assert [row.content for row in sdk.list_messages(ivan.id, chat.id)] == ["#other", "#plan"]
    sent = statements(traced)
    assert sum(statement.startswith("BEGIN") for statement in sent) >= 2
    assert "COMMIT" in sent
    assert "ROLLBACK" in sent


@pytest.mark.parametrize(
    ("sqlstate", "statement"),
    [
        ("23502", 'UPDATE "User" SET username = NULL, bio = %s'),  # in the refused row
        ("42703", """SELECT no_such_column, %s"""),  # in the line of the statement
        ("22P02", "SELECT %s::integer"),  # in the first sentence
        ("42601", "SELECT 1 %s"),  # likewise
    ],
)
def test_a_span_of_a_refused_statement_tells_no_value(
    traced: InMemorySpanExporter, sqlstate: str, statement: str
) -> None:
    ivan, secret = make_user("ivan"), 'a "secret" value'
    traced.clear()
    with pytest.raises(sdk.DatabaseError) as error, sdk.session():
        current_database().execute_sql(statement, (secret,))
    assert error.value.sqlstate == sqlstate
    (span,) = traced.get_finished_spans()
    told = f"{span.status.description} {[dict(event.attributes or {}) for event in span.events]}"
    assert "psycopg2.errors" in told
    assert "secret" not in told
    assert ivan.email not in told
