"""The web server of the studio, for the people of one machine."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from typing import Any

import click

from stogram_sdk.command.migrate import status
from stogram_sdk.database import close, connect
from stogram_sdk.errors import MigrationError, StogramError


def serve(*, host: str, port: int, write: bool) -> None:
    """Serve the studio until Ctrl-C; prints the address to open.

    Raises `MigrationError` if a migration is pending: the studio shows what they make.
    """
    make_app = _imported()
    if pending := status().pending:
        raise MigrationError(f"run `stogram migrate` first; pending: {', '.join(pending)}")
    connect()
    token = secrets.token_urlsafe(32)
    server = web_server(host, port, make_app(token=token, host=host, write=write))
    mode = "may write" if write else "read-only; --write lets it change rows"
    click.echo(f"Stogram studio, {mode}. Ctrl-C ends it. Open:")
    click.echo(f"    {address(host, port_of(server))}/?token={token}")
    if not _is_loopback(host):
        click.echo("Whoever has this address can read the database, and nothing encrypts the way.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
        close()


def _imported() -> Any:
    try:
        from stogram_sdk.studio.app import make_app
    except ModuleNotFoundError as error:
        raise StogramError(
            f"the studio needs {error.name}: pip install 'stogram-sdk[studio]'"
        ) from error
    return make_app


def web_server(host: str, port: int, app: Any) -> Any:
    """A server that has taken its port. Raises `StogramError` if it cannot be had."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        """Logs no request: the first one holds the token."""

        def log_request(self, *_: object) -> None:
            pass

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise StogramError(
            f"port {port} of {host} is not to be had: choose another --port, or --host"
        ) from error
    with listening:
        options: dict[str, Any] = {"threaded": True, "request_handler": Quiet}
        return make_server(host, port, app, fd=listening.fileno(), **options)


def port_of(server: Any) -> int:
    """The port on which it listens."""
    port: int = server.socket.getsockname()[1]
    return port


def address(host: str, port: int) -> str:
    """The beginning of the address under which the studio is reached from this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
