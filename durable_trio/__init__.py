"""Structured concurrency for durable execution.

The map: ``_journal/`` is what is recorded, ``_scheduler.py`` who runs next, ``_task.py``,
``_nursery.py``, ``_cancel.py``, ``_future.py``, ``_sync.py`` and ``_channel.py`` structured
concurrency on it, ``_attempt.py`` where they meet the journal, ``_context.py`` and
``_services.py`` what handlers are written with. ``abc`` holds the ports, ``serde``
payloads, ``local`` the embedded runtime, ``testing`` the kit for tests. Imports point one
way, from the surface down; nothing in here knows an adapter.
"""

from ._cancel import CancelScope as CancelScope
from ._cancel import fail_after as fail_after
from ._cancel import fail_at as fail_at
from ._cancel import move_on_after as move_on_after
from ._cancel import move_on_at as move_on_at
from ._channel import MemoryReceiveChannel as MemoryReceiveChannel
from ._channel import MemorySendChannel as MemorySendChannel
from ._channel import open_memory_channel as open_memory_channel
from ._combinators import amap as amap
from ._combinators import as_completed as as_completed
from ._combinators import first_success as first_success
from ._combinators import gather as gather
from ._combinators import race as race
from ._combinators import wait_all as wait_all
from ._combinators import wait_first as wait_first
from ._context import Awakeable as Awakeable
from ._context import Context as Context
from ._context import ObjectContext as ObjectContext
from ._context import ObjectSharedContext as ObjectSharedContext
from ._context import WorkflowContext as WorkflowContext
from ._context import WorkflowSharedContext as WorkflowSharedContext
from ._context import current_context as current_context
from ._exceptions import BrokenResourceError as BrokenResourceError
from ._exceptions import BusyWaitError as BusyWaitError
from ._exceptions import CancelledError as CancelledError
from ._exceptions import ClosedResourceError as ClosedResourceError
from ._exceptions import DefinitionError as DefinitionError
from ._exceptions import DurableTrioError as DurableTrioError
from ._exceptions import EndOfChannel as EndOfChannel
from ._exceptions import ForeignAwaitError as ForeignAwaitError
from ._exceptions import ForeignDeadlineError as ForeignDeadlineError
from ._exceptions import FutureCancelledError as FutureCancelledError
from ._exceptions import FutureNotDoneError as FutureNotDoneError
from ._exceptions import InvalidInputError as InvalidInputError
from ._exceptions import InvocationTimeoutError as InvocationTimeoutError
from ._exceptions import NonDeterminismError as NonDeterminismError
from ._exceptions import NotDurableTaskError as NotDurableTaskError
from ._exceptions import RetryableError as RetryableError
from ._exceptions import SerializationError as SerializationError
from ._exceptions import StoreCorruptError as StoreCorruptError
from ._exceptions import StoreError as StoreError
from ._exceptions import StoreLockedError as StoreLockedError
from ._exceptions import StoreVersionError as StoreVersionError
from ._exceptions import StoreWriteError as StoreWriteError
from ._exceptions import TerminalError as TerminalError
from ._exceptions import TooSlowError as TooSlowError
from ._exceptions import UnknownServiceError as UnknownServiceError
from ._exceptions import UsageError as UsageError
from ._exceptions import WouldBlock as WouldBlock
from ._future import DurableFuture as DurableFuture
from ._future import FutureStatus as FutureStatus
from ._handler import Handler as Handler
from ._handler import HandlerKind as HandlerKind
from ._journal._entries import IdempotentTarget as IdempotentTarget
from ._journal._entries import WorkflowTarget as WorkflowTarget
from ._not_ready import NOT_READY as NOT_READY
from ._not_ready import NotReady as NotReady
from ._nursery import Nursery as Nursery
from ._nursery import TaskHandle as TaskHandle
from ._nursery import open_nursery as open_nursery
from ._options import ServiceOptions as ServiceOptions
from ._peer import CallFuture as CallFuture
from ._peer import InvocationHandle as InvocationHandle
from ._peer import SendHandle as SendHandle
from ._promise import DurablePromise as DurablePromise
from ._request import Request as Request
from ._retry import InvocationRetryPolicy as InvocationRetryPolicy
from ._retry import RetryPolicy as RetryPolicy
from ._services import Service as Service
from ._services import VirtualObject as VirtualObject
from ._services import Workflow as Workflow
from ._sync import CapacityLimiter as CapacityLimiter
from ._sync import Condition as Condition
from ._sync import Event as Event
from ._sync import Lock as Lock
from ._sync import Semaphore as Semaphore
from ._target import CallTarget as CallTarget
from ._target import RemoteHandler as RemoteHandler
from ._target import remote as remote
from ._wait import checkpoint as checkpoint
from ._wait import sleep as sleep
from ._wait import sleep_forever as sleep_forever
from ._wait import sleep_until as sleep_until
