"""AWS Lambda's API as far as a Restate server uses it: one function, called with events.

Owns an HTTP server on loopback, in threads of its own. ``SETTINGS`` make a Restate server use it.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ARN = "arn:aws:lambda:us-east-1:123456789012:function:handlers:1"


@attrs.frozen
class LambdaApi:
    """Where it is, and what it was asked and has answered."""

    url: str
    events: list[dict[str, Any]] = attrs.field(factory=list[Any])
    results: list[dict[str, Any]] = attrs.field(factory=list[Any])

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a Restate server that uses it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def lambda_api(
    function: Callable[[dict[str, Any], object], dict[str, Any]],
) -> Generator[LambdaApi]:
    """The API, with ``function`` behind every ARN."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            event = json.loads(body)
            result = function(event, None)
            api.events.append(event)
            api.results.append(result)
            data = json.dumps(result).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api = LambdaApi(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
