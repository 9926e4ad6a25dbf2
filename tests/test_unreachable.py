"""A connection that cannot be made: the error says what is in the way, and gives nothing away."""

from __future__ import annotations

import shutil
import socket
import struct
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

import stogram_sdk as sdk
from tests.support.postgres import Cluster, PostgresServer, server_binaries
from tests.support.proxy import Proxy
from tests.support.states import stogram

pytestmark = pytest.mark.slow

SECRET = "пароль@/:?#'\\ 1"


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[Path, int]]:
    """A server that asks for passwords: the directory of its socket, and a port of 127.0.0.1."""
    directory = Path(tempfile.mkdtemp(prefix="stogram-unreachable-"))
    try:
        binaries = server_binaries(directory)
        cluster = Cluster(
            directory, binaries, "max_connections=6", "superuser_reserved_connections=1"
        )
        cluster.start()
        proxy = Proxy(cluster.socket)
        try:
            server = PostgresServer(f"postgresql://postgres@/postgres?host={directory}", binaries)
            for role in ("alice", "crowd CONNECTION LIMIT 0", "rejected", "sleeper NOLOGIN"):
                server.execute(
                    f"CREATE ROLE {role}" if "NOLOGIN" in role else f"CREATE USER {role}"
                )
            password = SECRET.replace("'", "''").replace("\\", "\\\\")
            server.execute(f"ALTER USER alice PASSWORD E'{password}'")
            server.execute("CREATE DATABASE closed")
            server.execute("REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
            rules = ["local all alice scram-sha-256", "local all rejected reject"]
            (directory / "data/pg_hba.conf").write_text(
                "\n".join([*rules, "local all all trust", ""])
            )
            server.execute("SELECT pg_reload_conf()")
            yield directory, proxy.port
        finally:
            proxy.close()
            cluster.stop("immediate")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def refusal(url: str, **options: object) -> sdk.Unavailable:
    with pytest.raises(sdk.Unavailable) as error:
        sdk.connect(url, **options)  # type: ignore[arg-type]  # a test may give anything
    assert error.value.safe_to_retry
    shown = "".join(traceback.format_exception(error.value))
    for form in (SECRET, quote(SECRET, safe=""), repr(SECRET)[1:-1], "пароль", "%D0%BF"):
        assert form not in shown
    return error.value


def login(directory: Path, user: str, password: str = "", database: str = "postgres") -> str:
    return f"postgresql://{user}:{quote(password, safe='')}@/{database}?host={directory}"


@pytest.mark.parametrize(
    ("user", "password", "database", "words", "sqlstate"),
    [
        ("alice", SECRET + "!", "postgres", "name or the password is wrong", "28P01"),
        ("alice", "", "postgres", "name or the password is wrong", "28P01"),
        ("nobody_known", SECRET, "postgres", "does not let this user in", "28000"),
        ("rejected", SECRET, "postgres", "does not let this user in", "28000"),
        ("sleeper", SECRET, "postgres", "does not let this user in", "28000"),
        ("alice", SECRET, "missing", "there is no such database", "3D000"),
        ("alice", SECRET, "closed", "no right to this database", "42501"),
        ("crowd", SECRET, "postgres", "too many connections", "53300"),
    ],
)
def test_the_server_says_no(
    address: tuple[Path, int], user: str, password: str, database: str, words: str, sqlstate: str
) -> None:
    error = refusal(login(address[0], user, password, database))
    assert words in str(error)
    assert error.sqlstate == sqlstate


@pytest.mark.parametrize("command", ["migrate", "status", "check", "backfill"])
def test_a_command_with_a_wrong_password_is_one_line(
    address: tuple[Path, int], command: str
) -> None:
    done = stogram(login(address[0], "alice", SECRET + "!"), command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: the database cannot be reached: the user name or the password is wrong. "
        "$STOGRAM_DATABASE_URL says where it is, and as whom to enter it\n"
    )


def test_every_connection_of_the_server_is_taken(address: tuple[Path, int]) -> None:
    url = login(address[0], "alice", SECRET)
    with ExitStack() as taken:
        with suppress(psycopg2.OperationalError):
            for _ in range(6):
                taken.callback(psycopg2.connect(url).close)
        error = refusal(url)
    assert "too many connections" in str(error)
    assert error.sqlstate == "53300"


def test_the_server_knows_no_tls(address: tuple[Path, int]) -> None:
    error = refusal(
        f"postgresql://alice:{quote(SECRET, safe='')}@127.0.0.1:{address[1]}/postgres?ssl=true"
    )
    assert "TLS" in str(error)


def test_a_certificate_of_an_authority_that_is_not_there(address: tuple[Path, int]) -> None:
    place = f"postgresql://127.0.0.1:{address[1]}/postgres"
    assert "TLS" in str(refusal(f"{place}?sslmode=verify-full&sslrootcert=/no/such/file"))


def test_no_server_is_of_the_kind_that_is_asked_for(address: tuple[Path, int]) -> None:
    url = login(address[0], "alice", SECRET)
    assert "target_session_attrs" in str(refusal(url, target_session_attrs="read-only"))


def test_of_several_hosts_each_has_its_reason(address: tuple[Path, int]) -> None:
    hosts = f"host=127.0.0.1,{address[0]}&port=1,5432"
    error = refusal(f"postgresql:///postgres?user=alice&password={quote(SECRET, safe='')}1&{hosts}")
    assert "nobody listens" in str(error) and "password is wrong" in str(error)


@pytest.mark.parametrize("place", ["127.0.0.1:1", "%2Fno%2Fsuch%2Fdirectory"])
def test_nobody_listens(place: str) -> None:
    assert "nobody listens" in str(refusal(f"postgresql://u:{quote(SECRET, safe='')}@{place}/db"))


def test_nobody_knows_the_host() -> None:
    url = f"postgresql://u:{quote(SECRET, safe='')}@no-such-host.invalid/db"
    assert "no host of this name" in str(refusal(url))


@pytest.mark.parametrize(("limit", "least", "most"), [(0.2, 0.9, 1.8), (0.9, 0.9, 1.8)])
def test_no_answer_comes_in_time(limit: float, least: float, most: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        url = f"postgresql://u:{quote(SECRET, safe='')}@127.0.0.1:{silent.getsockname()[1]}/db"
        assert "no answer in time" in str(refusal(url, connect_timeout=limit))
        assert least < time.monotonic() - began < most


@contextmanager
def answering(words: str) -> Iterator[str]:
    """The URL of a server that answers every connection with a fatal error in these words."""
    fields = [b"SFATAL", b"VFATAL", b"C28000", b"M" + words.encode(), b"", b""]
    body = b"\0".join(fields[:-1]) + b"\0"

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"E" + struct.pack("!I", len(body) + 4) + body)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=answer, args=[listener])
        thread.start()
        try:
            port = listener.getsockname()[1]
            place = f"postgresql://u:{quote(SECRET, safe='')}@127.0.0.1:{port}/db"
            yield f"{place}?sslmode=disable&gssencmode=disable"
        finally:
            thread.join()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("the database system is starting up", "starting or shutting down"),
        ("the database system is in recovery mode", "starting or shutting down"),
        ("the database system is not yet accepting connections", "starting or shutting down"),
        ("no more connections allowed (max_client_conn)", "too many connections"),
        ("no such database: db", "no such database"),
        ("SASL authentication failed", "password is wrong"),
        ('пользователь "u" не прошёл проверку подлинности (по паролю)', "password is wrong"),
        ('база данных "db" не существует', "no such database"),
        ('роль "u" не существует', "does not let this user in"),
        ("извините, уже слишком много клиентов", "too many connections"),
        ("система баз данных запускается", "starting or shutting down"),
        ("could not create socket: Too many open files", "too many files open"),
        ("не удалось создать сокет: Слишком много открытых файлов", "too many files open"),
        ("something that nobody has thought of", "the server refused the connection"),
    ],
)
def test_what_servers_say_in_other_words(words: str, reason: str) -> None:
    with answering(words) as url:
        assert reason in str(refusal(url))
