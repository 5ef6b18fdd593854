"""Whoever asks from outside of the runtime, and outlives its crashes.

Owns asking again: what a client of a server does that went away and came back.

 1. What was answered stays answered. What was asked and not answered is asked again in the
    next life, or attached to if its invocation was durable already: nothing is started twice.
 2. Every request has a number, the same in every life, of which its invocation's id is made.
 3. Where somebody decides whose turn it is, each request waits for its turn once.
 4. Who is told that an invocation is paused is told of what, as it was raised.
"""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from durable_trio._exceptions import InvocationPausedError, StoreError
from durable_trio._journal._entries import VOID, Failure, InvocationTarget, Value
from durable_trio._ledger import error_of
from durable_trio.local._admission import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._receipt import SendReceipt
    from durable_trio._records import InvocationRecord
    from durable_trio.local._client import Client
    from durable_trio.local._control import Control

    from ._lives import Lives

T = TypeVar("T")

_number: Final[ContextVar[int]] = ContextVar("durable_trio.testing.request")


def request_number() -> int:
    """Which request of the test's is being served now."""
    return _number.get(0)


class Outside:
    """See the module's docstring.

    ``stored`` looks up an invocation in what is durable, ``cause`` what its last attempt raised.
    """

    def __init__(
        self,
        lives: Lives,
        stored: Callable[[str], InvocationRecord | None],
        turn: Callable[[str], Awaitable[None]],
        cause: Callable[[str], BaseException | None],
    ) -> None:
        self._lives = lives
        self._stored = stored
        self._turn = turn
        self._cause = cause
        self._asked = 0
        self._client: Client
        self._control: Control

    def attend(self, client: Client, control: Control) -> tuple[Client, Control]:
        """These are asked from now on. Returns what outlives them."""
        self._client, self._control = client, control
        return cast("Client", _Asking(self, "client")), cast("Control", _Asking(self, "control"))

    async def ask(self, part: str, name: str, arguments: tuple[Any, ...], more: Any) -> Any:
        """Ask for one thing, until it is answered."""
        await self._turn(_described(name, arguments))
        self._asked += 1
        token = _number.set(self._asked)
        try:
            if name == "call":
                return await self._call(arguments[0])

            if name == "submit":
                return await self._submit(arguments[0])

            def again() -> Awaitable[Any]:
                asked = self._client if part == "client" else self._control
                operation: Awaitable[Any] = getattr(asked, name)(*arguments, **more)
                return operation

            return await self._until_answered(again)
        except InvocationPausedError as error:
            # The error itself is at hand here, with its traceback.
            raise error from self._cause(error.invocation_id)
        finally:
            _number.reset(token)

    async def _until_answered(self, operation: Callable[[], Awaitable[T]]) -> T:
        while True:
            life = await self._lives.alive()
            try:
                return await operation()
            except StoreError:
                if not self._lives.is_over(life):
                    raise

    async def _call(self, request: Request) -> bytes:
        begun: str | None = None

        async def result() -> Value | Failure:
            nonlocal begun
            client = self._client
            if begun is not None and self._stored(begun) is not None:
                observer = await client.observe(InvocationTarget(begun))
            else:
                observer = await client.begin(request)
            begun = observer.invocation_id
            return await client.wait(observer)

        outcome = await self._until_answered(result)
        if isinstance(outcome, Failure):
            raise error_of(outcome)

        return outcome.content

    async def _submit(self, request: Request) -> SendReceipt:
        receipt: SendReceipt | None = None

        async def placed() -> SendReceipt:
            nonlocal receipt
            if receipt is None or self._stored(receipt.invocation_id) is None:
                receipt = await self._client.place(request)
            await self._client.durable()
            return receipt

        return await self._until_answered(placed)


class _Asking:
    """Stands for a ``Client`` or ``Control`` that is made anew in every life."""

    def __init__(self, outside: Outside, part: str) -> None:
        self._outside = outside
        self._part = part

    def __getattr__(self, name: str) -> Any:
        outside, part = self._outside, self._part
        method = getattr(outside._client if part == "client" else outside._control, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def ask(*arguments: Any, **more: Any) -> Any:
            return await outside.ask(part, name, arguments, more)

        return ask


def _described(name: str, arguments: tuple[Any, ...]) -> str:
    request = arguments[0] if arguments else None
    if not isinstance(request, Request):
        return " ".join([name, *map(_shown, arguments)]).rstrip()

    handler = request.handler
    key = f"/{request.key}" if request.key else ""
    body = request.body.decode(errors="replace")
    word = "send" if name == "submit" else name
    return f"{word} {handler.service_name}{key}/{handler.name}({body})"


def _shown(argument: object) -> str:
    if isinstance(argument, Value):
        return f"= {argument.content.decode(errors='replace')}"

    if isinstance(argument, Failure):
        return f"! {argument.code} {argument.message}"

    if isinstance(argument, InvocationTarget):
        return argument.invocation_id

    return "" if argument == VOID else str(argument)
