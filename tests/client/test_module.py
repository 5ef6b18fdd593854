"""What importing costs, and whom a client can stand for."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from durable_trio.client import AdminClient, IngressClient
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore

from .services import services

if TYPE_CHECKING:
    from durable_trio.abc import Admin, Ingress


def test_httpx_is_imported_by_the_clients_only() -> None:
    """Neither the core nor the embedded runtime knows it."""
    code = "import durable_trio, durable_trio.local, sys; sys.exit('httpx' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_without_httpx_the_error_says_what_to_install() -> None:
    """The extra of the clients."""
    code = "import sys; sys.modules['httpx'] = None; import durable_trio.client"
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )

    assert 'pip install "durable-trio[client]"' in ended.stderr


def test_the_runtime_and_the_clients_are_of_one_kind() -> None:
    """For type checkers: whoever takes an ``Ingress`` or an ``Admin`` takes each of these."""
    runtime = LocalRuntime(services, MemoryStore())
    ingresses: list[Ingress] = [runtime, IngressClient()]
    admins: list[Admin] = [runtime, AdminClient()]

    assert 4 == len(ingresses) + len(admins)
