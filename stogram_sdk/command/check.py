"""Whether the database agrees with the models, and what would stop a pending migration."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any

from stogram_sdk.command.existing import applied_migrations, read_only
from stogram_sdk.command.search_index import parts_of_search_index
from stogram_sdk.engine.database_url import read_database_url
from stogram_sdk.fields import time_to_text, utc_now
from stogram_sdk.ordering import MOST_AHEAD
from stogram_sdk.schema.chat_keys import (
    expect_chat_keys,
    expect_shards,
    has_chat_keys,
    key_made_anew,
    shards_sql,
)
from stogram_sdk.schema.estimates import EstimateMessages
from stogram_sdk.schema.expected import as_later_servers_have_it, expected_catalog
from stogram_sdk.schema.message_tags import FillMessageTags, KeepMessageTags
from stogram_sdk.schema.migration import (
    HISTORY,
    missing_rights,
    rows_in_the_way,
    shipped_migrations,
    unfit_together,
)
from stogram_sdk.schema.obstacles import Obstacle, Schema, wrong_encoding
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.steps import AddForeignKey, AddIndex, AddUnique, Step
from stogram_sdk.schema.unread_since import KeepMoment
from stogram_sdk.schema.user_words import KeepUserWords

#: The steps that `stogram migrate` does again when no migration is pending.
_RENEWED = (str(KeepMessageTags()), str(FillMessageTags()), str(KeepUserWords()))


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `what` says in which way it is wrong, if it is."""

    area: str
    name: str
    what: str = ""
    remedy: str = ""
    #: Whether it stops a pending migration.
    stops_migration: bool = False
    #: The pending migration that puts it right.
    pending: str | None = None


