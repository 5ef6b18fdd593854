"""The endpoint manifest: what is served here, told to the server that discovers it.

Owns the table of fields: what they are called, where they stand, and since which version.

 1. A field is written only if its option was given: what is missing is the server's default.
 2. A handler's options are written at the handler and a service's at the service, so that
    the server's own rules of inheritance hold, which are the same as ours.
 3. An option that the negotiated version cannot express is an error, not left out: it was
    given for a reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs
import msgspec

from durable_trio._exceptions import DefinitionError, InvalidInputError
from durable_trio._handler import HandlerKind
from durable_trio._services import ServiceKind
from durable_trio.serde import json_schema

from ._versions import MAX_PROTOCOL, MIN_PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from durable_trio._handler import AnyHandler
    from durable_trio._options import ServiceOptions
    from durable_trio._registry import ServiceRegistry
    from durable_trio._services import ServiceDefinition

ProtocolMode: TypeAlias = Literal["BIDI_STREAM", "REQUEST_RESPONSE"]

_SERVICE_TYPES: Final[Mapping[ServiceKind, str]] = {
    ServiceKind.SERVICE: "SERVICE",
    ServiceKind.VIRTUAL_OBJECT: "VIRTUAL_OBJECT",
    ServiceKind.WORKFLOW: "WORKFLOW",
}
_HANDLER_TYPES: Final[Mapping[HandlerKind, str | None]] = {
    HandlerKind.SERVICE: None,
    HandlerKind.EXCLUSIVE: "EXCLUSIVE",
    HandlerKind.SHARED: "SHARED",
    HandlerKind.WORKFLOW: "WORKFLOW",
}

_COMPRESSION_SINCE: Final = 4


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _as_is(value: Any) -> Any:
    return value


@attrs.frozen
class _Option:
    """An option, the manifest's field for it, and the first version that has it."""

    option: str
    field: str
    since: int
    encode: Callable[[Any], Any] = _as_is


_OPTIONS: Final = (
    _Option("metadata", "metadata", 2, dict),
    _Option("inactivity_timeout", "inactivityTimeout", 3, _milliseconds),
    _Option("abort_timeout", "abortTimeout", 3, _milliseconds),
    _Option("journal_retention", "journalRetention", 3, _milliseconds),
    _Option("idempotency_retention", "idempotencyRetention", 3, _milliseconds),
    _Option("workflow_retention", "workflowCompletionRetention", 3, _milliseconds),
    _Option("lazy_state", "enableLazyState", 3),
    _Option("ingress_private", "ingressPrivate", 3),
)
_RETRIES: Final = (
    _Option("initial_interval", "retryPolicyInitialInterval", 4, _milliseconds),
    _Option("max_interval", "retryPolicyMaxInterval", 4, _milliseconds),
    _Option("max_attempts", "retryPolicyMaxAttempts", 4),
    _Option("exponentiation_factor", "retryPolicyExponentiationFactor", 4, float),
    _Option("on_max_attempts", "retryPolicyOnMaxAttempts", 4, str.upper),
)


def encode_manifest(
    registry: ServiceRegistry,
    defaults: ServiceOptions,
    mode: ProtocolMode,
    version: int,
    *,
    packs: bool = False,
) -> bytes:
    """The manifest as JSON. ``DefinitionError`` for an option that needs a newer version.

    ``packs``: bodies may be packed with zstd. It is no option: an older server does without.
    """
    described: dict[str, Any] = {
        "protocolMode": mode,
        "minProtocolVersion": MIN_PROTOCOL,
        "maxProtocolVersion": MAX_PROTOCOL,
        "services": [
            _service(service, defaults, version) for service in registry.services.values()
        ],
    }
    if packs and version >= _COMPRESSION_SINCE:
        described["lambdaCompression"] = "zstd"
    return msgspec.json.encode(described)


def _service(service: ServiceDefinition, defaults: ServiceOptions, version: int) -> dict[str, Any]:
    described: dict[str, Any] = {"name": service.name, "ty": _SERVICE_TYPES[service.kind]}
    if service.description is not None:
        described["documentation"] = service.description
    options = _over(service.options, defaults)
    if service.kind is ServiceKind.SERVICE:
        options = attrs.evolve(options, lazy_state=None)
    described |= _options(options, version, repr(service))
    described["handlers"] = [_handler(handler, version) for handler in service.handlers.values()]
    return described


def _handler(handler: AnyHandler, version: int) -> dict[str, Any]:
    described: dict[str, Any] = {"name": handler.name}
    type_ = _HANDLER_TYPES[handler.kind]
    if type_ is not None:
        described["ty"] = type_
    if handler.description is not None:
        described["documentation"] = handler.description
    described |= _options(handler.options, version, repr(handler))
    described["input"] = _input(handler)
    described["output"] = {
        "contentType": handler.content_type,
        # No bytes are bytes; an empty body of any other type is no value.
        "setContentTypeIfEmpty": handler.output_type is bytes,
        **_schema(handler, handler.output_type, custom=handler.options.output_serde is not None),
    }
    return described


def _input(handler: AnyHandler) -> dict[str, Any]:
    if not handler.has_input:
        return {}

    return {
        "required": not _takes_nothing(handler),
        "contentType": handler.accept,
        **_schema(handler, handler.input_type, custom=handler.options.input_serde is not None),
    }


def _takes_nothing(handler: AnyHandler) -> bool:
    try:
        handler.decode_input(b"")
    except InvalidInputError:
        return False

    return True


def _schema(handler: AnyHandler, annotation: Any, *, custom: bool) -> dict[str, Any]:
    # A serde of the user's may write anything, also where it says that it is JSON.
    if custom or handler.service.options.serde is not None or annotation is bytes:
        return {}

    return {"jsonSchema": json_schema(annotation)}


def _options(options: ServiceOptions, version: int, whose: str) -> dict[str, Any]:
    return {
        option.field: _expressible(option, version, whose).encode(value)
        for option, value in _given(options)
    }


def _given(options: ServiceOptions) -> Iterator[tuple[_Option, Any]]:
    for source, table in ((options, _OPTIONS), (options.retry_policy, _RETRIES)):
        for option in table:
            value = getattr(source, option.option, None)
            if value is not None:
                yield option, value


def _expressible(option: _Option, version: int, whose: str) -> _Option:
    if version < option.since:
        raise DefinitionError(
            f"{whose}: the server asks for version {version} of the endpoint manifest, which "
            f"cannot express {option.option}; version {option.since} can. Use a newer server, or "
            "leave the option out."
        )

    return option


def _over(options: ServiceOptions, defaults: ServiceOptions) -> ServiceOptions:
    """A service's options, with the defaults where it has none."""
    policy, fallback = options.retry_policy, defaults.retry_policy
    merged = policy.or_else(fallback) if policy is not None and fallback is not None else None
    given = {
        option.option: getattr(defaults, option.option)
        for option in _OPTIONS
        if getattr(options, option.option) is None
    }
    return attrs.evolve(options, **given, retry_policy=merged or policy or fallback)
