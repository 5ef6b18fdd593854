"""The host tasks in which run bodies execute, used again as long as none of them blocks.

Owns which host task executes a body. What executing means is the business of ``_bodies.py``.

 1. Bodies are started in the order in which they are submitted, and none waits for another
    one: as soon as a body blocks, another worker goes on with the queue.
 2. A body runs in a context of its own, and in the native cancel scope of its worker. A
    worker whose scope was cancelled takes no other body. Scopes that a body does not leave
    are none of its business: ``execute`` gives the host task back as it was.
 3. At most one idle worker is kept, until ``dismiss``: an invocation that waits for long
    needs no host task beside its driver.
"""

from __future__ import annotations

import types
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Coroutine, Generator

    from ._bodies import RunBody
    from ._host import Host, Parking, TaskGroup


class Workers:
    """See the module's docstring. ``execute`` is called in the body's context and never fails."""

    __slots__ = ("_coming", "_execute", "_group", "_host", "_idle", "_queue")

    def __init__(self, execute: Callable[[RunBody], Coroutine[Any, Any, None]]) -> None:
        self._execute = execute
        self._host: Host
        self._group: TaskGroup | None = None
        self._queue: deque[RunBody] = deque()
        self._idle: Parking | None = None
        self._coming = False
        """Whether a worker is on its way to the queue."""

    def open(self, host: Host, group: TaskGroup) -> None:
        """Workers run in this task group of the host's from now on."""
        self._host, self._group = host, group
        self._summon()

    def submit(self, body: RunBody) -> None:
        """Execute it."""
        self._queue.append(body)
        self._summon()

    def dismiss(self) -> None:
        """Let the idle worker end: nothing is to be expected soon."""
        if self._idle is not None:
            self._idle.wake()
            self._idle = None

    def _summon(self) -> None:
        if self._coming or not self._queue or self._group is None:
            return

        self._coming = True
        if self._idle is not None:
            self._idle.wake()
            self._idle = None
        else:
            self._group.start_soon(self._work)

    async def _work(self) -> None:
        host, queue = self._host, self._queue
        scope = host.new_scope()
        with scope:
            while True:
                self._coming = cancelled = False
                while queue and not cancelled:
                    body = queue.popleft()
                    body.scope = scope
                    try:
                        await _run_in(body.context, self._execute(body), self._summon)
                    finally:
                        body.scope = None
                    cancelled = scope.cancel_called

                if queue or self._idle is not None or cancelled:
                    break

                self._idle = parking = host.parking()
                try:
                    await parking.wait()
                except host.cancelled_type:
                    self._idle = None
                    if host.is_cancelled(host.scopes()):
                        raise
                    # Else by a timer that a body has left behind: for the host task, not for us.
                    break

                if not queue:
                    break
        # Whoever was cancelled leaves the rest to another one.
        self._coming = False
        self._summon()


@types.coroutine
def _run_in(
    context: contextvars.Context,
    coroutine: Coroutine[Any, Any, None],
    blocked: Callable[[], None],
) -> Generator[object, Any, None]:
    """Await a coroutine in a context of its own; ``blocked`` is called when it waits first."""
    try:
        trap = context.run(coroutine.send, None)
    except StopIteration:
        return

    blocked()
    while True:
        answer, error = None, None
        try:
            answer = yield trap
        except BaseException as raised:  # the host's answer, handed on
            error = raised
        try:
            if error is None:
                trap = context.run(coroutine.send, answer)
            else:
                trap = context.run(coroutine.throw, error)
        except StopIteration:
            return
