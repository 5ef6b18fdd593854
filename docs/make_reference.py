"""Makes the API reference from the docstrings and annotations of all public names.

``python docs/make_reference.py`` writes its pages; a test holds them to be up to date.
The sources are read, not run. Every public name of a module has to be in one of its themes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DOCS: Final = Path(__file__).parent
ROOT: Final = DOCS.parent

THEMES: Final[Mapping[str, Sequence[tuple[str, str, str]]]] = {
    "reference.md": [
        (
            "Services and handlers",
            "durable_trio",
            (
                "Service VirtualObject Workflow ServiceDefinition ServiceKind HandlerDecorator Handler "
                "AnyHandler HandlerKind CallTarget Argument remote RemoteHandler ServiceRegistry"
            ),
        ),
        (
            "Options and retries",
            "durable_trio",
            (
                "ServiceOptions ServiceArguments KeyedServiceArguments HandlerArguments RetryPolicy "
                "InvocationRetryPolicy OnMaxAttempts OnJournalMismatch OnUsageError ErrorMapping ContextFactory "
                "RunContextFactory Duration"
            ),
        ),
        (
            "Contexts",
            "durable_trio",
            (
                "Context ObjectSharedContext ObjectContext WorkflowSharedContext WorkflowContext "
                "current_context Request RunInfo current_run ReplayAwareLogger"
            ),
        ),
        (
            "Calls and events",
            "durable_trio",
            (
                "CallFuture OnCancel SendHandle InvocationHandle IdempotentTarget WorkflowTarget "
                "Awakeable DurablePromise NotReady NOT_READY SendReceipt"
            ),
        ),
        (
            "Branches",
            "durable_trio",
            "open_nursery Nursery TaskHandle race amap",
        ),
        (
            "Futures",
            "durable_trio",
            "DurableFuture FutureStatus gather wait_all wait_first first_success as_completed",
        ),
        (
            "Time and cancellation",
            "durable_trio",
            (
                "sleep sleep_until sleep_forever checkpoint CancelScope move_on_after move_on_at "
                "fail_after fail_at"
            ),
        ),
        (
            "Between branches",
            "durable_trio",
            (
                "Event EventStatistics Lock Semaphore CapacityLimiter Condition open_memory_channel "
                "MemorySendChannel MemoryReceiveChannel ChannelStatistics"
            ),
        ),
        (
            "Errors",
            "durable_trio",
            (
                "DurableTrioError TerminalError CancelledError InvocationTimeoutError "
                "InvalidInputError RefusedError UsageError ForeignAwaitError ForeignDeadlineError BusyWaitError "
                "NotDurableTaskError SerializationError DefinitionError UnknownServiceError "
                "NonDeterminismError RetryableError InvocationPausedError FutureCancelledError "
                "FutureNotDoneError "
                "TooSlowError RequestError NoAnswerError RequestTimeoutError UnavailableError "
                "BadAnswerError EndOfChannel ClosedResourceError BrokenResourceError WouldBlock "
                "StoreError StoreLockedError StoreCorruptError StoreVersionError StoreWriteError"
            ),
        ),
    ],
    "reference_runtime.md": [
        ("The embedded runtime", "durable_trio.local", "LocalRuntime SystemClock"),
        ("The HTTP ingress", "durable_trio.local.http", "HttpIngress Limits"),
        ("Clients", "durable_trio.client", "IngressClient AdminClient Deployment DeployedService"),
        ("The file journal", "durable_trio_file", "FileJournal FileJournalReader"),
        (
            "The Restate adapter",
            "durable_trio_restate",
            (
                "endpoint Endpoint serve ServerLimits tls_context lambda_handler LambdaHandler "
                "RestateReader IdentityError ProtocolError UnsupportedFeatureError"
            ),
        ),
        (
            "Tests",
            "durable_trio.testing",
            (
                "runtime VirtualRuntime VirtualClock fake crash_everywhere CrashReport explore "
                "ExploreReport Schedule schedules MemoryStore check_journal"
            ),
        ),
        (
            "Replays",
            "durable_trio.testing",
            "replay replay_all record GoldenJournals Replay ReplayOutcome NextStep RecordedJournal",
        ),
        (
            "Serialization",
            "durable_trio.serde",
            "serde_for json_serde bytes_serde json_schema Serde",
        ),
    ],
    "reference_ports.md": [
        ("The ports", "durable_trio.abc", "Journal JournalStore Clock Serde Ingress Admin"),
        (
            "An attempt",
            "durable_trio.abc",
            (
                "InvocationStart AttemptEnd AttemptCompleted AttemptSuspended AttemptFailed AwaitTree "
                "AwaitKind"
            ),
        ),
        (
            "Entries of a journal",
            "durable_trio.abc",
            (
                "Entry Command Input Output Run Sleep Call OneWayCall GetState GetStateKeys "
                "GetEagerState GetEagerStateKeys SetState ClearState ClearAllState GetPromise "
                "PeekPromise CompletePromise CompleteAwakeable SendSignal Attach GetOutput "
                "Notification Completion Signal Result Value Failure Void VOID InvocationId StateKeys "
                "Target InvocationTarget Headers JournalHeader CANCEL_SIGNAL FIRST_AWAKEABLE_SIGNAL"
            ),
        ),
        (
            "Records and writes of a store",
            "durable_trio.abc",
            (
                "InvocationRecord InvocationStatus Timer TimerKind Waiter StateEntry Write "
                "AppendEntries DeliverNotification PutInvocation DeleteInvocation DeleteJournal "
                "PutState DeleteState PutTimer DeleteTimer PutWaiter DeleteWaiters DeleteWaiter PutPromise "
                "DeletePromises PutPromiseWaiter DeletePromiseWaiters"
            ),
        ),
    ],
}

HEADING: Final = "API reference"
TITLES: Final = {
    "reference.md": "writing handlers",
    "reference_runtime.md": "running, testing, serializing",
    "reference_ports.md": "what stores and adapters implement",
}

# Classes whose instances users are given: how they are made is nobody's business.
_GIVEN: Final = frozenset(
    [
        "Context",
        "CallFuture",
        "DurableFuture",
        "Nursery",
        "TaskHandle",
        "SendHandle",
        "InvocationHandle",
        "DurablePromise",
        "MemorySendChannel",
        "MemoryReceiveChannel",
        "ReplayAwareLogger",
        "HandlerDecorator",
        "Handler",
        "RemoteHandler",
        "Endpoint",
    ]
)
_WIDTH: Final = 96


def pages() -> dict[str, str]:
    """The text of every page, by its file's name."""
    _refuse_gaps()
    return {name: "\n".join(_page(name)).rstrip() + "\n" for name in THEMES}


