"""What a test of durable code needs: stores in memory and checks, without a server."""

from ._memory import MemoryStore as MemoryStore
