"""What a test of durable code needs: a runtime with virtual time, stores in memory, checks."""

from ._clock import VirtualClock as VirtualClock
from ._contract import check_journal as check_journal
from ._crash import CrashReport as CrashReport
from ._crash import crash_everywhere as crash_everywhere
from ._explore import ExploreReport as ExploreReport
from ._explore import explore as explore
from ._fakes import fake as fake
from ._golden import GoldenJournals as GoldenJournals
from ._golden import record as record
from ._golden import replay_all as replay_all
from ._memory import MemoryStore as MemoryStore
from ._recording import RecordedJournal as RecordedJournal
from ._replay import replay as replay
from ._runtime import VirtualRuntime as VirtualRuntime
from ._runtime import runtime as runtime
from ._schedule import Schedule as Schedule
from ._schedule import schedules as schedules
from ._verdict import NextStep as NextStep
from ._verdict import Replay as Replay
from ._verdict import ReplayOutcome as ReplayOutcome