def described() -> Iterator[tuple[str, str]]:
    """Every public name, as ``module.name``, with its docstring."""
    for themes in THEMES.values():
        for _, home, names in themes:
            for name in names.split():
                yield f"{home}.{name}", _docstring(_modules()[home][name])


def public(home: str) -> set[str]:
    """The names that a module gives out: ``X as X``, or what it defines itself."""
    module = _modules()[home]
    imported = {
        name
        for name, member in module.members.items()
        if member.is_alias and not name.startswith("_") and _reexported(module, name)
    }
    defined = {
        name
        for name, member in module.members.items()
        if not member.is_alias
        and not name.startswith("_")
        and (member.is_class or member.is_function)
    }
    return imported | defined


def _reexported(module: griffe.Module, name: str) -> bool:
    source = Path(str(module.filepath)).read_text("utf-8")
    return re.search(rf"\b{name} as {name}\b", source) is not None


def _modules() -> dict[str, griffe.Module]:
    if not _LOADED:
        loader = griffe.GriffeLoader(search_paths=[ROOT, ROOT / "adapters"])
        for package in (
            "durable_trio",
            "durable_trio_file",
            "durable_trio_restate",
            "durable_trio_pytest",
        ):
            loader.load(package)
        loader.resolve_aliases(implicit=True)
        homes = {home for themes in THEMES.values() for _, home, _ in themes}
        for home in homes:
            module = loader.modules_collection[home]
            assert isinstance(module, griffe.Module)
            _LOADED[home] = module
    return _LOADED


