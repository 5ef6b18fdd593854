"""Several Restate servers that are one: a cluster on loopback ports. A context manager."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs

from .server import RestateServer, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_ROLES = ["admin", "worker", "log-server", "metadata-server", "http-ingress"]


@attrs.define(eq=False)
class RestateCluster:
    """Nodes with all roles, each partition on two of them: one may be missing."""

    folder: Path
    settings: Mapping[str, str] = attrs.field(factory=dict[str, str])
    size: int = 3
    nodes: list[RestateServer] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        ports = [(free_port(), free_port(), free_port()) for _ in range(self.size)]
        urls = [f"http://127.0.0.1:{node}" for _, _, node in ports]
        self.nodes = []
        for number, url in enumerate(urls):
            folder = self.folder / f"node-{number}"
            folder.mkdir()
            settings = {
                **self.settings,
                "RESTATE_CLUSTER_NAME": "durable-trio",
                "RESTATE_NODE_NAME": f"node-{number}",
                "RESTATE_ROLES": json.dumps(_ROLES),
                "RESTATE_ADVERTISED_ADDRESS": url,
                "RESTATE_AUTO_PROVISION": str(number == 0).lower(),
                "RESTATE_BIFROST__DEFAULT_PROVIDER": "replicated",
                "RESTATE_DEFAULT_REPLICATION": "2",
                "RESTATE_METADATA_SERVER__TYPE": "replicated",
                "RESTATE_METADATA_CLIENT__ADDRESSES": json.dumps(urls),
            }
            self.nodes.append(RestateServer(folder, settings, ports[number]))

    def __enter__(self) -> Self:
        try:
            with ThreadPoolExecutor(self.size) as pool:
                # None of them is ready before another one is there.
                list(pool.map(RestateServer.start, self.nodes))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for node in self.nodes:
            node.__exit__(exc_type, exc, traceback)
