"""curl against ``durable-trio serve``: each version of HTTP that it speaks, on one port."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.client.curl import Got, curl

from .certificate import write_certificate
from .command import serving

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "application/vnd.restate.endpointmanifest.v4+json"
VERSIONS = [
    (["--http1.1"], "HTTP/1.1"),
    (["--http1.0"], "HTTP/1.1"),
    (["--http2-prior-knowledge"], "HTTP/2"),
    (["--http2"], "HTTP/1.1"),  # it asks for an upgrade, which is not taken
]


def got(*lines: list[str]) -> list[Got]:
    """What these lines of curl get."""

    async def main() -> list[Got]:
        return [await curl(*line) for line in lines]

    return anyio.run(main)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_clear_text(tmp_path: Path, backend: str) -> None:
    """HTTP/1.1 and HTTP/2 with prior knowledge."""
    (tmp_path / "large").write_bytes(b"x" * 300_000)
    with serving(tmp_path, "--backend", backend) as server:
        for options, version in VERSIONS:
            invoke = [*options, f"{server.url}/invoke/Work/hello"]
            health, manifest, refused, nothing, large, chunked, headless = got(
                [*options, f"{server.url}/health"],
                [*options, f"{server.url}/discover", "-H", f"accept: {MANIFEST}"],
                [*options, f"{server.url}/discover", "-H", "accept: text/html"],
                [*options, f"{server.url}/nothing"],
                # curl waits for 100 Continue over HTTP/1.1, and for windows over HTTP/2.
                [*invoke, "--data-binary", f"@{tmp_path / 'large'}"],
                [*invoke, "-H", "transfer-encoding: chunked", "-d", "x"],
                [*options, f"{server.url}/health", "--head"],
            )

            assert {version} == {each.version for each in (health, manifest, refused, nothing)}
            assert (200, "ok") == (health.status, health.body)
            assert MANIFEST == manifest.headers["content-type"]
            assert ["Work"] == [each["name"] for each in json.loads(manifest.body)["services"]]
            assert [415, 404, 415, 415] == [
                each.status for each in (refused, nothing, large, chunked)
            ]
            assert (200, "") == (headless.status, headless.body)
        assert 0 == server.stop()


def test_tls(tmp_path: Path) -> None:
    """By ALPN HTTP/2, or what the client would rather have; clear text is no TLS."""
    certificate, key = write_certificate(tmp_path)
    options = ["--tls-cert", certificate, "--tls-key", key]
    with serving(tmp_path, *options, scheme="https") as server:
        url = f"{server.url}/health"
        trust = ["--cacert", str(certificate)]
        best, second = got([*trust, url], [*trust, "--http1.1", url])
        with pytest.raises(Exception, match="returned non-zero exit status"):
            got([url.replace("https", "http")])
        [again] = got([*trust, url])

        assert ["HTTP/2", "HTTP/1.1", "HTTP/2"] == [best.version, second.version, again.version]
        assert 0 == server.stop()