_LOADED: Final[dict[str, griffe.Module]] = {}


def _refuse_gaps() -> None:
    """``SystemExit`` if a public name is in no theme, or in two, or is none."""
    for home in _modules():
        themed = [
            name
            for themes in THEMES.values()
            for _, of, names in themes
            if of == home
            for name in names.split()
        ]
        gaps = public(home) ^ set(themed)
        if gaps or len(themed) != len(set(themed)):
            raise SystemExit(f"{home}: not in exactly one theme of THEMES: {sorted(gaps)}")


def _page(name: str) -> Iterator[str]:
    themes = THEMES[name]
    others = [f"[{title}]({page})" for page, title in TITLES.items() if page != name]
    yield f"# {HEADING}: {TITLES[name]}"
    yield ""
    yield f"The other pages: {', '.join(others)}."
    yield "Made from the sources by `python docs/make_reference.py`; do not edit it by hand."
    yield ""
    anchors: dict[str, int] = {}
    for title, home, names in themes:
        links = [f"[`{name}`](#{_anchor(name, anchors)})" for name in names.split()]
        yield f"- **{title}** (`{home}`): {', '.join(links)}"
    yield ""
    for title, home, names in themes:
        yield f"## {title}"
        yield ""
        yield f"From `{home}`."
        yield ""
        for public_name in names.split():
            yield from _entry(public_name, _modules()[home][public_name])


def _anchor(name: str, taken: dict[str, int]) -> str:
    """Where a heading is linked to, as GitHub does it: the second one of its spelling gets ``-1``."""
    anchor = name.lower()
    before = taken.get(anchor, 0)
    taken[anchor] = before + 1
    return f"{anchor}-{before}" if before else anchor


def _entry(name: str, found: griffe.Object | griffe.Alias) -> Iterator[str]:
    yield f"### `{name}`"
    yield ""
    item = found.final_target if isinstance(found, griffe.Alias) else found
    yield "```python"
    if isinstance(item, griffe.Class):
        yield from _class_lines(item)
    elif isinstance(item, griffe.Function):
        yield from _function_lines(item)
    elif isinstance(item, griffe.Attribute):
        yield f"{name} = {item.value}"
    yield "```"
    yield ""
    yield from _text(item)
    if isinstance(item, griffe.Class):
        members = list(_members(item))
        yield from members
        if members:
            yield ""


def _class_lines(item: griffe.Class) -> Iterator[str]:
    bases = [str(base) for base in item.bases if str(base) not in {"Generic[T]", "Protocol"}]
    bases = [base for base in bases if not base.startswith(("Generic[", "Protocol["))]
    yield f"class {item.name}" + (f"({', '.join(bases)})" if bases else "")
    constructor = item.members.get("__init__")
    if isinstance(constructor, griffe.Function) and item.name not in _GIVEN:
        yield from _function_lines(constructor, item.name)


def _function_lines(item: griffe.Function, name: str | None = None) -> Iterator[str]:
    for overload in item.overloads or [item]:
        yield from _signature(overload, name)


def _signature(item: griffe.Function, name: str | None = None) -> list[str]:
    prefix = "async def " if "async" in item.labels else "def "
    returned = str(item.returns)
    if any(str(decorator.value) == "types.coroutine" for decorator in item.decorators):
        prefix, returned = "async def ", returned.rpartition(", ")[2].rstrip("]")
    parameters = list(_parameters(item))
    returns = f" -> {returned}"
    if name is not None:
        prefix = returns = ""
    line = f"{prefix}{name or item.name}({', '.join(parameters)}){returns}"
    if len(line) <= _WIDTH:
        return [line]

    return [
        f"{prefix}{name or item.name}(",
        *(f"    {parameter}," for parameter in parameters),
        f"){returns}",
    ]


