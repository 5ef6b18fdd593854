"""An HTTP ingress for the embedded runtime: Restate's own paths, headers and answers.

async with LocalRuntime(services, store) as runtime, HttpIngress(runtime, port=8080):
    await anyio.sleep_forever()

It needs h11: ``pip install "durable-trio[cli]"``.

_server        listening, ending           _connection   one client: framing, timeouts
_application   operations on the runtime   _inbound      reading ahead
_paths         paths to operations         _messages     requests, answers, errors
_delays        delays as text              _origins      who may ask
_limits        what a client may use
"""

from ._limits import Limits as Limits
from ._server import HttpIngress as HttpIngress
