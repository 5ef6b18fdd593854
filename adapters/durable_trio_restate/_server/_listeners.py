"""Where a server listens.

Owns the notation of ``bind`` and what is said when it cannot be had.
"""

from __future__ import annotations

import re
import socket
from typing import Final

from durable_trio._exceptions import UsageError
from durable_trio._listening import another_address

_BACKLOG: Final = 1024
_UNIX: Final = "unix:"
_PORT: Final = re.compile(r"[0-9]{1,5}")
_LAST_PORT: Final = 65_535
_ANOTHER_PATH: Final = (
    "Choose a path in a directory that is there and may be written, where nothing is yet."
)


def open_sockets(bind: str) -> list[socket.socket]:
    """Sockets that listen on host:port or ``unix:PATH``. ``UsageError`` if they cannot."""
    try:
        if bind.startswith(_UNIX):
            return [_unix_socket(bind.removeprefix(_UNIX))]

        host, port = split_address(bind)
        return _tcp_sockets(host, port)
    except socket.gaierror as exc:
        raise UsageError(
            f"cannot listen on {bind}: {exc.strerror}. What is before the port is no name or "
            "address of this machine."
        ) from exc
    except (OSError, OverflowError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        remedy = _ANOTHER_PATH if bind.startswith(_UNIX) else another_address(exc)
        raise UsageError(f"cannot listen on {bind}: {reason}. {remedy}") from exc


def split_address(bind: str) -> tuple[str, int]:
    """Host and port. ``UsageError`` for anything else."""
    host, separator, port = bind.rpartition(":")
    if not separator or not _PORT.fullmatch(port) or int(port) > _LAST_PORT:
        raise UsageError(
            f"expected HOST:PORT or unix:PATH to listen on, with a port of 0 to {_LAST_PORT}; "
            f"got {bind!r}"
        )

    return host.strip("[]"), int(port)


def _tcp_sockets(host: str, port: int) -> list[socket.socket]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    try:
        for family, kind, number, _name, address in dict.fromkeys(found):
            # All families on one port, also if any free one is asked for.
            wanted = (address[0], opened[0].getsockname()[1], *address[2:]) if opened else address
            each = socket.socket(family, kind, number)
            opened.append(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind(wanted)
            each.listen(_BACKLOG)
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


def _unix_socket(path: str) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.bind(path)
        opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def prepare(accepted: socket.socket) -> None:
    """Options of a connection: small writes leave at once, and dead peers are found."""
    accepted.setblocking(False)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if accepted.family != socket.AF_UNIX:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
