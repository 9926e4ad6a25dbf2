"""The options of `connect()`, grouped by their use; `database_url` explains each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict


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
    fallback_application_name: str | None
    gssdelegation: str | None
    gssencmode: str | None
    gsslib: str | None
    host: str | None
    hostaddr: str | None
    krbsrvname: str | None
    load_balance_hosts: str | None
    options: str | None
    passfile: str | None
    password: str | None
    port: int | str | None
    require_auth: str | None
    requirepeer: str | None
    service: str | None
    ssl_max_protocol_version: str | None
    ssl_min_protocol_version: str | None
    sslcert: str | None
    sslcertmode: str | None
    sslcompression: str | None
    sslcrl: str | None
    sslcrldir: str | None
    sslkey: str | None
    sslmode: str | None
    sslnegotiation: str | None
    sslpassword: str | None
    sslrootcert: str | None
    sslsni: str | None
    target_session_attrs: str | None
    user: str | None


class Limits(TypedDict, total=False):
    """Limits of time, in seconds."""

    connect_timeout: float | None
    idle_in_transaction_session_timeout: float | None
    lock_timeout: float | None
    max_idle_connection_lifetime: float | None
    max_standby_lag: float | None
    pool_timeout: float | None
    socket_timeout: float | None
    standby_patience: float | None
    statement_timeout: float | None


class Preparing(TypedDict, total=False):
    """Whether statements are prepared; the last two are Prisma's."""

    prepare: bool | None
    pgbouncer: bool | None
    statement_cache_size: int | None


class DatabaseOptions(LibpqOptions, Limits, Preparing, total=False):
    """The options of one database, which its URL may hold too."""

    connection_limit: int | None
    schema: str | None
    sslaccept: str | None


#: Where functions that only read go.
Reading = Literal["primary", "standby"]


class ConnectOptions(DatabaseOptions, total=False):
    """The options of `connect()`; None is the same as not giving one."""

    read: Reading | None
    read_url: str | Sequence[str] | None
