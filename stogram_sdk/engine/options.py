"""The options of `connect()`, grouped by their use; `database_url` explains each."""

from __future__ import annotations

from typing import TypedDict


class LibpqNumbers(TypedDict, total=False):
    """Options of libpq that are whole numbers."""

    keepalives: int | None
    keepalives_count: int | None
    keepalives_idle: int | None
    keepalives_interval: int | None
    tcp_user_timeout: int | None


class LibpqOptions(LibpqNumbers, total=False):
    """Options that are passed on to libpq."""

    application_name: str | None
    channel_binding: str | None
    gssencmode: str | None
    host: str | None
    hostaddr: str | None
    options: str | None
    passfile: str | None
    sslcert: str | None
    sslcrl: str | None
    sslkey: str | None
    sslmode: str | None
    sslpassword: str | None
    sslrootcert: str | None
    target_session_attrs: str | None


class Limits(TypedDict, total=False):
    """Limits of time, in seconds."""

    connect_timeout: float | None
    idle_in_transaction_session_timeout: float | None
    lock_timeout: float | None
    max_idle_connection_lifetime: float | None
    pool_timeout: float | None
    socket_timeout: float | None
    statement_timeout: float | None


class Preparing(TypedDict, total=False):
    """Whether statements are prepared; the last two are Prisma's."""

    prepare: bool | None
    pgbouncer: bool | None
    statement_cache_size: int | None


class ConnectOptions(LibpqOptions, Limits, Preparing, total=False):
    """The options of `connect()`; None is the same as not giving one."""

    connection_limit: int | None
    schema: str | None
    sslaccept: str | None
