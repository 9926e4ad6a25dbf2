"""A TCP proxy in this process between the SDK and PostgreSQL, with the faults of networks.

It can reset connections, swallow bytes (with or without acknowledging them), be slow, and
cut a connection at a chosen statement. One thread moves the bytes of all connections.
"""

from __future__ import annotations

import ctypes
import re
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any

# Linux: a socket with this filter, "return 0", sees no packet and acknowledges none.
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
_FILTER = struct.pack("HL", 1, ctypes.addressof(_DROP_ALL))
# The protocol's BackendKeyData: its length, the number of the process, and the key to cancel with.
_SERVER_PROCESS = re.compile(rb"(K\0\0[\0\1].)....", re.DOTALL)


class Silence(Enum):
    """The fate of bytes in a blackhole."""

    #: Taken by the peer's kernel, read by nobody: a frozen process, a stuck load balancer.
    ACKNOWLEDGED = "acknowledged"
    #: Dropped on the way, as are attempts to connect: a firewall, a cable.
    DROPPED = "dropped"


class Cut(Enum):
    """Where a connection ends, seen from the statement that it is cut at."""

    BEFORE = "before it reaches the server"
    AFTER = "after the server has answered"


class Proxy:
    """Listens on `port` of 127.0.0.1 for a server on a Unix socket."""

    def __init__(self, upstream: Path) -> None:
        #: The server's socket; connections that are open keep the one that they have.
        self.upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        #: The servers whose next answer does not get through, and what does in its place, if any.
        self._answers_to_cut: dict[socket.socket, bytes | None] = {}
        self._lock = threading.RLock()
        self._silence: Silence | None = None
        self._cut: tuple[re.Pattern[bytes], Cut | bytes] | None = None
        self.delay = 0.0
        #: As poolers do, tell clients another number of their server process than the server's own.
        self.hides_the_server = False
        self._is_running = True
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def url(self, database: str, **parameters: Any) -> str:
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}?{query}"

    def reset(self) -> None:
        """End every connection at once, with RST instead of FIN."""
        with self._lock:
            for client in list(self._clients):
                self._end(client, reset=True)

    @contextmanager
    def blackhole(self, silence: Silence) -> Iterator[None]:
        """Let nothing through, either way; bytes sent meanwhile are lost or sent again."""
        with self._lock:
            self._silence = silence
            if silence is Silence.DROPPED:
                for each in (self._listener, *self._clients):
                    each.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _FILTER)
        try:
            yield
        finally:
            with self._lock:
                self._silence = None
                if silence is Silence.DROPPED:
                    for each in (self._listener, *self._clients):
                        with suppress(FileNotFoundError):  # It has no filter: it came meanwhile.
                            each.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)

    def cut_at(self, statement: str, cut: Cut | bytes) -> None:
        """Reset the next connection that sends this word; COMMITTED is another one.

        Bytes are what it gets in place of the answer, and it goes on then.
        """
        with self._lock:
            self._cut = (re.compile(rb"\b%s\b" % statement.encode()), cut)

    def close(self) -> None:
        self._is_running = False
        self._thread.join()
        with self._lock:
            for client in list(self._clients):
                self._end(client)
            self._listener.close()
            self._selector.close()

    def _run(self) -> None:
        while self._is_running:
            events = self._selector.select(0.02)
            if self._silence is not None:
                time.sleep(0.01)
                if self._silence is Silence.DROPPED:
                    continue
            with self._lock:
                for key, _ in events:
                    source: Any = key.fileobj
                    if source is self._listener:
                        self._accept()
                    elif source in self._peers:
                        self._move(source)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self.upstream))
        except OSError:  # The server is down.
            server.close()
            _close(client, reset=True)
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients.add(client)
        self._peers |= {client: server, server: client}
        for each in (client, server):
            self._selector.register(each, selectors.EVENT_READ)

    def _move(self, source: socket.socket) -> None:
        target = self._peers[source]
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._end(source)
            return
        if self._silence is not None:
            return
        if self.delay:
            time.sleep(self.delay)
        if source in self._answers_to_cut:
            instead = self._answers_to_cut.pop(source)
            if instead is None:
                self._end(target, reset=True)
                return
            data = instead
        if source in self._clients and self._cut is not None and self._cut[0].search(data):
            (_, cut), self._cut = self._cut, None
            if cut is Cut.BEFORE:
                self._end(source, reset=True)
                return
            self._answers_to_cut[target] = cut if isinstance(cut, bytes) else None
        if self.hides_the_server and target in self._clients:
            data = _SERVER_PROCESS.sub(rb"\g<1>1234", data)
        try:
            target.sendall(data)
        except OSError:
            self._end(source)

    def _end(self, one: socket.socket, reset: bool = False) -> None:
        other = self._peers.pop(one)
        del self._peers[other]
        for each in (one, other):
            self._selector.unregister(each)
            self._clients.discard(each)
            self._answers_to_cut.pop(each, None)
            _close(each, reset=reset and each.family == socket.AF_INET)


def _close(connection: socket.socket, *, reset: bool) -> None:
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
