"""What a test of durable code needs: a runtime with virtual time, stores in memory, checks."""

from ._clock import VirtualClock as VirtualClock
from ._contract import check_journal as check_journal
from ._fakes import fake as fake
from ._memory import MemoryStore as MemoryStore
from ._runtime import VirtualRuntime as VirtualRuntime
from ._runtime import runtime as runtime
