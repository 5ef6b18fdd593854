"""Calls and events from outside of any invocation, wherever the handlers are served.

Owns ``Ingress``, the port. ``LocalRuntime`` is one for the services of its own process,
``durable_trio.client.IngressClient`` for those behind a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._duration import Duration
    from ._journal._entries import Headers, Target
    from ._not_ready import NotReady
    from ._receipt import SendReceipt
    from ._target import CallTarget

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
T = TypeVar("T")


class Ingress(Protocol):
    """Who takes requests for handlers: ``LocalRuntime`` and ``IngressClient`` are both.

    The failure of an invocation is raised as the ``TerminalError`` that it ended with. What
    cannot be asked for is a ``UsageError``, or where only a server can tell a ``RefusedError``
    with its code; 404 for an invocation that is unknown is a ``TerminalError`` either way.
    """

    @overload
    async def call(
        self,
        target: CallTarget[[], O],
        /,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> O: ...
    @overload
    async def call(
        self,
        target: CallTarget[[I], O],
        argument: I,
        /,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> O: ...
    async def call(
        self,
        target: CallTarget[..., Any],
        /,
        *argument: Any,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Call a handler and wait for its output.

        With an ``idempotency_key`` a second call of the same handler and key gets the
        result of the first. Cancelling the wait does not cancel the invocation.
        """
        ...

    @overload
    async def send(
        self,
        target: CallTarget[[], Any],
        /,
        *,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> SendReceipt: ...
    @overload
    async def send(
        self,
        target: CallTarget[[I], Any],
        argument: I,
        /,
        *,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> SendReceipt: ...
    async def send(
        self,
        target: CallTarget[..., Any],
        /,
        *argument: Any,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> SendReceipt:
        """Start a handler, ``delay`` from now, and return as soon as that is durable.

        A send with the idempotency key, or to the workflow key, of an earlier one starts
        nothing; its receipt names the earlier invocation and says so.
        """
        ...

    async def invoke(
        self,
        service: str,
        handler: str,
        body: bytes = b"",
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Headers = (),
    ) -> bytes:
        """``call`` by name, with an encoded input and output."""
        ...

    async def submit(
        self,
        service: str,
        handler: str,
        body: bytes = b"",
        *,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Headers = (),
    ) -> SendReceipt:
        """``send`` by name, with an encoded input."""
        ...

    @overload
    async def attach(self, target: Target | str, type: type[T]) -> T: ...
    @overload
    async def attach(self, target: Target | str, type: Any = ...) -> Any: ...
    async def attach(self, target: Target | str, type: Any = ...) -> Any:  # noqa: A002
        """Wait for the result of an invocation: an id, ``IdempotentTarget`` or ``WorkflowTarget``.

        The output is decoded as ``type`` (``bytes``: not at all).
        """
        ...

    @overload
    async def output(self, target: Target | str, type: type[T]) -> T | NotReady: ...
    @overload
    async def output(self, target: Target | str, type: Any = ...) -> Any: ...
    async def output(self, target: Target | str, type: Any = ...) -> Any:  # noqa: A002
        """The result of an invocation, or ``NOT_READY``, without waiting. Otherwise as ``attach``."""
        ...

    async def resolve_awakeable(
        self,
        awakeable_id: str,
        value: object = None,
        *,
        type: Any = ...,  # noqa: A002
    ) -> None:
        """Complete an awakeable with a value, encoded as ``type``. A second time has no effect."""
        ...

    async def reject_awakeable(self, awakeable_id: str, message: str) -> None:
        """Complete an awakeable with a failure: its wait raises a ``TerminalError``."""
        ...
