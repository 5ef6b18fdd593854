"""What a test of durable code needs: stores in memory and checks, without a server."""

from ._contract import check_journal as check_journal
from ._memory import MemoryStore as MemoryStore
