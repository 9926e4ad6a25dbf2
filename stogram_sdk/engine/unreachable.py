"""What was in the way of a connection.

libpq gives no SQLSTATE for a connection that it could not make, only words: its own, and those of
the server, in English or in the server's language. Known are English and Russian. The words also
name host, user and database, so none of them is repeated.
"""

from __future__ import annotations

import re

from stogram_sdk.errors import Unavailable

# What the words are looked through for, what is said instead, and the SQLSTATE of the server.
_REASONS = tuple(
    (re.compile(words), reason, sqlstate)
    for words, reason, sqlstate in (
        (r"could not translate host name", "no host of this name is known", None),
        (r"Connection refused|No such file or directory", "nobody listens at this address", None),
        (r"Network is unreachable|No route to host", "no network leads to this address", None),
        (r"timeout expired|timed out", "no answer in time (connect_timeout)", None),
        (
            # libpq itself may say nothing then.
            r"Too many open files|Слишком много открытых файлов|^$",
            "this process, or its system, has too many files open",
            None,
        ),
        (
            r"no password supplied|authentication failed|не прошёл проверку подлинности",
            "the user name or the password is wrong",
            "28P01",
        ),
        (
            r'role ".*" does not exist|роль ".*" не существует|no such user'
            r"|pg_hba\.conf|not permitted to log in|вход запрещён",
            "the server does not let this user in",
            "28000",
        ),
        (
            r"SSL|TLS|certificate file|certificate chain|root\.crt",
            "the server and this client do not agree about TLS (sslmode, sslrootcert)",
            None,
        ),
        (
            r'database ".*" does not exist|база данных ".*" не существует|no such database',
            "there is no such database",
            "3D000",
        ),
        (
            r"permission denied for database|доступ к базе .* запрещён",
            "the user has no right to this database",
            "42501",
        ),
        (
            r"too many c|connection slots are reserved|no more connections allowed"
            r"|слишком много|слоты подключений",
            "the server has too many connections",
            "53300",
        ),
        (
            r"(database system|not) .*(starting|shutting|recovery|accepting)"
            r"|система (БД|баз данных)|не принимает подключения",
            "the server is starting or shutting down",
            "57P03",
        ),
        (
            r"session is (not )?read-only|server is (not )?in hot standby",
            "no server is of the kind that is asked for (target_session_attrs)",
            None,
        ),
    )
)


def unreachable(error: Exception) -> Unavailable:
    """The error for a connection that could not be made; of several hosts, each has its reason."""
    found = {}
    for line in str(error).splitlines() or [""]:
        for words, reason, sqlstate in _REASONS:
            if words.search(line):
                found[reason] = sqlstate
                break
    reasons = "; ".join(found) or "the server refused the connection"
    sqlstates = [sqlstate for sqlstate in found.values() if sqlstate]
    return Unavailable(
        f"the database cannot be reached: {reasons}",
        sqlstate=sqlstates[-1] if sqlstates else None,
    )
