"""The server's own `DATABASE_URL` is read as it is."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import parse_dsn

import stogram_sdk as sdk
from stogram_sdk.engine.database_url import DatabaseSettings, read_database_url
from stogram_sdk.engine.options import DatabaseOptions, LibpqNumbers, LibpqOptions

POSTGRES = "postgresql://user:pass@host:5432/stogram_db"


def libpq(url: str, **options: Any) -> dict[str, Any]:
    return dict(read_database_url(url, **options).libpq)


# --- Where it is ---


def test_the_url_of_the_guide() -> None:
    settings = read_database_url(
        "postgresql://user:p%40ss@host:5432/stogram_db?schema=public&connection_limit=10"
        "&pool_timeout=10&sslmode=require"
    )
    assert settings == DatabaseSettings(
        engine="postgresql",
        database="stogram_db",
        schema_name="public",
        connection_limit=10,
        pool_timeout=10,
        libpq={
            "user": "user",
            "password": "p@ss",
            "host": "host",
            "port": "5432",
            "sslmode": "require",
        },
    )


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("postgres://h/db", {"host": "h"}),
        ("postgresql://h:1/db", {"host": "h", "port": "1"}),
        ("postgresql:///db", {}),
        ("postgresql://u@h/db", {"user": "u", "host": "h"}),
        (
            "postgresql://%D0%B8:%D1%8F%2F%3F%23%5B%25@h/db",
            {"user": "и", "password": "я/?#[%", "host": "h"},
        ),
        ("postgresql://u:a+b@h/db", {"user": "u", "password": "a+b", "host": "h"}),
        ("postgresql://u@[::1]:5432/db", {"user": "u", "host": "::1", "port": "5432"}),
        (
            "postgresql://u@/db?host=/var/run/postgresql",
            {"user": "u", "host": "/var/run/postgresql"},
        ),
        ("postgresql://U@%2FVar%2Frun/db", {"user": "U", "host": "/Var/run"}),
        (
            "postgresql:///db?host=/socket&port=5433&user=x&password=y",
            {"host": "/socket", "port": "5433", "user": "x", "password": "y"},
        ),
        ("postgresql://h1:5432,h2:5433/db", {"host": "h1,h2", "port": "5432,5433"}),
        ("postgresql://h1,[::1]:5433/db", {"host": "h1,::1", "port": ",5433"}),
        (
            "postgresql://h1,h2/db?target_session_attrs=read-write&load_balance_hosts=random",
            {
                "host": "h1,h2",
                "port": ",",
                "target_session_attrs": "read-write",
                "load_balance_hosts": "random",
            },
        ),
        ("postgresql://u:a?b@h/db", {"user": "u", "password": "a?b", "host": "h"}),
        ("postgresql://h?dbname=db&ssl=true", {"host": "h", "sslmode": "require"}),
    ],
)
def test_every_part_is_decoded(url: str, parts: dict[str, Any]) -> None:
    settings = read_database_url(url)
    assert (settings.database, dict(settings.libpq)) == ("db", parts)


words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
coded = words.map(lambda word: quote(word, safe=""))
addresses = st.sampled_from(
    ["h", "h1.example.com", "10.0.0.5", "[::1]", "[fe80::1%25eth0]", "%2Frun"]
)
ports = st.one_of(st.just(""), st.integers(1, 65_535).map(lambda port: f":{port}"))
servers = st.lists(st.tuples(addresses, ports).map("".join), max_size=3).map(",".join)
users = st.one_of(st.just(""), coded, st.tuples(coded, st.just(":"), coded).map("".join))
parameters = st.tuples(
    st.sampled_from(
        sorted(
            LibpqOptions.__optional_keys__
            - {*LibpqNumbers.__optional_keys__, "port", "sslcert", "sslmode"}
        )
    ),
    st.one_of(coded, st.sampled_from(["a+b", "h1,h2", "/socket", "read-write", "a@b", "c:d?"])),
).map("=".join)
PRISMAS = "schema=public&connection_limit=3&pool_timeout=1&pgbouncer=true&sslaccept=strict"


@given(
    user=users,
    server=servers,
    database=coded,
    query=st.lists(st.one_of(parameters, st.sampled_from(PRISMAS.split("&"))), max_size=5),
)
def test_a_url_is_read_as_libpq_reads_it(
    user: str, server: str, database: str, query: list[str]
) -> None:
    place = f"postgresql://{user}{user and '@'}{server}/{database}"
    libpqs = "&".join(pair for pair in query if pair not in PRISMAS)
    expected = {name: value for name, value in parse_dsn(f"{place}?{libpqs}").items() if value}
    settings = read_database_url(f"{place}?{'&'.join(query)}")
    if "sslaccept=strict" in query:
        expected["sslmode"] = "verify-full"
    assert {"dbname": settings.database, **settings.libpq} == expected
    assert settings.schema_name == ("public" if "schema=public" in query else None)


def test_the_name_of_the_database_is_decoded() -> None:
    assert read_database_url("postgresql://h/%D0%B1%D0%B4%20%2F1").database == "бд /1"


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("sqlite:///stogram.db", "stogram.db"),
        ("sqlite:///a/b%20c.db", "a/b c.db"),
        ("sqlite:////var/lib/stogram.db", "/var/lib/stogram.db"),
        ("sqlite:///:memory:?connect_timeout=5", ":memory:"),
    ],
)
def test_an_embedded_database_is_a_path(url: str, database: str) -> None:
    assert read_database_url(url) == DatabaseSettings(engine="sqlite", database=database)


def test_the_environment_is_asked_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STOGRAM_DATABASE_URL", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert read_database_url() == read_database_url("sqlite:///stogram.db")
    monkeypatch.setenv("DATABASE_URL", "sqlite:///servers.db")
    assert read_database_url().database == "servers.db"
    monkeypatch.setenv("STOGRAM_DATABASE_URL", "sqlite:///own.db")
    assert read_database_url().database == "own.db"
    assert read_database_url("sqlite:///given.db").database == "given.db"


# --- The parameters ---


@pytest.mark.parametrize(
    ("parameter", "field", "value"),
    [
        ("schema=stogram", "schema_name", "stogram"),
        ("schema=", "schema_name", None),
        ("connection_limit=3", "connection_limit", 3),
        ("pool_timeout=2.5", "pool_timeout", 2.5),
        ("pool_timeout=0", "pool_timeout", 0),
        ("socket_timeout=7", "statement_timeout", 7),
        ("statement_timeout=7", "statement_timeout", 7),
        ("statement_timeout=7&socket_timeout=9", "statement_timeout", 7),
        ("max_idle_connection_lifetime=30", "max_idle_connection_lifetime", 30),
        ("lock_timeout=1", "lock_timeout", 1),
        ("idle_in_transaction_session_timeout=9", "idle_in_transaction_session_timeout", 9),
    ],
)
def test_a_parameter_becomes_a_setting(parameter: str, field: str, value: Any) -> None:
    settings = read_database_url(f"{POSTGRES}?{parameter}")
    assert getattr(settings, field) == value
    assert settings.libpq == read_database_url(POSTGRES).libpq


@pytest.mark.parametrize(
    ("parameter", "translated"),
    [
        ("connect_timeout=3", {"connect_timeout": 3}),
        ("connect_timeout=0.9", {"connect_timeout": 1}),
        ("connect_timeout=1.1", {"connect_timeout": 2}),
        ("connect_timeout=0", {"connect_timeout": 0}),
        ("sslmode=prefer", {"sslmode": "prefer"}),
        ("hostaddr=10.0.0.5", {"hostaddr": "10.0.0.5"}),
        ("sslmode=require&sslaccept=strict", {"sslmode": "verify-full"}),
        ("sslmode=require&sslaccept=accept_invalid_certs", {"sslmode": "require"}),
        ("sslcert=ca.pem", {"sslrootcert": "ca.pem"}),
        ("sslcert=c.pem&sslkey=k.pem", {"sslcert": "c.pem", "sslkey": "k.pem"}),
        ("sslkey=k.pem&sslpassword=a%26b", {"sslkey": "k.pem", "sslpassword": "a&b"}),
        ("application_name=my%20service", {"application_name": "my service"}),
        ("options=-c%20geqo%3Doff", {"options": "-c geqo=off"}),
        ("target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
        ("pgbouncer=true&statement_cache_size=0", {}),
        ("keepalives_idle=9&tcp_user_timeout=9", {"keepalives_idle": 9, "tcp_user_timeout": 9}),
    ],
)
def test_a_parameter_is_translated_for_libpq(parameter: str, translated: dict[str, Any]) -> None:
    assert libpq(f"{POSTGRES}?{parameter}") == libpq(POSTGRES) | translated


def test_options_go_before_the_url() -> None:
    settings = read_database_url(
        f"{POSTGRES}?connection_limit=3&sslmode=require",
        connection_limit=5,
        schema="s",
        sslmode=None,
    )
    assert (settings.connection_limit, settings.schema_name) == (5, "s")
    assert settings.libpq["sslmode"] == "require", "None is as not given"


@pytest.mark.parametrize(
    ("parameter", "field"),
    [
        ("surprise=1", "surprise"),
        ("Schema=public", "Schema"),
        ("connection_limit=0", "connection_limit"),
        ("connection_limit=-1", "connection_limit"),
        ("connection_limit=many", "connection_limit"),
        ("connection_limit=", "connection_limit"),
        ("pool_timeout=-1", "pool_timeout"),
        ("pool_timeout=nan", "pool_timeout"),
        ("pool_timeout=inf", "pool_timeout"),
        ("connect_timeout=1e99", "connect_timeout"),
        ("socket_timeout=soon", "socket_timeout"),
        ("keepalives_idle=soon", "keepalives_idle"),
        ("tcp_user_timeout=soon", "tcp_user_timeout"),
        ("sslmode=maybe", "sslmode"),
        ("sslaccept=maybe", "sslaccept"),
        ("sslidentity=id.p12", "sslidentity"),
        ("schema=a%22b", "schema"),
        ("port=0", "port"),
        ("port=70000", "port"),
        ("port=1,x", "port"),
        ("client_encoding=latin1", "client_encoding"),
    ],
)
def test_a_parameter_that_cannot_be_right_is_named(parameter: str, field: str) -> None:
    with pytest.raises(sdk.InvalidInput) as error:
        read_database_url(f"{POSTGRES}?{parameter}")
    assert error.value.field == field
    assert field in str(error.value)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"surprise": 1}, "surprise"),
        ({"schema": 5}, "schema"),
        ({"schema": "a\x00"}, "schema"),
        ({"connection_limit": True}, "connection_limit"),
        ({"connection_limit": [1]}, "connection_limit"),
        ({"pool_timeout": "x"}, "pool_timeout"),
        ({"sslmode": 5}, "sslmode"),
        ({"sslmode": ["require"]}, "sslmode"),
        ({"host": 5}, "host"),
        ({"application_name": "a\ud800"}, "application_name"),
        ({"sslaccept": []}, "sslaccept"),
        ({"pool_size": 5}, "pool_size"),
    ],
)
def test_an_option_that_cannot_be_right_is_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(sdk.InvalidInput) as error:
        read_database_url(POSTGRES, **options)
    assert error.value.field == field
    assert field in str(error.value)


@pytest.mark.parametrize("url", [POSTGRES, "sqlite:///a.db"])
def test_an_unknown_option_is_not_said_to_be_in_the_url(url: str) -> None:
    """Whoever guesses its name is told where the names are."""
    with pytest.raises(sdk.InvalidInput) as error:
        read_database_url(url, **cast(DatabaseOptions, {"pool_size": 5}))
    assert str(error.value).startswith("unknown parameter 'pool_size' of connect() or ")
    assert "docs/connections.md" in str(error.value)


def test_every_option_with_a_type_is_known() -> None:
    values = dict.fromkeys(DatabaseOptions.__optional_keys__, "1")
    values |= {"prepare": "true", "pgbouncer": "false"}
    values |= {"sslmode": "require", "sslaccept": "strict"}
    assert read_database_url(POSTGRES, **cast(DatabaseOptions, values)).schema_name == "1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "stogram.db",
        "mysql://u:p@h/db",
        "sqlite://stogram.db",
        "sqlite:///",
        "sqlite:///a%00b",
        "sqlite:///a.db?surprise=1",
        "sqlite:///a.db?sslmode=require",
        "postgresql://u:p@h",
        "postgresql://u:p@h/",
        "postgresql://u:p@h:port/db",
        "postgresql://u:p@h:99999/db",
        "postgresql://[u/db",
        "postgresql://h/db?password",
        "postgresql://u:p%zz@h/db",
        "postgresql://u:p/u:p?u:p@h/db",
        "postgresql://u:1/2?u=p@h/db",
        "postgresql://u:p%00@h/db",
        "postgresql://u:p@h/d%00b",
        "postgresql://u:p@h/db?application_name=a%00b",
        "postgresql://u:p\ud800@h/db",
        5,
        b"sqlite:///a.db",
        ["sqlite:///a.db"],
    ],
)
def test_a_url_that_cannot_be_right_is_refused_without_being_repeated(url: Any) -> None:
    with pytest.raises(sdk.InvalidInput) as error:
        read_database_url(url)
    assert "u:p" not in str(error.value)


def test_what_the_server_does_not_take_leaves_the_connection_as_it_was(engine: str) -> None:
    before = sdk.db.obj
    with pytest.raises(sdk.Unavailable):
        sdk.connect("postgresql://u:p@127.0.0.1:1/db")
    with pytest.raises(sdk.Unavailable):
        sdk.connect("sqlite:////no/such/directory/stogram.db")
    with pytest.raises(sdk.InvalidInput):
        sdk.connect("sqlite:///a.db?surprise=1")
    assert sdk.db.obj is before
    assert sdk.find_user("nobody") is None
