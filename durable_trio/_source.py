"""Where in the user's code something happened.

Owns the search for a line: of a suspended coroutine, or of the code that is calling
now. Used on error paths only, but for ``is_inside``.
"""

from __future__ import annotations

import functools
import gc
import inspect
import sys
import sysconfig
import traceback
from pathlib import Path
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any, Final, cast

from ._exceptions import DurableTrioError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import FrameType

_PACKAGE: Final = str(Path(__file__).parent)
_LIBRARIES: Final = tuple(
    {_PACKAGE, *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))}
)


def _is_library(filename: str) -> bool:
    return filename.startswith((*_LIBRARIES, "<frozen"))


def _chain(coroutine: object) -> Iterator[object]:
    """The coroutine, what it awaits, what that awaits ..., innermost last."""
    current: object = coroutine
    while current is not None:
        yield current
        current = getattr(current, "cr_await", None) or getattr(current, "gi_yieldfrom", None)


def _frame(awaitable: object) -> FrameType | None:
    frame: FrameType | None = getattr(awaitable, "cr_frame", None) or getattr(
        awaitable, "gi_frame", None
    )
    return frame


def where(coroutine: Coroutine[Any, Any, Any]) -> str:
    """``file:line`` of the innermost frame of a suspended coroutine that is not a library's.

    Of one that has ended it is where it is defined.
    """
    frames = [frame for frame in map(_frame, _chain(coroutine)) if frame is not None]
    own = [frame for frame in frames if not _is_library(frame.f_code.co_filename)]
    chosen = own[-1] if own else (frames[0] if frames else None)
    if chosen is not None:
        return f"{chosen.f_code.co_filename}:{chosen.f_lineno}"

    code = getattr(coroutine, "cr_code", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else "<unknown line>"


def call_site() -> str:
    """``file:line`` of the innermost calling frame outside of this package."""
    frame, _ = _caller()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "<unknown line>"


def frames_to_caller() -> int:
    """How many frames above the one that asks the innermost frame outside of this package is."""
    return _caller()[1]


def _caller() -> tuple[FrameType | None, int]:
    frame: FrameType | None = sys._getframe(2)  # the documented way to the caller
    steps = 0
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        steps += 1
    return frame, steps


def defined_at(function: Callable[..., Any]) -> str:
    """``file:line`` of the definition of a function; its ``repr`` if it has none."""
    inner: Any = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(cast("Any", inner).func)
    if not inspect.isroutine(inner) and not isinstance(inner, type):
        # An object that is called.
        inner = type(inner).__call__
    code = getattr(inner, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def raised_at(error: BaseException) -> str:
    """``file:line`` of the innermost frame that an error passed through and that is no library's.

    Empty if it passed through libraries only.
    """
    for frame, number in reversed(list(traceback.walk_tb(error.__traceback__))):
        if not _is_library(frame.f_code.co_filename):
            return f"{frame.f_code.co_filename}:{number}"

    return ""


def exc_info(
    error: BaseException,
) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """An error as logging takes it, without the frames that say nothing to a user.

    It begins with the user's first line. Of an error that was raised in here on purpose no frame
    of ours is kept; of another one all that are below: they show what went wrong.
    """
    trail: list[TracebackType] = []
    current = error.__traceback__
    while current is not None:
        trail.append(current)
        current = current.tb_next
    files = [each.tb_frame.f_code.co_filename for each in trail]
    purposely = isinstance(error, DurableTrioError)
    first = next((index for index, file in enumerate(files) if not _is_library(file)), 0)
    shown: TracebackType | None = None
    for index in range(len(trail) - 1, first - 1, -1):
        if not (purposely and files[index].startswith(_PACKAGE)):
            each = trail[index]
            shown = TracebackType(shown, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return type(error), error, shown


def is_inside(coroutine: Coroutine[Any, Any, Any], kinds: tuple[type, ...]) -> bool:
    """Whether a suspended coroutine is inside a context manager of these types.

    Cheap enough to be asked of every task that parks.
    """
    current: Any = coroutine
    while current is not None:
        for referent in gc.get_referents(current):
            if type(referent) is MethodType and isinstance(referent.__self__, kinds):
                return True

        current = getattr(current, "cr_await", None) or getattr(current, "gi_yieldfrom", None)
    return False


_NATIVE: Final = ("trio", "anyio", "asyncio")


def native_context_managers(coroutine: Coroutine[Any, Any, Any]) -> list[object]:
    """The host's context managers (timeouts, scopes, nurseries) that a coroutine is inside of.

    An entered context manager's exit method lies on the frame's stack, where only the
    garbage collector's view of the frame shows it.
    """
    found: list[object] = []
    for awaitable in _chain(coroutine):
        for referent in gc.get_referents(awaitable):
            owner = getattr(referent, "__self__", None)
            module = type(owner).__module__.partition(".")[0]
            name = getattr(referent, "__name__", "")
            if module in _NATIVE and name in {"__exit__", "__aexit__"}:
                found.append(owner)
            elif module == "contextlib" and name in {"__exit__", "__aexit__"}:
                generator = getattr(owner, "gen", None)
                inside = getattr(generator, "__module__", None) or getattr(
                    getattr(generator, "gi_frame", None), "f_globals", {}
                ).get("__name__", "")
                if str(inside).partition(".")[0] in _NATIVE:
                    found.append(owner)
    return found
