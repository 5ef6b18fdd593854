"""The ``durable-trio`` command.

_app       the command and its groups       _exits      errors and exit codes
_run       run: serve until stopped         _load       MODULE:SERVICES
_serve     serve: for a Restate server      _workers    processes that share a port
_logs      logs as text and as JSON         _registration  with a Restate server
_stop      signals, and the end             _files      stores and readers, by entry point
_call      call, attach, output             _ingress    the HTTP client
_control   cancel, kill, resolve, ...       _place      a file or a server: the options
_ls        ls                               _show       show
_state     state                            _view       what these three look at
_source    journals to export and replay
_export    export: JSON Lines               _replay     replay
_check     check                            _progress   what takes long
_backend   --backend                        _output     standard output

How a journal reads is ``durable_trio._transcript``'s.

Nothing is imported here until the command runs, and only what it runs: it needs the extra ``cli``.
"""

from __future__ import annotations

import sys
from typing import Final

_NEEDED: Final = frozenset({"click", "h11", "httpx"})


def main() -> None:
    """Run the command and exit."""
    try:
        from ._app import run

        run()
    except ModuleNotFoundError as exc:
        if exc.name not in _NEEDED:
            raise

        sys.exit(
            f"durable-trio: the command needs {exc.name}, which is not installed. "
            'Install it with: pip install "durable-trio[cli]"'
        )
