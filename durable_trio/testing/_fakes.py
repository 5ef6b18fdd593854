"""Stand-ins for services that a test does not want to run.

Owns the making of a definition that answers to the name of another one. Whoever serves
the stand-in instead of the original decides that it is called.

 1. A stand-in has the handlers of the original, with their kinds, options and serdes: a
    call that the original would refuse is refused, and payloads go through bytes.
 2. A handler that nobody faked fails at once and says so.
 3. The function that stands in is a run: it may wait, is executed anew after a crash, and
    failures can be injected into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from durable_trio._exceptions import TerminalError, UsageError
from durable_trio._names import did_you_mean, known

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from durable_trio._context import Context
    from durable_trio._handler import AnyHandler
    from durable_trio._services import ServiceDefinition


def fake(
    service: ServiceDefinition, /, **handlers: Callable[[Any], Any] | Callable[[], Any]
) -> ServiceDefinition:
    """A stand-in for a service: serve it instead, as in ``testing.runtime([shop, fake(bank)])``.

    ``handlers`` are functions, plain or async, by the names of the handlers whose place they
    take: ``fake(bank, pay=lambda cents: "paid")``. They are called with the input, if there
    is one, and return the output or raise a ``TerminalError``. Each is the body of a run of
    the handler's name, so it may do what bodies may, and is retried after other errors. A
    handler that is not among them fails with a 501. Payloads go through the service's own
    serdes. ``UsageError`` for a name that is no handler of the service.
    """
    for name in handlers:
        if name not in service.handlers:
            raise UsageError(
                f"{service!r} has no handler {name!r} to fake."
                f"{did_you_mean(name, service.handlers)} "
                f"Its handlers: {known(service.handlers, 'none')}."
            )

    stand_in = type(service)(service.name)  # type: ignore[call-arg]
    stand_in.options = service.options
    for name, handler in service.handlers.items():
        function = _answer(handler, handlers[name]) if name in handlers else _refuse(handler)
        stand_in.add(attrs.evolve(handler, function=function, service=stand_in))
    return stand_in


def _answer(
    handler: AnyHandler, function: Callable[..., Any]
) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def answer(ctx: Context, *argument: Any) -> Any:
        return await ctx.run(
            function, *argument, name=handler.name, serde=handler.output_serde, on_thread=False
        )

    return answer


def _refuse(handler: AnyHandler) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def refuse(_ctx: object, *_argument: Any) -> Any:
        raise TerminalError(
            f"{handler.service_name}/{handler.name} is not faked: "
            f"add {handler.name!r} to the handlers of its fake",
            code=501,
        )

    return refuse
