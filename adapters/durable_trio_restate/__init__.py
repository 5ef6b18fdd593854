"""The Restate adapter: durable_trio handlers, served to a real Restate server.

_endpoint    the ASGI application      _serve       Hypercorn, on trio and asyncio
_asgi _http  how it is asked
_exchange    one attempt's request     _connection  its protocol, without I/O
_messages _entries _fields _frames     messages as bytes, from whole to part
_versions    what is negotiated        _manifest    what is told at discovery
_identity    signed requests           _errors      what only this adapter raises

Nothing below ``_exchange`` does I/O or knows a clock, an event loop or a web server.
"""

from ._endpoint import Endpoint as Endpoint
from ._endpoint import endpoint as endpoint
from ._errors import IdentityError as IdentityError
from ._errors import ProtocolError as ProtocolError
from ._errors import UnsupportedFeatureError as UnsupportedFeatureError
from ._serve import serve as serve
