"""``AdminClient``: what an operator does, over HTTP.

Owns names and errors of what can be asked of an admin port; each method is one request. Of the
embedded runtime's ingress, which is its admin port as well, the operations on invocations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast, overload
from urllib.parse import urlencode

from durable_trio import _json
from durable_trio._duration import to_seconds
from durable_trio._exceptions import BadAnswerError, RefusedError, UsageError
from durable_trio.serde import serde_for

from ._answers import shown
from ._deployments import ADMIN_PORT, DeployedService, Deployment, each_of
from ._paths import deployment_path, invocation_path, segment
from ._transport import MAX_BODY_SIZE, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from durable_trio._duration import Duration
    from durable_trio._retry import RetryPolicy

    from ._answers import Answer

T = TypeVar("T")

_UNAVAILABLE: Final = frozenset({408, 429, 502, 503, 504})
"""Any other status is the server's word on what was asked for, 500 for a wrong query say."""

_CONFLICT: Final = 409


class AdminClient:
    """Operates invocations, registers deployments and asks for anything in SQL.

    For the admin port of a Restate server (9070 by default), or for the ingress of the embedded
    runtime, which has ``cancel``, ``kill``, ``pause``, ``resume`` and ``purge``, and answers
    the rest with a ``RefusedError`` 404 that says so. An async context manager, for trio and
    asyncio. ``timeout`` (30 s; None: nothing does) bounds every request; the other options are
    those of ``IngressClient``, and ``retry`` repeats queries.

    All methods raise ``RefusedError`` with the code and message of a server that refuses, and a
    ``RequestError`` if there is no answer that counts.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:9070",
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = 30.0,
        retry: RetryPolicy | None = None,
        max_body_size: int = MAX_BODY_SIZE,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._timeout = None if timeout is None else to_seconds(timeout, "timeout")
        self._transport = Transport(
            url,
            headers=headers,
            retry=retry,
            max_body_size=max_body_size,
            http=http,
            unavailable=_UNAVAILABLE,
        )

    @property
    def url(self) -> str:
        """Where the admin port is."""
        return self._transport.url

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._transport.__aexit__(*exc_info)

    # -- invocations

    async def cancel(self, invocation_id: str) -> None:
        """Ask an invocation to end: its handler unwinds, and it ends with 409 "cancelled".

        It has been asked when this returns. One that has not started ends at once, and a
        Restate server forgets it; one that has completed is left alone. ``RefusedError`` 404
        if it is unknown.
        """
        await self._end(invocation_id, "cancel")

    async def kill(self, invocation_id: str) -> None:
        """End an invocation with 409 "killed", without asking its handler, and all that it called.

        One that has completed is left alone. ``RefusedError`` 404 if it is unknown.
        """
        await self._end(invocation_id, "kill")

    async def pause(self, invocation_id: str) -> None:
        """Stop attempting an invocation until it is resumed.

        The embedded runtime has done so when this returns, a Restate server has been asked
        to: its ``sys_invocation.status`` says when. ``RefusedError`` 409 for one that has not
        started, or has completed.
        """
        await self._act(invocation_id, "pause")

    async def resume(self, invocation_id: str, *, deployment: str | None = None) -> None:
        """Attempt an invocation now that is paused or backs off.

        ``deployment`` is where a Restate server attempts it from now on, instead of where it
        began: the id of one, or ``"latest"``; code that does something else than is in its
        journal pauses or fails it. ``RefusedError`` 409 if it has completed, 409 or 425 if
        it has not started.
        """
        await self._act(invocation_id, "resume", deployment=deployment)

    async def purge(self, invocation_id: str) -> None:
        """Forget a completed invocation. ``RefusedError`` 409 if it has not completed."""
        await self._act(invocation_id, "purge")

    # -- a Restate server's

    async def purge_journal(self, invocation_id: str) -> None:
        """Forget the journal of a completed invocation; its result stays.

        ``RefusedError`` 409 if it has not completed.
        """
        await self._act(invocation_id, "purge-journal")

    async def restart_as_new(
        self, invocation_id: str, *, keep: int = 0, deployment: str | None = None
    ) -> str:
        """Start a completed invocation once more, as a new one; the new id.

        It begins with a copy of the journal up to the command with the index ``keep``, and of
        what completed these: 0 is the input alone. Awakeables and signals that came are not copied;
        it waits for its own. ``deployment`` as for ``resume``, with a
        ``keep`` that is more. It has no idempotency key. ``RefusedError`` 409 for one that has
        not completed, 410 if its journal is not there any more, 400 if a command that is kept
        was never completed, 422 for the run of a workflow.
        """
        if keep < 0:
            raise UsageError(f"keep is the index of a command, 0 or more, got {keep}")

        answer = await self._act(
            invocation_id, "restart-as-new", **{"from": keep or None, "deployment": deployment}
        )
        new = answer.fields().get("new_invocation_id")
        if not isinstance(new, str):
            raise BadAnswerError(
                f"expected the id of a new invocation, got {shown(answer.fields())}. {ADMIN_PORT}"
            )

        return new

    async def register_deployment(
        self,
        uri: str,
        *,
        force: bool = False,
        http_11: bool = False,
        headers: Mapping[str, str] | None = None,
        assume_role_arn: str | None = None,
        dry_run: bool = False,
    ) -> Deployment:
        """Have a Restate server discover an endpoint, and serve what it has.

        ``uri`` is a URL, or the ARN of a version of an AWS Lambda function, which the server
        calls under the role ``assume_role_arn`` if there is one. ``force`` replaces a
        deployment of the same URI. ``http_11``: the endpoint speaks no HTTP/2. ``headers`` are
        sent with every request to it. ``dry_run`` only discovers.
        """
        described: dict[str, Any] = {"force": force, "dry_run": dry_run}
        if headers:
            described["additional_headers"] = dict(headers)
        if uri.startswith("arn:"):
            described["arn"] = uri
        else:
            described |= {"uri": uri, "use_http_11": http_11}
        if assume_role_arn is not None:
            described["assume_role_arn"] = assume_role_arn
        answer = await self._json("/deployments", described, safe=False)
        return Deployment.read({"uri": uri, **answer.fields()})

    async def deployments(self) -> list[Deployment]:
        """All that are registered, also those that nothing but old invocations uses any more."""
        answer = await self._get("/deployments")
        return [Deployment.read(each) for each in each_of(answer.fields(), "deployments")]

    async def deployment(self, deployment_id: str) -> Deployment:
        """The one with this id. ``RefusedError`` 404 if there is none."""
        answer = await self._get(deployment_path(deployment_id))
        return Deployment.read(answer.fields())

    async def delete_deployment(self, deployment_id: str) -> None:
        """Forget a deployment, whatever still uses it.

        Its services cannot be called any more, unless a later one has them, and its
        invocations in flight cannot go on: ``sys_invocation.pinned_deployment_id`` tells which
        there are. ``RefusedError`` 404 if there is none.
        """
        await self._transport.request(
            "DELETE",
            f"{deployment_path(deployment_id)}?force=true",
            timeout=self._timeout,
            safe=False,
        )

    async def services(self) -> list[DeployedService]:
        """What can be called, each in its newest revision."""
        answer = await self._get("/services")
        return [DeployedService.read(each) for each in each_of(answer.fields(), "services")]

    async def service(self, name: str) -> DeployedService:
        """The service of this name. ``RefusedError`` 404 if there is none."""
        answer = await self._get(f"/services/{segment(name, 'the name of the service')}")
        return DeployedService.read(answer.fields())

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query about a Restate server: ``sys_invocation``, ``sys_journal``, ``state``...

        A column that is null is missing from its row. ``RefusedError`` for wrong SQL.
        """
        answer = await self._json("/query", {"query": sql}, safe=True)
        rows = answer.fields().get("rows")
        if not isinstance(rows, list):
            raise BadAnswerError(
                f"a query was answered without rows: {shown(answer.fields())}. {ADMIN_PORT}"
            )

        return cast("list[dict[str, Any]]", rows)

    @overload
    async def get_state(self, service: str, key: str) -> dict[str, bytes]: ...
    @overload
    async def get_state(self, service: str, key: str, type: type[T]) -> dict[str, T]: ...
    async def get_state(
        self,
        service: str,
        key: str,
        type: Any = bytes,  # noqa: A002
    ) -> dict[str, Any]:
        """The state of an object or workflow key, each entry decoded as ``type``."""
        rows = await self.query(
            f"SELECT key, value FROM state WHERE service_name = {_literal(service)} "  # noqa: S608
            f"AND service_key = {_literal(key)} ORDER BY key"
        )
        serde = serde_for(type)
        try:
            return {
                str(row["key"]): serde.deserialize(bytes.fromhex(row.get("value", "")))
                for row in rows
            }
        except (KeyError, TypeError, ValueError) as exc:
            raise BadAnswerError(
                f"a query for state was answered without a key or with a value that is no hexadecimal "
                f"({exc!r}). {ADMIN_PORT}"
            ) from exc

    async def set_state(
        self,
        service: str,
        key: str,
        values: Mapping[str, Any],
        type: Any = bytes,  # noqa: A002
    ) -> None:
        """Replace the whole state of an object key, each entry encoded as ``type``.

        The server has been asked to when this returns: it does so when no exclusive handler
        of the key runs. ``RefusedError`` for a service that has no state.
        """
        serde = serde_for(type)
        encoded = {name: list(serde.serialize(value)) for name, value in values.items()}
        await self._json(
            f"/services/{segment(service, 'the name of the service')}/state",
            {"object_key": key, "new_state": encoded},
            safe=False,
        )

    async def features(self) -> frozenset[str]:
        """The optional features of a Restate server that are switched on, by its own names."""
        answer = await self._get("/version")
        found = answer.fields().get("features")
        if not isinstance(found, dict):
            raise BadAnswerError(
                f"a server's /version was answered without features: {shown(answer.fields())}. "
                f"{ADMIN_PORT}"
            )

        return frozenset(name for name, on in cast("dict[str, object]", found).items() if on)

    # -- requests

    async def _json(self, path: str, value: dict[str, Any], *, safe: bool) -> Answer:
        return await self._transport.request(
            "POST",
            path,
            body=_json.write(value),
            headers=[("content-type", "application/json"), ("accept", "application/json")],
            timeout=self._timeout,
            safe=safe,
        )

    async def _get(self, path: str) -> Answer:
        return await self._transport.request(
            "GET",
            path,
            headers=[("accept", "application/json")],
            timeout=self._timeout,
            safe=True,
        )

    async def _act(self, invocation_id: str, action: str, **query: object) -> Answer:
        given = {name: str(value) for name, value in query.items() if value is not None}
        path = invocation_path(invocation_id, action)
        return await self._transport.request(
            "PATCH",
            f"{path}?{urlencode(given)}" if given else path,
            timeout=self._timeout,
            safe=False,
        )

    async def _end(self, invocation_id: str, action: str) -> None:
        try:
            await self._act(invocation_id, action)
        except RefusedError as error:
            if error.code != _CONFLICT:
                raise


def _literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"
