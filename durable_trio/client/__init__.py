"""Clients over HTTP: handlers called, and invocations operated, from outside.

async with IngressClient("http://127.0.0.1:8080") as ingress:
    report = await ingress.call(reports.build, 3)

They work with the embedded runtime's ingress and with a Restate server alike, which speak the
same language. It needs httpx: ``pip install "durable-trio[client]"``.

_ingress    calls, sends, results, events   _admin    invocations, deployments, SQL
_transport  one request, its time, retries  _answers  what an answer means
_paths      names as paths                  _headers  what headers can carry
_deployments  what there is to be called
"""

from importlib import import_module

try:
    import_module("httpx")
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        'the clients need httpx. Install it with: pip install "durable-trio[client]"',
        name="httpx",
    ) from _missing

from ._admin import AdminClient as AdminClient
from ._deployments import DeployedService as DeployedService
from ._deployments import Deployment as Deployment
from ._ingress import IngressClient as IngressClient
