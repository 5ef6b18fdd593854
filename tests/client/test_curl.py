"""One line of curl: the same from the embedded runtime's ingress and from a Restate server's."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from .curl import curl

if TYPE_CHECKING:
    from .conftest import Urls

_ID = re.compile(r"inv_1[\w-]+")
_JSON = ["-H", "content-type: application/json"]


def got(urls: Urls, *lines: list[str]) -> list[Any]:
    """Status, content type, source of an error and body of what each line gets."""
    found: list[Any] = []

    async def main() -> None:
        async with urls() as (ingress, _):
            for line in lines:
                names = {"id": found[0][3]["invocationId"]} if "{id}" in line[0] else {}
                answer = await curl(ingress + line[0].format(**names), *line[1:])
                headers = answer.headers
                kind = headers.get("content-type")
                body = json.loads(answer.body) if kind == "application/json" else answer.body
                found.append((answer.status, kind, headers.get("x-restate-error-source"), body))
                assert "HTTP/1.1" == answer.version

    anyio.run(main)
    return found


JSON = "application/json"


def test_a_call(urls: Urls) -> None:
    """With curl's own headers for JSON, or with one's own; without a body as GET or POST."""
    assert [
        (200, JSON, None, "hello ada"),
        (200, JSON, None, "hello ada"),
        (200, JSON, None, "hello ada"),
        (200, JSON, None, None),
        (200, JSON, None, None),
        (200, "text/plain", None, "LOUD"),
        (200, JSON, None, "curl/1"),
    ] == got(
        urls,
        ["/Desk/greet", "--json", '"ada"'],
        ["/Desk/greet", *_JSON, "-d", '"ada"'],
        ["/restate/call/Desk/greet", *_JSON, "-d", '"ada"'],
        ["/Desk/ping"],
        ["/Desk/ping", "-X", "POST"],
        ["/Desk/shout", "-H", "content-type: text/plain", "-d", "loud"],
        ["/Desk/header", "--json", '"user-agent"', "-A", "curl/1"],
    )


@pytest.mark.parametrize("key", ["my-key", "a%2Fb%20c", "%C3%A9"])
def test_an_object_and_an_idempotency_key(urls: Urls, key: str) -> None:
    """A key is percent-decoded; asked twice with the same idempotency key is asked once."""
    line = [f"/Counter/curl{key}/add", *_JSON, "-H", "idempotency-key: once", "-d", "5"]

    assert [(200, JSON, None, 5)] * 2 == got(urls, line, line)


def test_a_send_and_its_result(urls: Urls) -> None:
    """The receipt has the id; attached to, and looked at, the output is there."""
    sent, *results = got(
        urls,
        ["/Desk/greet/send", "--json", '"bo"'],
        ["/restate/invocation/{id}/attach"],
        ["/restate/invocation/{id}/output"],
        ["/restate/attach/{id}"],
    )

    status, kind, source, receipt = sent
    assert (202, JSON, None, "Accepted") == (status, kind, source, receipt["status"])
    assert _ID.fullmatch(receipt["invocationId"])
    assert [(200, JSON, None, "hello bo")] * 3 == results


def test_a_delayed_send(urls: Urls) -> None:
    """Durations as people write them and as ISO has them; a bare number is refused."""
    found = got(
        urls,
        ["/Desk/greet/send?delay=90s", "--json", '"ada"'],
        ["/restate/send/Desk/greet?delay=PT1H", "--json", '"ada"'],
        ["/restate/invocation/{id}/output"],
        ["/Desk/greet/send?delay=90", "--json", '"ada"'],
    )

    assert [202, 202, 470, 400] == [status for status, *_ in found]
    assert all("executionTime" in body for _, _, _, body in found[:2])


def test_a_workflow_and_an_awakeable(urls: Urls) -> None:
    """Submitted, told, attached to."""
    key = "curl"
    found = got(
        urls,
        [f"/Box/{key}/taken/send", "-X", "POST"],
        [f"/restate/workflow/Box/{key}/output"],
        [f"/Box/{key}/put", "--json", '"tea"'],
        [f"/restate/workflow/Box/{key}/attach"],
        ["/restate/awakeables/nonsense/resolve", "--json", "1"],
    )

    assert [202, 470, 200, 200, 400] == [status for status, *_ in found]
    assert "tea" == found[3][3]


def test_what_is_refused(urls: Urls) -> None:
    """The status and the source; the words are each server's own."""
    found = got(
        urls,
        ["/Nobody/greet", "--json", '"ada"'],
        ["/Desk/nothing", "--json", '"ada"'],
        ["/Desk/greet", "-d", '"ada"'],
        ["/Desk/private", "-X", "POST"],
        ["/Desk/fail", "--json", "418"],
        ["/restate/invocation/nonsense/attach"],
    )

    assert [
        (404, "ingress"),
        (404, "ingress"),
        (400, "ingress"),
        (400, "ingress"),
        (418, "invocation"),
        (400, "ingress"),
    ] == [(status, source) for status, _, source, _ in found]
