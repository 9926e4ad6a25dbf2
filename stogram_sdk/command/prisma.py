"""What the server's own tool, Prisma, is told of the database, so that it finds no drift.

Prisma compares three things: the database, what the directories of its migrations make of an empty
one, and schema.prisma. So two of them must learn what our migrations made. Both are written from
their steps. What Prisma cannot see (partial indexes, functions, triggers) stands in
its migration all the same: a database that Prisma alone makes has everything too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import peewee
from peewee_migrate.models import MigrateHistory

from stogram_sdk.command.search_index import postgres_indexes
from stogram_sdk.errors import MigrationError
from stogram_sdk.models import MODELS
from stogram_sdk.schema.migration import HISTORY, shipped_migrations
from stogram_sdk.schema.objects import Column, ForeignKey, Index
from stogram_sdk.schema.postgres import PostgresSchema
from stogram_sdk.schema.steps import (
    AddColumn,
    AddForeignKey,
    AddIndex,
    AddUnique,
    CreateTable,
    Step,
)

_TYPES = {
    "TEXT": "String",
    "INTEGER": "Int",
    "BOOLEAN": "Boolean",
    "TIMESTAMP(3)": "DateTime",
    "TEXT[]": "String[]",
}
_DEFAULTS = {"CURRENT_TIMESTAMP": "now()", "'{}'": "[]"}
_ON_DELETE = {"CASCADE": "Cascade", "SET NULL": "SetNull"}

#: A line of a model that is about some of its columns, such as `@@index([chatId, id])`.
_ATTRIBUTE = re.compile(r"@@(\w+)\((?:fields:\s*)?\[(.*?)\](?=[,)])")

_SEARCH_INDEX = (
    '@@index([content(ops: raw("gin_trgm_ops")), fileName(ops: raw("gin_trgm_ops"))], '
    'map: "Message_search_idx", type: Gin)'
)


@dataclass
class Model:
    """What a model of schema.prisma must have; all of it, if the migrations made the table."""

    name: str
    is_new: bool = False
    #: By its name, what stands behind it.
    fields: dict[str, str] = field(default_factory=dict)
    attributes: list[str] = field(default_factory=list)
    #: By its name, the model whose rows refer to this one, and what stands behind the name.
    referring: dict[str, tuple[str, str]] = field(default_factory=dict)


def models_for_prisma(*, search_index: bool = False, json_tags: bool = False) -> dict[str, Model]:
    """The models by their names, as the migrations after the server's own tables leave them.

    `json_tags`: a later server keeps mentions and hashtags as JSON, in columns that stay its own.
    """
    models: dict[str, Model] = {}
    steps = list(_steps(json_tags))
    several = Counter((s.table, s.key.references) for s in steps if isinstance(s, AddForeignKey))
    for step in steps:
        if step.table is None:
            continue
        model = models.setdefault(step.table, Model(step.table))
        if isinstance(step, CreateTable):
            _add_table(model, step)
        elif isinstance(step, AddColumn):
            model.fields[step.column.name] = _field(step.column)
        elif isinstance(step, AddUnique):
            model.attributes.append(f"@@unique([{', '.join(step.unique.columns)}])")
        elif isinstance(step, AddIndex) and _is_seen(step.index):
            model.attributes.append(_index(step.index))
        elif isinstance(step, AddForeignKey):
            other = models.setdefault(step.key.references, Model(step.key.references))
            is_one_of_several = several[step.table, step.key.references] > 1
            _add_relation(model, other, step.key, is_one_of_several)
    if search_index:
        models["Message"].attributes.append(_SEARCH_INDEX)
    models[HISTORY] = _history()
    return {name: m for name, m in models.items() if m.fields or m.attributes or m.referring}


def _steps(json_tags: bool) -> Iterator[Step]:
    for migration in shipped_migrations().values():
        for step in () if migration.foundation else migration.steps:
            if not (json_tags and _is_about_arrays(step)):
                yield step


def _is_about_arrays(step: Step) -> bool:
    """Whether it makes a column of arrays, or its index."""
    if isinstance(step, AddColumn):
        return step.column.type == "TEXT[]"
    return isinstance(step, AddIndex) and step.index.method == "gin"


def _add_table(model: Model, step: CreateTable) -> None:
    model.is_new = True
    for column in step.contents:
        model.fields[column.name] = _field(column)
    if step.key:
        model.attributes.append(f"@@id([{', '.join(step.key)}])")
    else:
        # The server's code makes rows of what it knows, and Prisma then makes their ids.
        made = "" if step.is_derived else " @default(uuid())"
        model.fields[step.key_columns[0]] += f" @id{made}"
    if step.is_derived:
        model.attributes.append("@@ignore")


def _field(column: Column) -> str:
    kind = _TYPES[column.type]
    words = [kind + ("?" if column.nullable and not kind.endswith("[]") else "")]
    if column.default is not None:
        words.append(f"@default({_DEFAULTS.get(column.default, column.default)})")
    if column.name == "updatedAt":
        words.append("@updatedAt")
    return " ".join(words)


def _is_seen(made: Index) -> bool:
    """Whether Prisma looks at such an index: not at one that is partial or on an expression."""
    return made.where is None and not made.only_sqlite and not any("(" in c for c in made.columns)


def _index(made: Index) -> str:
    words = [f"[{', '.join(made.columns)}]"]
    if made.name != "_".join([made.table, *made.columns, "idx"]):
        words.append(f'map: "{made.name}"')
    if made.method != "btree":
        words.append(f"type: {made.method.capitalize()}")
    return f"@@index({', '.join(words)})"


def _add_relation(model: Model, other: Model, key: ForeignKey, is_one_of_several: bool) -> None:
    """A field for the row that is referred to, and on the other side one for those that do."""
    reference = next(
        each
        for each in _references()
        if (each.model._meta.table_name, each.column_name) == (key.table, key.column)
    )
    name = f'"{key.table}_{key.column}"' if is_one_of_several else ""
    optional = "?" if model.fields[key.column].startswith("String?") else ""
    details = f"fields: [{key.column}], references: [id], onDelete: {_ON_DELETE[key.on_delete]}"
    details = ", ".join(filter(None, [name, details]))
    model.fields[_camel(reference.name)] = f"{other.name}{optional} @relation({details})"
    back = f"{model.name}[]" + (f" @relation({name})" if name else "")
    other.referring[_camel(reference.backref)] = (model.name, back)


def _references() -> Iterator[peewee.ForeignKeyField]:
    for model in MODELS:
        yield from model._meta.refs


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _history() -> Model:
    """The table that says which migrations are done."""
    fields = {
        "id": "Int @id @default(autoincrement())",
        "name": "String @db.VarChar(255)",
        "migrated_at": "DateTime @db.Timestamp(6)",
    }
    return Model(HISTORY, True, fields, ["@@ignore"])


# --- schema.prisma ---


def schema_lines(*, search_index: bool = False) -> str:
    """What goes into schema.prisma, model by model."""
    blocks = []
    for model in models_for_prisma(search_index=search_index).values():
        referring = {name: line for name, (_, line) in model.referring.items()}
        comment = [] if model.is_new else ["// ... as before"]
        blocks.append(_block(model.name, comment, model.fields | referring, model.attributes))
    return "\n".join(blocks)


def amended_schema(schema: str, *, search_index: bool = False) -> str:
    """A schema.prisma with what it lacks; what it has stays, but for the type of an index.

    Raises `MigrationError` if it has not the models of the server.
    """
    models = models_for_prisma(search_index=search_index, json_tags=keeps_json(schema))
    new = {name for name, model in models.items() if model.is_new and not _found(schema, name)}
    for model in models.values():
        referring = {f: line for f, (other, line) in model.referring.items() if other in new}
        if model.name in new:
            block = _block(model.name, [], model.fields | referring, model.attributes)
            schema = f"{schema.rstrip()}\n\n{block}"
        else:
            schema = _with_lines(schema, model, referring)
    return schema


def keeps_json(schema: str) -> bool:
    """Whether its server keeps the tags of a message as JSON in a text."""
    message = _found(schema, "Message")
    return message is not None and bool(re.search(r"^\s*hashtags\s+String(?!\[)", message[1], re.M))


def _found(schema: str, model: str) -> re.Match[str] | None:
    return re.search(rf"^model {model}\s*\{{\n(.*?)^\}}", schema, re.M | re.S)


def _with_lines(schema: str, model: Model, referring: dict[str, str]) -> str:
    found = _found(schema, model.name)
    if found is None:
        raise MigrationError(
            f"schema.prisma has no model {model.name}: is it that of a Stogram server? To add the "
            "lines by hand, print them: `stogram prisma`"
        )
    there = found[1].rstrip()
    # Where a model of the guide is there already, the code of the server knows its relations.
    wanted = referring if model.is_new else model.fields | referring
    names = set(re.findall(r"^\s*(\w+)\s", there, re.M))
    lines = _aligned({name: line for name, line in wanted.items() if name not in names})
    attributes = []
    for attribute in model.attributes:
        there, is_there = _with_attribute(there, attribute)
        if not is_there:
            attributes.append(f"  {attribute}")
    body = "\n".join([there, *lines, *([""] if attributes else []), *attributes, ""])
    return schema[: found.start(1)] + body + schema[found.end(1) :]


def _with_attribute(body: str, attribute: str) -> tuple[str, bool]:
    """The lines of a model with that attribute in place of one for the same columns, if any."""
    if attribute in body:
        return body, True
    wanted = _ATTRIBUTE.match(attribute)
    for line in body.splitlines() if wanted else ():
        there = _ATTRIBUTE.match(line.strip())
        if wanted and there and _about(there) == _about(wanted):
            if "type:" in attribute and "type:" not in line:
                body = body.replace(line, f"  {attribute}")
            return body, True
    return body, False


def _about(attribute: re.Match[str]) -> tuple[str, str]:
    return attribute[1], re.sub(r"\s", "", attribute[2])


def _block(model: str, comment: list[str], fields: dict[str, str], attributes: list[str]) -> str:
    lines = [*(f"  {each}" for each in comment), *_aligned(fields)]
    if lines and attributes:
        lines.append("")
    lines += [f"  {attribute}" for attribute in attributes]
    return "\n".join([f"model {model} {{", *lines, "}", ""])


def _aligned(fields: dict[str, str]) -> list[str]:
    """The lines of fields, in columns as `prisma format` sets them."""
    parts = [(name, *line.partition(" ")[::2]) for name, line in fields.items()]
    names = max((len(name) for name, _, _ in parts), default=0)
    kinds = max((len(kind) for _, kind, _ in parts), default=0)
    return [f"  {name:{names}} {kind:{kinds}} {rest}".rstrip() for name, kind, rest in parts]


# --- Its migration ---


def migration_sql(*, search_index: bool = False, json_tags: bool = False) -> str:
    """The SQL of a migration of Prisma's that makes what ours make.

    It is one transaction, as all of Prisma's, and may run where everything is there already.
    """
    schema = PostgresSchema()  # Prisma sets the one of its URL
    lines = [
        "-- What the migrations of stogram_sdk make, for Prisma: written by `stogram prisma`.",
        "-- Beside a live server `stogram migrate` does it, in short steps. Then Prisma is told:",
        "--   npx prisma migrate resolve --applied <this directory>",
        "",
    ]
    for step in _steps(json_tags):
        if sql := step.in_transaction(schema):
            lines += [f"-- {step}", *(f"{each};" for each in sql), ""]
    if search_index:
        lines += ["-- the index of `stogram search-index`", *_search_index_sql(schema), ""]
    return "\n".join([*lines, "-- the history", *_history_sql(schema), ""])


def _search_index_sql(schema: PostgresSchema) -> list[str]:
    table = schema.quoted("Message")
    return [
        "CREATE EXTENSION IF NOT EXISTS pg_trgm;",
        *(
            f'CREATE INDEX IF NOT EXISTS "{name}" ON {table} {contents};'
            for name, contents in postgres_indexes("gin_trgm_ops").items()
        ),
    ]


class _History(MigrateHistory):
    """The table of peewee-migrate, for the SQL alone: the running router binds the class itself."""

    class Meta:
        database = peewee.PostgresqlDatabase(None)
        table_name = HISTORY


def _history_sql(schema: PostgresSchema) -> list[str]:
    """So that `stogram migrate` finds nothing left to do where Prisma did it."""
    manager: Any = peewee.SchemaManager(_History)
    table, _ = manager._create_table(safe=True).query()
    history = schema.quoted(HISTORY)
    names = ", ".join(f"('{name}')" for name in shipped_migrations())
    return [
        f"{table};",
        f"INSERT INTO {history} (name, migrated_at)",
        f"    SELECT given.name, now() AT TIME ZONE 'UTC' FROM (VALUES {names}) AS given(name)",
        f"    WHERE NOT EXISTS (SELECT FROM {history} AS done WHERE done.name = given.name)",
        "    ORDER BY given.name;",
    ]


# --- The server's repository ---


@dataclass(frozen=True)
class Written:
    """What was written into the server's directory `prisma`."""

    schema: Path
    #: The directory of the migration.
    migration: Path


def write(directory: Path, *, search_index: bool = False) -> Written:
    """Amend schema.prisma there, and add a migration unless the last one of ours is the same.

    Raises `MigrationError` if it is not the directory of a Stogram server.
    """
    schema = directory / "schema.prisma"
    if not schema.is_file():
        raise MigrationError(f"there is no {schema}: name the server's directory `prisma`")
    before = schema.read_text("utf-8")
    amended = amended_schema(before, search_index=search_index)
    sql = migration_sql(search_index=search_index, json_tags=keeps_json(before))
    migration = _migration_directory(directory / "migrations", sql)
    schema.write_text(amended, "utf-8")
    return Written(schema, migration)


def _migration_directory(migrations: Path, sql: str) -> Path:
    """Prisma refuses a migration that has changed since it was applied: another is added."""
    written = sorted(migrations.glob("*_stogram_sdk/migration.sql"))
    if written and written[-1].read_text("utf-8") == sql:
        return written[-1].parent
    made = migrations / f"{datetime.now(UTC):%Y%m%d%H%M%S}_stogram_sdk"
    made.mkdir(parents=True)
    (made / "migration.sql").write_text(sql, "utf-8")
    return made
