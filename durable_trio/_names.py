"""Names of services and handlers: which are allowed, and which was probably meant.

Owns the rules, which are those of Restate's service protocol, so that every definition
can be served anywhere.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from ._exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SERVICE: Final = re.compile(r"([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9._-]*")
_HANDLER: Final = re.compile(r"([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9_]*")


def check_service_name(name: object) -> str:
    """The name, or a ``DefinitionError`` that says what is allowed."""
    if isinstance(name, str) and _SERVICE.fullmatch(name):
        return name

    raise DefinitionError(
        f"{name!r} cannot be the name of a service: it must be a string that starts with an "
        "ASCII letter (or '_' and a letter or digit) and goes on with letters, digits, "
        "'.', '_' and '-'"
    )


def check_handler_name(name: object) -> str:
    """The name, or a ``DefinitionError`` that says what is allowed."""
    if isinstance(name, str) and _HANDLER.fullmatch(name):
        return name

    raise DefinitionError(
        f"{name!r} cannot be the name of a handler: it must be a string that starts with an "
        "ASCII letter (or '_' and a letter or digit) and goes on with letters, digits and '_'; "
        "name it with @service.handler(name=...)"
    )


def known(names: Iterable[str], none: str) -> str:
    """The names as a list for a message, or ``none`` if there are none."""
    return ", ".join(sorted(names)) or none


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A question that names the closest of ``names``, or nothing when none is close."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
