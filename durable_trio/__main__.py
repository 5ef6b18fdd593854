"""``python -m durable_trio`` is the ``durable-trio`` command."""

from ._cli import main

main()
