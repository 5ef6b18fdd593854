"""A cluster of real Restate servers on this machine, and a load balancer before our endpoints.

Owns how nodes become a cluster (replicated metadata and logs, each node with every role) and
which endpoint a connection goes to. What a single server is, is server.py's.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from contextlib import ExitStack, suppress
from itertools import count
from typing import TYPE_CHECKING

import attrs

from .server import RestateServer, free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Self

_ROLES = ["worker", "admin", "http-ingress", "log-server", "metadata-server"]
_PIECE = 65_536


@attrs.define(eq=False)
class RestateCluster:
    """``size`` nodes that keep everything twice: any one of three may go. A context manager."""

    folder: Path
    settings: Mapping[str, str] = attrs.field(factory=dict[str, str])
    size: int = 3
    nodes: list[RestateServer] = attrs.field(init=False)
    _stack: ExitStack = attrs.field(factory=ExitStack, init=False)

    def __attrs_post_init__(self) -> None:
        ports = [free_ports() for _ in range(self.size)]
        addresses = json.dumps([f"http://127.0.0.1:{node}" for _, _, node in ports])
        self.nodes = []
        for number, each in enumerate(ports):
            folder = self.folder / f"node-{number}"
            folder.mkdir()
            settings = {
                **self.settings,
                "RESTATE_CLUSTER_NAME": "durable-trio",
                "RESTATE_NODE_NAME": folder.name,
                "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{each[2]}",
                "RESTATE_ROLES": json.dumps(_ROLES),
                "RESTATE_METADATA_CLIENT__TYPE": "replicated",
                "RESTATE_METADATA_CLIENT__ADDRESSES": addresses,
                "RESTATE_BIFROST__DEFAULT_PROVIDER": "replicated",
                "RESTATE_DEFAULT_REPLICATION": "2",
                # One of them makes the cluster, the others join.
                "RESTATE_AUTO_PROVISION": json.dumps(number == 0),
            }
            self.nodes.append(RestateServer(folder, settings, each))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.push(node)
                node.launch()
            for node in self.nodes:
                node.until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Balancer:
    """Connections to one port, given to each of ``targets`` in turn; one that is not there is
    passed over. A context manager.
    """

    def __init__(self, targets: Sequence[int]) -> None:
        self._targets = targets
        self._turn = count()
        self.taken = Counter[int]()
        """How many connections each target has had."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone does not wake who accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connect()
                if server is None:
                    client.close()
                    continue

                for pair in ((client, server), (server, client)):
                    threading.Thread(target=_forward, args=pair, daemon=True).start()

    def _connect(self) -> socket.socket | None:
        for _ in self._targets:
            port = self._targets[next(self._turn) % len(self._targets)]
            with suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", port))
                self.taken[port] += 1
                return connection
        return None


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError), source:
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
