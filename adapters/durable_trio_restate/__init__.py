"""The Restate adapter: durable_trio handlers, served to a real Restate server.

_endpoint    the application           _server      its own HTTP server
_asgi        any other server          _http        what both of them ask and are answered
_lambda      AWS Lambda                _lambda_event _packing  its events and bodies
_exchange    one attempt's request     _connection  its protocol, without I/O
_messages _entries _fields _frames     messages as bytes, from whole to part
_versions    what is negotiated        _manifest    what is told at discovery
_identity    signed requests           _errors      what only this adapter raises
_reader      what a server keeps       _stored _invocations _ids its rows, and their ids

Nothing below ``_exchange`` does I/O or knows a clock, an event loop or a web server.
"""

from ._endpoint import Endpoint as Endpoint
from ._endpoint import endpoint as endpoint
from ._errors import IdentityError as IdentityError
from ._errors import ProtocolError as ProtocolError
from ._errors import UnsupportedFeatureError as UnsupportedFeatureError
from ._lambda import LambdaHandler as LambdaHandler
from ._lambda import lambda_handler as lambda_handler
from ._reader import RestateReader as RestateReader
from ._server import ServerLimits as ServerLimits
from ._server import serve as serve
from ._server import tls_context as tls_context
