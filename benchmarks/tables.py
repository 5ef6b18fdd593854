"""Which tables of figures the pages in docs/ have, and which figure stands where.

Owns the rows, the columns, the aims and what is said about a row that a peer wins; a figure
that is not in the runs leaves its cell empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from results import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from results import Run, Runs
    from rounds import Figure

_OURS: Final = ("ours, trio", "ours, asyncio")
_PEERS: Final = ("restate-sdk, Hypercorn", "restate-sdk, Granian", "TypeScript SDK, node")
_BACKENDS: Final = ("trio", "asyncio")


@attrs.frozen
class Row:
    """A workload of the wire benchmark, the aim of its issue, and why a peer may win it."""

    name: str
    figure: str
    aim: float
    inline: bool = False
    why: str = ""


_PYTHON: Final = (
    "its HTTP/2 and its protocol are Rust, ours are Python; `--only http` measures our server alone"
)
_REPLAY: Final = "every recorded run is decoded, compared and delivered by Python code"

WIRE: Final = (
    Row("no-op handler, 50 concurrent", "no-op, 50 concurrent", 0.45, why=_PYTHON),
    Row(
        "10 sequential runs, 50 concurrent",
        "10 sequential runs, 50 concurrent",
        2.0,
        inline=True,
        why="a body may wait, so a host task runs it; inline bodies spare that",
    ),
    Row("fan-out of 100 runs, 10 concurrent", "fan-out of 100 runs, 10 concurrent", 8, inline=True),
    Row(
        "race of 3 calls and a timer, 20 concurrent",
        "race of 3 calls and a timer, 20 concurrent",
        2.5,
        why=_PYTHON,
    ),
    Row("one fan-out of 1,000 runs", "fan-out of 1,000 runs", 80),
    Row("replay of 1,000 sequential runs", "replay of 1,000 sequential runs", 10, why=_REPLAY),
    Row(
        "replay of one fan-out of 1,000 runs",
        "replay of one fan-out of 1,000 runs",
        15,
        why=_REPLAY,
    ),
    Row(
        "KiB an invocation parked on a stream",
        "parked on a stream",
        12,
        why="an attempt has a host task and a coroutine of its own besides its stream",
    ),
)

_SERVED: Final = 5
"""How many of them a server drives; the others are replays and memory."""


def number(value: float) -> str:
    """With three digits that say something, and no exponent."""
    if value >= 100:
        digits = len(str(int(value))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"


def cell(figure: Figure | None, suffix: str = "") -> str:
    """A median with the lowest and the highest round."""
    if figure is None:
        return ""
    low, high = number(min(figure.values)), number(max(figure.values))
    spread = "" if low == high else f" ({low} to {high})"
    return f"{number(figure.median)}{suffix}{spread}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("  |", " |")


def _command(run: Run) -> str:
    return f"```sh\n.venv/bin/python {run['command']}\n```"


def _with_command(name: str, body: Callable[[dict[str, Figure]], str]) -> Callable[[Runs], str]:
    """A table below the command that made it, with when that was."""

    def fill(runs: Runs) -> str:
        if name not in runs:
            return f"Not run yet: `--only {name}`."
        run = runs[name]
        return f"{_command(run)}\n\n{body(figures(run))}"

    return fill


def machine(runs: Runs) -> str:
    """Where, when, and with which versions all this ran."""
    dates = sorted(run["date"] for run in runs.values())
    machines = sorted({run["machine"] for run in runs.values()})
    versions: dict[str, set[str]] = {}
    for run in runs.values():
        for package, version in run["versions"].items():
            versions.setdefault(package, set()).add(version)
    listed = ", ".join(f"{name} {' and '.join(sorted(each))}" for name, each in versions.items())
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return f"Machine: {'; '.join(machines)}. Versions: {listed}. Run from {when} UTC."


def _verdict(found: Sequence[Figure | None], aim: float, *, at_least: bool = False) -> str:
    """Whether the worse of our two reaches the aim, by its median."""
    medians = [figure.median for figure in found if figure is not None]
    if not medians:
        return ""
    worst = min(medians) if at_least else max(medians)
    missed = 1 - worst / aim if at_least else worst / aim - 1
    return "reached" if missed <= 0 else f"missed by {missed:.0%}".replace("%", " %")


def _server(found: dict[str, Figure]) -> str:
    rows = [
        [row.name, cell(found.get(f"{row.figure}: restate-server itself"))]
        for row in WIRE[:_SERVED]
    ]
    return table(["ms of processor time a request", "restate-server"], rows)


def _wire(found: dict[str, Figure]) -> str:
    header = ["ms of processor time a request", *_OURS, *_PEERS, "aim", ""]
    rows: list[list[str]] = []
    for row in WIRE:
        cells = [found.get(f"{row.figure}: {name}") for name in (*_OURS, *_PEERS)]
        rows.append(
            [row.name, *map(cell, cells), number(row.aim), _verdict(cells[: len(_OURS)], row.aim)]
        )
        if row.inline:
            inline = [found.get(f"{row.figure}: {name}, inline bodies") for name in _OURS]
            rows.append(["the same, with inline bodies", *map(cell, inline), "", "", "", "", ""])
    return table(header, rows)


def _ratios(found: dict[str, Figure]) -> str:
    header = ["the peer's / ours", *(f"{peer} / {ours}" for peer in _PEERS for ours in _BACKENDS)]
    rows = [
        [
            row.name,
            *(
                cell(found.get(f"{row.figure}: {peer} / ours, {backend}"), "x")
                for peer in _PEERS
                for backend in _BACKENDS
            ),
        ]
        for row in WIRE
    ]
    return table(header, rows)


def _losses(runs: Runs) -> str:
    if "wire" not in runs:
        return ""
    found = figures(runs["wire"])
    lines: list[str] = []
    for row in WIRE:
        ours = [f for name in _OURS if (f := found.get(f"{row.figure}: {name}"))]
        if not ours:
            continue
        worst = max(ours, key=lambda figure: figure.median)
        winners = [
            f"{peer} takes {peers.median / worst.median:.0%}".replace("%", " %")
            for peer in _PEERS
            if (peers := found.get(f"{row.figure}: {peer}")) and peers.median < worst.median
        ]
        verdict = _verdict(ours, row.aim)
        if winners or verdict != "reached":
            lost = "; ".join(
                [*winners, *([f"the aim is {verdict}"] if verdict != "reached" else [])]
            )
            lines.append(f"- *{row.name}*: {lost}. Why: {row.why or 'not looked into'}.")
    return "\n".join(lines or ["Nowhere in this run."])


def _servers(found: dict[str, Figure]) -> str:
    names = ("ours, trio, Hypercorn", "ours, asyncio, Hypercorn", "ours, asyncio, Granian")
    return table(
        ["ms of processor time a request", *names],
        [[row.name, *(cell(found.get(f"{row.figure}: {name}")) for name in names)] for row in WIRE],
    )


def _http(found: dict[str, Figure]) -> str:
    rows = [
        [label, *(cell(found.get(f"{key}, {name}")) for name in _HTTP)]
        for label, key in (("a fixed answer", "fixed"), ("an attempt that does nothing", "attempt"))
    ]
    header = ("ours, trio", "ours, asyncio", "Hypercorn, trio", "Hypercorn, asyncio")
    return table(["ms of processor time a request", *header], rows)


_HTTP: Final = ("ours, trio", "ours, asyncio", "hypercorn, trio", "hypercorn, asyncio")


def _workers(found: dict[str, Figure]) -> str:
    rows: list[list[str]] = []
    for workload in ("no-op", "replay of 100 runs"):
        for backend in _BACKENDS:
            for workers in (1, 2, 4):
                name = f"{workload}: {backend}, {workers} workers"
                rows.append(
                    [
                        f"{workload}, {backend}" if workers == 1 else "",
                        str(workers),
                        cell(found.get(name)),
                        cell(found.get(f"{name} / 1 worker"), "x"),
                        cell(found.get(f"{name}: processor time a request")),
                        cell(found.get(f"{name}: busy cores")),
                    ]
                )
    header = (
        *("attempt", "workers", "a second", "of one worker's"),
        *("ms of processor time each", "busy cores"),
    )
    return table(header, rows)


def _runtime(found: dict[str, Figure]) -> str:
    rows: list[list[str]] = []

    def add(label: str, key: str, aim: float | None, suffix: str = "") -> None:
        cells = [found.get(f"{backend}: {key}") for backend in _BACKENDS]
        verdict = "" if aim is None else _verdict(cells, aim, at_least=True)
        rows.append(
            [
                label,
                *(cell(each, suffix) for each in cells),
                "" if aim is None else f"{number(aim)}{suffix}",
                verdict,
            ]
        )

    add("one workflow / raw SQLite commits of one row", "alone / commits", 0.5, "x")
    add("the same, steps a second", "alone", None)
    add("200 workflows at once, steps a second", "200 at once", 20_000)
    add("a fan-out of 1,000 runs, steps a second", "fan-out", None)
    floors = (
        f"The disk below, in the same rounds: {cell(found.get('SQLite commits of one row'))} SQLite "
        f"commits a second, {cell(found.get('append + fdatasync'))} appends with fdatasync."
    )
    return table(["what", *_BACKENDS, "aim", ""], rows) + f"\n\n{floors}"


_EMBEDDED: Final = ("file journal, trio", "file journal, asyncio", "DBOS on SQLite")
_EMBEDDED_WORK: Final = (
    *("one sequential workflow", "one fan-out of 100"),
    *("200 sequential workflows at once", "10 fan-outs of 100 at once"),
    "200 fan-outs of 100 at once",
)


def _peers(found: dict[str, Figure]) -> str:
    rows: list[list[str]] = []
    columns = (*_EMBEDDED, "SQLite commits of one row", "append + fdatasync")
    for work in _EMBEDDED_WORK:
        rows.append(
            [f"{work}, steps a second", *(cell(found.get(f"{work}: {each}")) for each in columns)]
        )
        times = [cell(found.get(f"{work}: {each} / DBOS on SQLite"), "x") for each in _EMBEDDED[:2]]
        rows.append(["the same / DBOS", *times, "", "", ""])
        spent = [cell(found.get(f"{work}: {each}: processor time of a step")) for each in _EMBEDDED]
        rows.append(["the same, ms of processor time a step", *spent, "", ""])
    return table(["what", *columns], rows)


def _concurrency(found: dict[str, Figure]) -> str:
    rows: list[list[str]] = []
    for label, key, aim in (
        ("1,000 durable children", "durable children", 1.5),
        ("1,000 durable runs", "durable runs", 1.5),
        ("1,000 children with a run each", "durable children with a run", None),
    ):
        cells = [found.get(f"{backend}: {key}") for backend in _BACKENDS]
        ratios = [found.get(f"{backend}: {key} / plain") for backend in _BACKENDS]
        rows.append([f"{label}, µs each", *map(cell, cells), "", ""])
        rows.append(
            [
                "the same / plain anyio task group",
                *(cell(each, "x") for each in ratios),
                "" if aim is None else f"{aim}x",
                "" if aim is None else _verdict(ratios, aim),
            ]
        )
    plain = [found.get(f"{backend}: plain anyio task group") for backend in _BACKENDS]
    rows.append(["plain anyio task group, µs each", *map(cell, plain), "", ""])
    return table(["what", *_BACKENDS, "aim", ""], rows)


def _replay(found: dict[str, Figure]) -> str:
    rows: list[list[str]] = []
    for label, key in (
        ("10,000 entries, sequential", "sequential"),
        ("the same, one fan-out", "fan_out"),
        ("the same, a child for every run", "in_children"),
    ):
        cells = [found.get(f"{backend}: {key}") for backend in _BACKENDS]
        verdict = _verdict(cells, 100_000, at_least=True)
        rows.append([label, *map(cell, cells), "100,000", verdict])
    return table(["entries replayed a second", *_BACKENDS, "aim", ""], rows)


def _waiting(found: dict[str, Figure]) -> str:
    rows = [
        [label, *(cell(found.get(f"{backend}: {key}")) for backend in _BACKENDS)]
        for label, key in (
            ("an invocation that waits in memory", "2,000 waiting in memory"),
            ("one that is unloaded", "20,000 unloaded"),
        )
    ]
    return table(["KiB each", *_BACKENDS], rows)


def _import(found: dict[str, Figure]) -> str:
    rows = [
        [name.removeprefix("import of "), cell(figure)]
        for name, figure in found.items()
        if name != "import of python itself"
    ]
    return table(["import of", "ms of processor time"], rows)


def _growth(found: dict[str, Figure]) -> str:
    rows: dict[str, dict[str, str]] = {}
    sizes: list[str] = []
    for name, figure in found.items():
        label, _, size = name.removesuffix(" entries").rpartition(", ")
        rows.setdefault(label, {})[size] = cell(figure)
        if size not in sizes:
            sizes.append(size)
    sizes.sort(key=lambda size: int(size.replace(",", "")))
    return table(
        ["µs each", *sizes],
        [[label, *(cells.get(size, "") for size in sizes)] for label, cells in rows.items()],
    )


def _of_wire(body: Callable[[dict[str, Figure]], str]) -> Callable[[Runs], str]:
    """Another table of a run whose command stands above already."""
    return lambda runs: body(figures(runs["wire"])) if "wire" in runs else ""


def _limits(runs: Runs) -> str:
    """What one core, and one GiB, are good for: from the figures of several benchmarks."""
    found = {name: figures(run) for name, run in runs.items()}

    def of(benchmark: str, *names: str) -> list[Figure | None]:
        return [found.get(benchmark, {}).get(name) for name in names]

    def per(whole: float, each: Figure | None) -> str:
        return "" if each is None else number(whole / each.median)

    def ours(workload: str) -> list[Figure | None]:
        return of("wire", *(f"{workload}: {name}" for name in _OURS))

    noop, ten = ours("no-op, 50 concurrent"), ours("10 sequential runs, 50 concurrent")
    replayed, parked = ours("replay of 1,000 sequential runs"), ours("parked on a stream")
    server = of("wire", *(f"{row.figure}: restate-server itself" for row in WIRE[:2]))
    at_once = of("runtime", *(f"{backend}: 200 at once" for backend in _BACKENDS))
    held = of("waiting", *(f"{backend}: 2,000 waiting in memory" for backend in _BACKENDS))
    unloaded = of("waiting", *(f"{backend}: 20,000 unloaded" for backend in _BACKENDS))
    return table(
        ["what", *_BACKENDS],
        [
            ["endpoint: no-op invocations a second and core", *(per(1e3, each) for each in noop)],
            ["endpoint: steps a second and core, 10 in a row", *(per(1e4, each) for each in ten)],
            [
                "endpoint: recorded steps replayed a second and core",
                *(per(1e6, each) for each in replayed),
            ],
            [
                "endpoint: invocations parked on a stream, a GiB",
                *(per(2**20, each) for each in parked),
            ],
            ["restate-server: no-op invocations a second and core", *[per(1e3, server[0])] * 2],
            ["restate-server: steps a second and core, 10 in a row", *[per(1e4, server[1])] * 2],
            ["embedded: steps a second, one process", *map(cell, at_once)],
            ["embedded: invocations that wait in memory, a GiB", *(per(2**20, f) for f in held)],
            ["embedded: unloaded ones, a GiB", *(per(2**20, each) for each in unloaded)],
        ],
    )


TABLES: Final[dict[str, Callable[[Runs], str]]] = {
    "machine": machine,
    "wire": _with_command("wire", _wire),
    "losses": _losses,
    "server": _of_wire(_server),
    "ratios": _of_wire(_ratios),
    "servers": _of_wire(_servers),
    "http": _with_command("http", _http),
    "workers": _with_command("workers", _workers),
    "runtime": _with_command("runtime", _runtime),
    "peers": _with_command("peers", _peers),
    "concurrency": _with_command("concurrency", _concurrency),
    "replay": _with_command("replay", _replay),
    "waiting": _with_command("waiting", _waiting),
    "import": _with_command("import", _import),
    "growth": _with_command("growth", _growth),
    "limits": _limits,
}
