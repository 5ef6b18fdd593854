"""All services of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .awakeable_holder import awakeable_holder
from .block_and_wait import block_and_wait
from .cancellation import cancel_test_blocking_service, cancel_test_runner
from .command_interpreter import command_interpreter
from .counter import counter
from .echoes import test_utils_service
from .failing import failing
from .killing import kill_test_runner, kill_test_singleton
from .list_object import list_object
from .map_object import map_object
from .non_deterministic import non_deterministic
from .object_interpreter import helper, object_interpreters
from .proxy import proxy

if TYPE_CHECKING:
    from durable_trio import ServiceDefinition

SERVICES: Final[list[ServiceDefinition]] = [
    counter,
    list_object,
    map_object,
    awakeable_holder,
    block_and_wait,
    cancel_test_runner,
    cancel_test_blocking_service,
    kill_test_runner,
    kill_test_singleton,
    failing,
    non_deterministic,
    proxy,
    test_utils_service,
    command_interpreter,
    helper,
    *object_interpreters,
]
