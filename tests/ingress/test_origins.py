"""Who may ask."""

from __future__ import annotations

import anyio
import pytest

from durable_trio import Context, Service
from durable_trio.local.http._messages import Request
from durable_trio.local.http._origins import Origins, is_loopback

from .served import serving


def request(
    host: str | None = "127.0.0.1:8080",
    origin: str | None = None,
    method: str = "POST",
    **more: str,
) -> Request:
    headers = [("host", host)] if host is not None else []
    if origin is not None:
        headers.append(("origin", origin))
    headers += [(name.replace("_", "-"), value) for name, value in more.items()]
    return Request(method, "/S/h", headers=tuple(headers))


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("localhost", True),
        ("app.localhost", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_loopback_is_recognized(host: str, local: bool) -> None:
    """Names and addresses of this machine only."""
    assert local is is_loopback(host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "friend:1", None, ""]
)
def test_a_request_to_this_machine_is_answered(host: str | None) -> None:
    """By any of its names, by an allowed one, or by none (HTTP/1.0)."""
    assert Origins("127.0.0.1", ["Friend"]).refuse(request(host)) is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "10.0.0.1", "[", "friends"])
def test_a_request_to_another_name_is_refused_on_loopback(host: str) -> None:
    """A name that was made to resolve to this machine is a stranger's."""
    response = Origins("127.0.0.1", ["friend"]).refuse(request(host))

    assert response is not None
    assert 403 == response.status


def test_on_the_network_every_name_is_good() -> None:
    """Whoever listens on all addresses is called by many names."""
    assert Origins("0.0.0.0").refuse(request("shop.example")) is None


@pytest.mark.parametrize("origin", ["http://localhost:5173", "http://[::1]:1", "https://friend"])
def test_a_page_of_this_machine_may_ask(origin: str) -> None:
    """It gets the headers that its browser wants."""
    origins = Origins("127.0.0.1", ["friend"])
    asked = request(origin=origin)
    preflight = origins.preflight(
        request(origin=origin, method="OPTIONS", access_control_request_headers="idempotency-key")
    )

    assert origins.refuse(asked) is None
    assert preflight is not None
    headers = dict(origins.finish(asked, preflight).headers)
    assert origin == headers["access-control-allow-origin"]
    assert "idempotency-key" == headers["access-control-allow-headers"]
    assert "PATCH" in headers["access-control-allow-methods"]
    assert "x-restate-id" in headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[", "file://"])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_strangers_page_may_not_ask(address: str, origin: str) -> None:
    """A browser would otherwise let any page that is open call handlers."""
    response = Origins(address).refuse(request(origin=origin))

    assert response is not None
    assert 403 == response.status


def test_a_page_may_ask_where_it_comes_from() -> None:
    """The same origin is no stranger."""
    origins = Origins("0.0.0.0")

    assert origins.refuse(request("shop.example:80", "http://shop.example")) is None


def test_a_strangers_request_does_nothing(backend: str) -> None:
    """It is refused before its body is read, and the connection can be used on."""
    service = Service("Once")
    ran: list[bool] = []

    @service.handler
    async def run(ctx: Context) -> None:
        ran.append(True)

    async def main() -> None:
        async with serving(service) as served:
            evil = await served.client.post("/Once/run", headers={"origin": "https://evil"})
            rebound = await served.client.post("/Once/run", headers={"host": "evil.example"})
            preflight = await served.client.options(
                "/Once/run", headers={"origin": "http://localhost:3000"}
            )
            friend = await served.client.post("/Once/run", headers={"origin": "http://localhost"})

        assert [403, 403, 204, 200] == [
            response.status_code for response in (evil, rebound, preflight, friend)
        ]
        assert "access-control-allow-origin" not in evil.headers
        assert [True] == ran

    anyio.run(main, backend=backend)
