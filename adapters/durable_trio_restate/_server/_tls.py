"""TLS for the server.

Owns a server's context: HTTP/2 and HTTP/1.1 are offered, and what is not TLS 1.2 or later
is refused.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from durable_trio._exceptions import UsageError

if TYPE_CHECKING:
    from os import PathLike


def tls_context(
    certificate: str | PathLike[str],
    key: str | PathLike[str] | None = None,
    *,
    password: str | None = None,
    client_ca: str | PathLike[str] | None = None,
) -> ssl.SSLContext:
    """A context for ``serve``: a certificate chain and its private key, in PEM files.

    Without ``key`` it is in the certificate's file. With ``client_ca`` clients have to show a
    certificate that one of these authorities has signed. ``UsageError`` for files that cannot
    be read or do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as exc:  # ssl.SSLError is one
        raise UsageError(
            f"cannot use the TLS certificate {certificate}"
            f"{f' with the key {key}' if key is not None else ''}: {exc}. Expected PEM files that "
            "belong together."
        ) from exc
    return context
