"""``check``: every recorded journal of a directory, or of what is in flight, against today's code.

Owns the command and its page.

 1. What breaks in the same way is told once, with the names of all that break like that.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import click

from durable_trio import _json
from durable_trio._registry import ServiceRegistry
from durable_trio._transcript._text import plain
from durable_trio.testing import Replay, replay_all

from ._backend import backend_option
from ._exits import FAILED, USAGE, Exit
from ._load import load_services
from ._output import page
from ._place import place_options
from ._progress import progress
from ._replay import be_no_store, contexts_option, fields, in_order, json_option, report
from ._source import read_unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NAMED: Final = 5
"""How many more journals that break in the same way are named."""


@click.command()
@click.argument("places", metavar="[DIR|FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.argument("services", metavar="MODULE:SERVICES")
@place_options
@click.option("-v", "--verbose", is_flag=True, help="Tell of every journal, not only what breaks.")
@json_option
@contexts_option
@backend_option
def check(
    places: tuple[Path, ...],
    services: str,
    journal_file: Path | None,
    admin: str | None,
    verbose: bool,
    as_json: bool,
    contexts: bool,
    backend: str,
) -> None:
    """Replay many journals, and tell which ones today's code breaks.

    Those in each DIR and below it (golden journals and exports, *.jsonl), and with
    --journal or --admin all that are in flight there. Nothing is done. The exit code is 1 if
    any of them breaks.
    """
    in_order([str(place) for place in places], services)
    if not places and journal_file is None and admin is None:
        raise Exit("expected a DIR of journals, --journal FILE or --admin URL", USAGE)

    for place in places:
        _be_there(place)
    registry = ServiceRegistry(load_services(services))
    with progress("reading what is in flight"):
        in_flight = list(read_unfinished(journal_file, admin))
    results: list[Replay] = []

    async def replay_everything() -> None:
        for place in places:
            results.extend(await replay_all(place, registry, contexts=contexts))
        results.extend(await replay_all(in_flight, registry, contexts=contexts))

    with progress("replaying", lambda: f"{len(results):,} journals"):
        anyio.run(replay_everything, backend=backend)
    if as_json:
        page(_json.write(fields(result)).decode() for result in results)
    else:
        page(_page(results, verbose=verbose))
    if not all(result.clean for result in results):
        raise click.exceptions.Exit(FAILED)


def _be_there(place: Path) -> None:
    if not place.exists():
        raise Exit(f"there is no {place}: expected a directory of journals, or one of them", USAGE)

    if place.is_file():
        be_no_store(place)


def _page(results: Sequence[Replay], *, verbose: bool) -> Iterator[str]:
    alike: dict[object, list[Replay]] = {}
    for result in results:
        if not result.clean:
            alike.setdefault(_kind(result), []).append(result)
        elif verbose:
            yield report(result)
    for first, *others in alike.values():
        yield report(first)
        if others:
            names = ", ".join(plain(other.name) for other in others[:_NAMED])
            more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
            yield f"and so does {names}{more}" if len(others) == 1 else f"and so do {names}{more}"
        yield ""
    outcomes = Counter(result.outcome for result in results if not result.clean)
    if not outcomes:
        yield f"{len(results)} journals replay cleanly" if results else "nothing is in flight"
        return

    broken = ", ".join(f"{count} {outcome.name.lower()}" for outcome, count in outcomes.items())
    yield f"{sum(outcomes.values())} of {len(results)} journals break: {broken}"


def _kind(result: Replay) -> object:
    """What is the same for journals that break in the same way: the line, if there is one."""
    return result.outcome, type(result.error), result.site or tuple(result.details())
