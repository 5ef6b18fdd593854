"""The HTTP server of ``durable-trio serve``: HTTP/2 and HTTP/1.1 on one port.

_serve       until it is to end      _server      listening, draining
_http2       HTTP/2, without I/O     _http1       HTTP/1.1, without I/O
_h2          what h2 leaves to us    _stream      one request of HTTP/2
_headers     what they may be
_budget      frames without use      _output      bytes that wait to be sent
_protocol    what the two have in common          _limits      what a client may use
_listeners   where it listens        _tls         with which certificate
_command     for ``durable-trio serve``  _connection  a socket, its tasks, its attempts

It knows one application, the endpoint, and asks it directly: no task and no message stands
between a frame and an attempt.
"""

from ._limits import ServerLimits as ServerLimits
from ._serve import serve as serve
from ._tls import tls_context as tls_context