def _parameters(item: griffe.Function) -> Iterator[str]:
    kinds = griffe.ParameterKind
    marks = {kinds.var_positional: "*", kinds.var_keyword: "**"}
    given = [parameter for parameter in item.parameters if parameter.name not in {"self", "cls"}]
    starred = False
    for index, parameter in enumerate(given):
        kind = parameter.kind
        if kind is kinds.keyword_only and not starred:
            starred = True
            yield "*"
        starred = starred or kind is kinds.var_positional
        text = f"{marks.get(kind, '') if kind else ''}{parameter.name}"
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and kind not in marks:
            text += f" = {parameter.default}" if parameter.annotation else f"={parameter.default}"
        yield text
        ends = index + 1 == len(given) or given[index + 1].kind is not kinds.positional_only
        if kind is kinds.positional_only and ends:
            yield "/"


def _members(owner: griffe.Class) -> Iterator[str]:
    values = any(str(base) in {"enum.Enum", "Enum"} for base in owner.bases)
    contract = _modules()["durable_trio.abc"]["JournalStore"].members
    implements = owner.name != "JournalStore" and owner.members.keys() >= {"write", "unfinished"}
    for name, member in owner.members.items():
        item = member.final_target if isinstance(member, griffe.Alias) else member
        if name.startswith("_"):
            continue

        if implements and name in contract and not _docstring(item):
            continue

        if isinstance(item, griffe.Attribute):
            yield from _point(_attribute(item, values=values), item)
        elif isinstance(item, griffe.Function):
            signatures = [" ".join(_signature(one)) for one in item.overloads or [item]]
            yield from _point("<br>".join(f"`{_joined(one)}`" for one in signatures), item)

    if implements:
        yield "- and what every [`JournalStore`](reference_ports.md#journalstore) has."


def _joined(signature: str) -> str:
    text = re.sub(r"\(\s+", "(", re.sub(r"\s+", " ", signature)).replace(", )", ")")
    return text.removeprefix("def ").replace("async def ", "async ")


def _attribute(item: griffe.Attribute, *, values: bool) -> str:
    if values:
        return f"`{item.name}`"

    text = item.name if item.annotation is None else f"{item.name}: {item.annotation}"
    if (
        "property" not in item.labels
        and item.value is not None
        and "class-attribute" in item.labels
    ):
        value = str(item.value)
        default = re.search(r"\bdefault=([^,()]+)", value)
        if default:
            text += f" = {default[1]}"
        elif not value.startswith("attrs.field("):
            text += f" = {value}"
    return f"`{text}`"


def _point(signature: str, item: griffe.Object) -> Iterator[str]:
    lines = list(_text(item))
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        yield f"- {signature}"
        return

    yield f"- {signature}<br>"
    yield from (f"  {line}".rstrip() for line in lines)


def _docstring(item: griffe.Object | griffe.Alias) -> str:
    return item.docstring.value if item.docstring is not None else ""


def _text(item: griffe.Object) -> Iterator[str]:
    """A docstring as Markdown: code in backquotes, and lists of terms as lists."""
    text = _docstring(item)
    if not text:
        return

    text = text.replace("``", "`")
    text = re.sub(
        r"^(`[^`\n]+`)\n((?:    .+\n?)+)",
        lambda term: f"- {term[1]}: " + " ".join(term[2].split()) + "\n",
        text,
        flags=re.MULTILINE,
    )
    yield from text.splitlines()
    yield ""


if __name__ == "__main__":
    for page, content in pages().items():
        (DOCS / page).write_text(content, "utf-8")
