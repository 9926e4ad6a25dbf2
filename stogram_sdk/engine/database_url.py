"""Where the database is: the server's own `DATABASE_URL`, read as it is.

libpq reads all of a PostgreSQL URL but the parameters of Prisma and of this package. So every form
that it knows is known: several hosts with ports, sockets, IPv6, and user, password and database
among the parameters. What the others mean here:

=============================  ==============================================================
parameter                      meaning here
=============================  ==============================================================
schema                         the PostgreSQL schema of the tables
connection_limit               how many connections the pool opens at most
pool_timeout                   seconds to wait for a free one (0: without end)
connect_timeout                seconds to wait for each server to accept (0: without end); whole
                               ones, since libpq counts those, and rounded up
socket_timeout                 seconds to wait for the answer to a statement (`statement_timeout`)
lock_timeout                   seconds to wait for a lock in a transaction (this and the next: ours)
idle_in_transaction_           seconds after which the server ends a transaction in which nothing
session_timeout                is done
max_idle_connection_lifetime   seconds after which an unused connection is not used again
standby_patience               seconds that a read waits for a standby (this and the next: ours)
max_standby_lag                seconds that a standby may be late
sslmode, sslaccept             libpq's `sslmode`; `sslaccept=strict` is `verify-full`
sslcert                        the server's CA certificate, libpq's `sslrootcert`; with `sslkey`
                               beside it, the client's own certificate, as libpq means it
sslidentity, sslpassword       a PKCS#12 file, which libpq cannot read: an error says how to convert
prepare                        whether statements are prepared, which saves most of their planning;
                               never through a pooler, which is found out by itself
pgbouncer,                     `pgbouncer=true` and `statement_cache_size=0` are the same as
statement_cache_size           `prepare=false`
host, port, user, password,    libpq's, as are all others that `options.LibpqOptions` names
application_name, options
=============================  ==============================================================
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Unpack
from urllib.parse import parse_qsl, unquote

from stogram_sdk.engine.options import (
    DatabaseOptions,
    LibpqNumbers,
    LibpqOptions,
    Limits,
    Preparing,
)
from stogram_sdk.errors import InvalidInput
from stogram_sdk.validation import valid_text

_MAX_LENGTH = 65_536
DEFAULT_URL = "sqlite:///stogram.db"

_LIBPQ = LibpqOptions.__optional_keys__
_LIBPQ_NUMBERS = LibpqNumbers.__optional_keys__
_LIMITS = Limits.__optional_keys__
_PREPARING = Preparing.__optional_keys__
_OURS = DatabaseOptions.__optional_keys__ - _LIBPQ
# `ssl` is JDBC's, which libpq knows too.
_IN_A_URL = _LIBPQ | {"dbname", "ssl"}

# For libpq a user's name or password may hold a question mark.
_POSTGRESQL = re.compile(r"(postgres(?:ql)?://(?:[^@/]*@)?[^?]*)\??(.*)", re.DOTALL)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True)
class DatabaseSettings:
    """The settings that `connect()` needs; their text never shows a password."""

    engine: str
    database: str
    schema_name: str | None = None
    connection_limit: int = 10
    pool_timeout: float = 10
    statement_timeout: float = 8
    lock_timeout: float = 5
    idle_in_transaction_session_timeout: float = 60
    max_idle_connection_lifetime: float = 300
    standby_patience: float = 0.05
    max_standby_lag: float = 10
    prepare: bool = True
    libpq: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> str:
        """What a person calls the database: a file, or a name and where that is."""
        schema = f", schema {self.schema_name}" if self.schema_name else ""
        host = self.libpq.get("host")
        return f"{self.database}{f' at {host}' if host else ''}{schema}"

    def has_several_hosts(self) -> bool:
        return any("," in self.libpq.get(name, "") for name in ("host", "hostaddr"))


def read_database_url(
    url: str | None = None, **options: Unpack[DatabaseOptions]
) -> DatabaseSettings:
    """The settings that the URL and the options give; an option goes before the URL.

    `url` defaults to `$STOGRAM_DATABASE_URL`, then `$DATABASE_URL`, then `sqlite:///stogram.db`.
    Raises `InvalidInput`, which never repeats the URL: it may hold a password.
    """
    if url is None:
        url = (
            os.environ.get("STOGRAM_DATABASE_URL") or os.environ.get("DATABASE_URL") or DEFAULT_URL
        )
    valid_text(url, "url", maximum=_MAX_LENGTH, minimum=0)
    valid_text(unquote(url), "url", maximum=_MAX_LENGTH, minimum=0)
    given = {name: value for name, value in options.items() if value is not None}
    if found := _POSTGRESQL.fullmatch(url):
        return _postgresql(_read_by_libpq(*found.groups()) | given)
    if not url.startswith("sqlite://"):
        raise InvalidInput("a database url begins with postgresql:// or sqlite:///", field="url")
    place, _, query = url.removeprefix("sqlite://").partition("?")
    parameters: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    return _sqlite(unquote(place), parameters | given)


def _read_by_libpq(place: str, query: str) -> dict[str, Any]:
    """The parts and parameters of a PostgreSQL URL, by their names for libpq or for Prisma."""
    import psycopg2.extensions

    ours, libpqs = {}, []
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        name = unquote(name)
        if name in _OURS:
            ours[name] = unquote(value)
        elif name in _IN_A_URL:
            libpqs.append(pair)
        elif name.isidentifier() and "@" not in query:
            raise _unknown(name, "the database URL")
        else:  # It may be a part of a password that holds a slash and a question mark.
            raise _unreadable()
    try:
        return psycopg2.extensions.parse_dsn(f"{place}?{'&'.join(libpqs)}") | ours
    except psycopg2.ProgrammingError:
        raise _unreadable() from None  # libpq's own words may repeat a part of it.


def _unreadable() -> InvalidInput:
    return InvalidInput(
        "the database URL cannot be read; percent-encode special characters in the user name "
        "and the password (such as @ as %40)",
        field="url",
    )


def _unknown(name: str, where: str) -> InvalidInput:
    return InvalidInput(
        f"unknown parameter {name!r} of connect() or {where}: docs/connections.md has a list",
        field=name,
    )


def _sqlite(place: str, parameters: dict[str, Any]) -> DatabaseSettings:
    if not place.startswith("/") or place == "/":
        raise InvalidInput(
            "a SQLite URL is sqlite:///relative/path, sqlite:////absolute/path or "
            "sqlite:///:memory:",
            field="url",
        )
    common = _common(parameters)
    parameters.pop("connect_timeout", None)
    if parameters:
        raise _unknown(min(parameters), "a SQLite URL")
    return DatabaseSettings(engine="sqlite", database=place.removeprefix("/"), **common)


def _postgresql(parameters: dict[str, Any]) -> DatabaseSettings:
    database = parameters.pop("dbname", None)
    if not database:
        raise InvalidInput("the database URL names no database: .../name", field="url")
    common = _common(parameters)
    schema_name = _schema_name(parameters.pop("schema", None))
    prepare = _prepare(**{name: parameters.pop(name) for name in _PREPARING & parameters.keys()})
    _say_tls_as_libpq(parameters)
    unknown = sorted(parameters.keys() - _LIBPQ - {"connect_timeout"})
    if unknown:
        raise _unknown(unknown[0], "the database URL")
    if "port" in parameters:
        parameters["port"] = _ports(parameters["port"])
    for name, value in parameters.items():
        if name in _LIBPQ_NUMBERS:
            parameters[name] = int(_number(name, value))
        elif name != "connect_timeout":
            valid_text(value, name, maximum=_MAX_LENGTH, minimum=0)
    return DatabaseSettings(
        engine="postgresql",
        database=database,
        schema_name=schema_name,
        prepare=prepare,
        libpq={name: value for name, value in parameters.items() if value not in (None, "")},
        **common,
    )


def _schema_name(schema_name: Any) -> str | None:
    if not schema_name:
        return None
    if not is_plain(schema_name):
        raise InvalidInput(
            "schema must be a name of letters, digits, spaces, _ - and . that takes at most 63 "
            "bytes, and not one of pg_...",
            field="schema",
        )
    return str(schema_name)


def _say_tls_as_libpq(parameters: dict[str, Any]) -> None:
    """Put libpq's parameters in the place of Prisma's."""
    if "sslidentity" in parameters:
        raise InvalidInput(
            "sslidentity names a PKCS#12 file, which libpq cannot read: convert it with `openssl "
            "pkcs12 -nodes` and give the two parts as sslcert and sslkey",
            field="sslidentity",
        )
    accept = parameters.pop("sslaccept", None)
    if accept not in (None, "strict", "accept_invalid_certs"):
        raise InvalidInput("sslaccept is strict or accept_invalid_certs", field="sslaccept")
    if accept == "strict":
        parameters["sslmode"] = "verify-full"
    if parameters.get("sslmode", "prefer") not in _SSL_MODES:
        raise InvalidInput(f"sslmode is one of {', '.join(_SSL_MODES)}", field="sslmode")
    if "sslcert" in parameters and "sslkey" not in parameters:
        parameters["sslrootcert"] = parameters.pop("sslcert")


def is_plain(schema_name: Any) -> bool:
    """Whether the name has no sign that a statement, a driver or a shell gives a meaning."""
    name = valid_text(schema_name, "schema", maximum=63)
    return bool(re.fullmatch(r"(?!pg_)[\w .-]+", name)) and len(name.encode()) <= 63


def _ports(value: Any) -> str:
    """The port of each host, with commas between; one left out is 5432."""
    ports = str(value)
    if not all(port == "" or _is_port(port) for port in ports.split(",")):
        raise InvalidInput("port must be a number from 1 to 65535, one for each host", field="port")
    return ports


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65_536


def _common(parameters: dict[str, Any]) -> dict[str, Any]:
    """Take the settings that both engines share out of `parameters`."""
    common: dict[str, Any] = {
        name: _number(name, parameters.pop(name)) for name in _LIMITS & parameters.keys()
    }
    if "socket_timeout" in common:
        common = {"statement_timeout": common.pop("socket_timeout")} | common
    if "connect_timeout" in common:
        parameters["connect_timeout"] = math.ceil(common.pop("connect_timeout"))
    if "connection_limit" in parameters:
        limit = _number("connection_limit", parameters.pop("connection_limit"))
        if limit < 1:
            raise InvalidInput("connection_limit must be at least 1", field="connection_limit")
        common["connection_limit"] = int(limit)
    return common


def _prepare(prepare: Any = True, pgbouncer: Any = False, statement_cache_size: Any = None) -> bool:
    size = (
        1 if statement_cache_size is None else _number("statement_cache_size", statement_cache_size)
    )
    return _flag("prepare", prepare) and not _flag("pgbouncer", pgbouncer) and size > 0


def _flag(name: str, value: Any) -> bool:
    flag = {"true": True, "false": False}.get(str(value).lower())
    if flag is None:
        raise InvalidInput(f"{name} must be true or false", field=name)
    return flag


def _number(name: str, value: Any) -> float:
    try:
        number = -1 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number < 2**31:
        raise InvalidInput(f"{name} must be a number of at least 0", field=name)
    return number