@dataclass
class Report:
    """The findings of `stogram check`."""

    engine: str
    database: str
    schema_name: str | None
    pending: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    #: The index that no migration makes: absent, there or incomplete.
    search_index: str = "absent"

    @property
    def is_right(self) -> bool:
        return not self.wrong

    @property
    def wrong(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.what]

    def as_dict(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        return {
            "ok": self.is_right,
            "engine": self.engine,
            "database": self.database,
            "schema": self.schema_name,
            "pending_migrations": self.pending,
            "search_index": self.search_index,
            "stops_migration": any(finding.stops_migration for finding in self.wrong),
            "looked_at": self.areas(),
            "problems": [asdict(finding) for finding in self.wrong],
        }

    def areas(self) -> dict[str, dict[str, int]]:
        """How many things of each kind were looked at, and how many of them are wrong."""
        counts: dict[str, dict[str, int]] = {}
        # Several things may be wrong with one.
        wrong = {(finding.area, finding.name): False for finding in self.findings}
        wrong |= {(finding.area, finding.name): True for finding in self.wrong}
        for (area, _), is_wrong in wrong.items():
            count = counts.setdefault(area, {"looked_at": 0, "wrong": 0})
            count["looked_at"] += 1
            count["wrong"] += is_wrong
        return counts


def check(url: str | None = None) -> Report:
    """Look at the database that `url` (or the environment) names, without changing anything.

    Raises `InvalidInput` for a URL that cannot be right, `Unavailable` if the database cannot be
    reached.
    """
    settings = read_database_url(url)
    with read_only(url) as (database, schema):
        report = Report(schema.name, settings.database, settings.schema_name)
        _Look(database, schema, report).take()
    return report


class _Look:
    def __init__(self, database: Any, schema: Schema, report: Report) -> None:
        self.database = database
        self.schema = schema
        self.report = report
        self.catalog = schema.catalog(database)
        self.expected = expected_catalog(schema)
        as_later_servers_have_it(self.expected, self.catalog)
        self.has_chat_keys = has_chat_keys(self.catalog)
        if self.has_chat_keys:
            expect_chat_keys(self.expected)
        if self.catalog.shards:
            expect_shards(self.expected)
        self.migrations = shipped_migrations()
        self.obstacles: list[Obstacle] = []
        self.unreadable: set[str] = set()

    def take(self) -> None:
        self._schema()
        self._rights()
        self._history()
        self._encoding()
        self._obstacles()
        self._tables()
        self._constraints_and_indexes()
        self._shards()
        self._made_from_others()
        self._settings()
        self._search_index()
        self._times_ahead()
        if not self.unreadable:
            self._rows()

    def _add(self, area: str, name: str, what: str = "") -> None:
        """A finding of the comparison; each of its obstacles has a remedy, if there are any."""
        if not what:
            self.report.findings.append(Finding(area, name))
            return
        migration = self._migration_of(name)
        obstacles = [obstacle for obstacle in self.obstacles if obstacle.name == name]
        if obstacles:
            self._add_obstacles(area, name, obstacles, stops=migration in self.report.pending)
            return
        if self._is_seen_to(migration):
            remedy = f"`stogram migrate` sees to it ({migration})"
            finding = Finding(area, name, what, remedy, pending=migration)
        else:
            finding = Finding(area, name, what, self._remedy(name, migration))
        self.report.findings.append(finding)

    def _add_obstacles(
        self, area: str, name: str, obstacles: list[Obstacle], *, stops: bool
    ) -> None:
        """A finding for each obstacle; if there are none, one that the thing is right."""
        if not obstacles:
            self._add(area, name)
        for each in obstacles:
            finding = Finding(area, each.name, each.what, each.remedy, stops)
            self.report.findings.append(finding)

    def _migration_of(self, name: str) -> str | None:
        """The migration that makes the thing, a column by itself or with its table."""
        table = f"table {name.removeprefix('column ').split('.')[0]}"
        for wanted in (name, table):
            for migration, contents in self.migrations.items():
                if any(str(step) == wanted for step in contents.steps):
                    return migration
        return None

    def _is_seen_to(self, name: str | None) -> bool:
        """Whether the migration is pending and will put it right."""
        if name is None or name not in self.report.pending:
            return False
        return bool(self.migrations[name].to_do(self.schema, self.catalog))

    def _remedy(self, name: str, migration: str | None) -> str:
        if name in _RENEWED:
            return "Run `stogram migrate`: it makes them anew"
        if self.schema.name == "sqlite":
            return "Go back to a backup, or move the rows into a new, migrated file"
        if migration is not None:
            contents = self.migrations[migration]
            is_step = name in map(str, contents.steps)
            if is_step or not (name.startswith("column ") or contents.foundation):
                return f"`stogram sql {migration}` sees to it again; what is right is left alone"
            if not contents.foundation:
                return self._alteration(*name.removeprefix("column ").split("."))
        return "It is not as the server's own migrations made it; make it so again"

    def _alteration(self, table: str, column: str) -> str:
        """What puts a column of a table right, which no step makes; another type is an obstacle."""
        wanted = self.expected.tables[table][column]
        to = "DROP DEFAULT" if wanted.default is None else f"SET DEFAULT {wanted.default}"
        changes = [f'ALTER COLUMN "{column}" {to}']
        if wanted.nullable:
            changes.append(f'ALTER COLUMN "{column}" DROP NOT NULL')
        return f"ALTER TABLE {self.schema.quoted(table)} {', '.join(changes)}"

    def _schema(self) -> None:
        if isinstance(self.schema, PostgresSchema):
            finding = Finding("schema", f"schema {self.schema.schema_name}")
            if not self.schema.is_there(self.database):
                remedy = "Correct ?schema= in the URL; or `stogram migrate` makes it"
                finding = replace(finding, what="is not there", remedy=remedy)
            self.report.findings.append(finding)

    def _rights(self) -> None:
        if not isinstance(self.schema, PostgresSchema):
            return
        tables = sorted(self.catalog.tables.keys() & {HISTORY, *self.expected.tables})
        rows = self.database.execute_sql(
            "SELECT name, has_table_privilege(to_regclass(quoted), 'SELECT'), "
            "quote_ident(current_user) "
            "FROM ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[])) "
            "AS given(name, quoted)",
            (tables, [self.schema.quoted(table) for table in tables]),
        ).fetchall()
        for table, readable, role in rows:
            finding = Finding("right to read", f"table {table}")
            if not readable:
                self.unreadable.add(table)
                grant = f"GRANT SELECT ON {self.schema.quoted(table)} TO {role}"
                finding = replace(finding, what="may not be read", remedy=grant)
            self.report.findings.append(finding)

    def _history(self) -> None:
        done: set[str] = set()
        if HISTORY in self.catalog.tables and HISTORY not in self.unreadable:
            done = set(applied_migrations(self.database, self.schema))
        for name in self.migrations:
            finding = Finding("migration", name)
            if name not in done:
                self.report.pending.append(name)
                finding = replace(finding, what="is pending", remedy="Run `stogram migrate`")
            self.report.findings.append(finding)

    def _encoding(self) -> None:
        if isinstance(self.schema, PostgresSchema):
            wrong = wrong_encoding(self.catalog)
            self._add_obstacles("encoding", "database", wrong, stops=bool(self.report.pending))

    def _obstacles(self) -> None:
        pending = [self.migrations[name] for name in self.report.pending]
        for migration in self.migrations.values():
            if migration not in pending:
                self.obstacles += migration.unfit(self.schema, self.catalog)
        self.obstacles += unfit_together(pending, self.schema, self.catalog)

    def _tables(self) -> None:
        for name, labels in self.expected.enums.items():
            there = self.catalog.enums.get(name)
            missing = [label for label in labels if label not in (there or ())]
            what = f"has no label {', '.join(map(repr, missing))}" if missing else ""
            if there is None:
                what = "is missing"
            self._add("enum type", f"enum type {name}", what)
        for table, columns in self.expected.tables.items():
            if table not in self.catalog.tables:
                self._add("table", f"table {table}", "is missing")
                continue
            self._add("table", f"table {table}")
            for column in columns.values():
                found = self.catalog.column(table, column.name)
                what = "is missing" if found is None else _other(column, found)
                self._add("column", f"column {table}.{column.name}", what)

    def _constraints_and_indexes(self) -> None:
        kinds: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            "primary key": (self.expected.primary_keys, self.catalog.primary_keys),
            "unique constraint": (self.expected.uniques, self.catalog.uniques),
            "index": (self.expected.indexes, self.catalog.indexes),
            "foreign key": (self.expected.foreign_keys, self.catalog.foreign_keys),
        }
        for kind, (expected, there) in kinds.items():
            for name, wanted in expected.items():
                if kind != "primary key" or wanted.table in self.catalog.tables:
                    what = _other(wanted, there[name]) if name in there else "is missing"
                    if what and self.has_chat_keys:
                        remedy = key_made_anew(wanted, self.schema)
                        finding = Finding(kind, f"{kind} {name}", what, remedy)
                        self.report.findings.append(finding)
                    else:
                        self._add(kind, f"{kind} {name}", what)

    def _shards(self) -> None:
        """Where the rows of each table are, if Citus has distributed any."""
        for table, wanted in self.expected.shards.items():
            found = self.catalog.shards.get(table)
            what = remedy = ""
            if found != wanted:
                what = f"is {_place(found)}, and must be {_place(wanted)}"
                remedy = "Run `stogram distribute`: it goes on where it was"
                if self.has_chat_keys:
                    remedy = shards_sql(table, self.schema)
            self.report.findings.append(Finding("shards", f"shards of {table}", what, remedy))

    def _made_from_others(self) -> None:
        missing = sorted(self.expected.triggers.keys() - self.catalog.triggers.keys())
        what = f"{', '.join(missing)}: missing or disabled" if missing else ""
        if not (missing or self.catalog.keeps_tags):
            what = "or their functions are not those of this package"
        self._add("triggers", str(KeepMessageTags()), what)
        if "MessageTag" not in self.unreadable:
            what = "" if self.catalog.has_all_tags else "are not all there"
            self._add("rows made from others", str(FillMessageTags()), what)
        if self.expected.keeps_words:
            what = "" if self.catalog.keeps_words else "or their triggers are not as they should be"
            self._add("rows made from others", str(KeepUserWords()), what)
        if "UnreadSince" not in self.unreadable:
            what = "" if self.catalog.has_moment else "is missing"
            self._add("rows made from others", str(KeepMoment()), what)

    def _settings(self) -> None:
        if self.expected.estimates_messages:
            what = "" if self.catalog.estimates_messages else "is missing"
            self._add("settings", str(EstimateMessages()), what)

    def _search_index(self) -> None:
        parts = parts_of_search_index(self.schema, self.catalog)
        if set(parts.values()) == {"is missing"}:
            return
        self.report.search_index = "incomplete" if any(parts.values()) else "there"
        for name, what in parts.items():
            remedy = "Run `stogram search-index`" if what else ""
            self.report.findings.append(Finding("search index", name, what, remedy))

    def _times_ahead(self) -> None:
        """Messages that bear the time of a clock that is wrong: lists show them first for long."""
        if "Message" not in self.catalog.tables or "Message" in self.unreadable:
            return
        on_sqlite = self.schema.name == "sqlite"
        now = utc_now() if on_sqlite else self.database.current_time()
        ahead = now + timedelta(milliseconds=MOST_AHEAD)
        mark = "?" if on_sqlite else "%s"
        table = self.schema.quoted("Message")
        rows = f'SELECT count(*) FROM {table} WHERE "createdAt" > {mark}'
        (count,) = self.database.execute_sql(rows, (time_to_text(ahead),)).fetchone()
        what = f"{count} are more than {MOST_AHEAD // 1000} s ahead of the clock" if count else ""
        remedy = f'UPDATE {table} SET "createdAt" = "updatedAt" for them, and set that clock'
        self.report.findings.append(Finding("times", "times of messages", what, what and remedy))

    def _rows(self) -> None:
        """The rows that a constraint would keep out, if it was there and valid.

        A valid foreign key of PostgreSQL leaves no orphans, so none are looked for.
        """
        wrong = {finding.name for finding in self.report.wrong}
        for name, migration in self.migrations.items():
            is_pending = name in self.report.pending
            to_do = migration.to_do(self.schema, self.catalog) if is_pending else []
            for step in migration.steps:
                area = _row_area(step)
                if area is None or not step.row_obstacles(self.schema):
                    continue
                if self.has_chat_keys and _is_across_chats(step):
                    continue
                found: list[Obstacle] = []
                if str(step) in wrong or self._lets_orphans_in(step):
                    found = rows_in_the_way(
                        self.database, self.schema, self.catalog, [step], self.obstacles
                    )
                self._add_obstacles(area, str(step), found, stops=step in to_do)
            if is_pending and isinstance(self.schema, PostgresSchema):
                lacking = missing_rights(self.database, self.schema, self.catalog, to_do)
                self._add_obstacles("right to migrate", name, lacking, stops=True)

    def _lets_orphans_in(self, step: Step) -> bool:
        """Whether rows can break a constraint that is there: SQLite can turn its checks off."""
        return self.schema.name == "sqlite" and isinstance(step, AddForeignKey)


def _is_across_chats(step: Step) -> bool:
    """Whether its rows are looked for without their chat, as only the key of the server does."""
    return isinstance(step, AddForeignKey) and step.key.references in ("Message", "Call")


def _place(chat: str | None) -> str:
    if chat is None:
        return "on one server"
    return f"distributed by {chat}" if chat else "a reference table"


def _row_area(step: Step) -> str | None:
    if isinstance(step, AddForeignKey):
        return "orphan rows"
    if isinstance(step, AddUnique):
        return "duplicate rows"
    if isinstance(step, AddIndex):
        return "values too long for an index"
    return None


def _other(expected: object, found: object) -> str:
    return "" if found == expected else f"is {found}, and must be {expected}"
