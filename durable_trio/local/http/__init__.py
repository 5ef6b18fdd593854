"""An HTTP ingress for the embedded runtime: Restate's own paths, headers and answers.

async with LocalRuntime(services, store) as runtime, HttpIngress(runtime, port=8080):
    await anyio.sleep_forever()

It needs h11: ``pip install "durable-trio[cli]"``.

_server        listening, ending           _connection   one client: framing, timeouts
_application   operations on the runtime   _inbound      reading ahead
_paths         paths to operations         _inputs       what a request carries
_delays        delays as text              _messages     requests, answers, errors
_limits        what a client may use       _origins      who may ask
"""

from importlib import import_module

try:
    import_module("h11")
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        'the HTTP ingress needs h11. Install it with: pip install "durable-trio[cli]"',
        name="h11",
    ) from _missing

from ._limits import Limits as Limits
from ._server import HttpIngress as HttpIngress
