"""The command and what it consists of.

Owns the group, where each command is, the order in which they are listed, and the last resort
for errors.

 1. An error of ours is one line on stderr and an exit code, never a traceback.
 2. A command is imported when it is asked for: a look at a journal does not wait for HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

import click

from durable_trio._exceptions import DurableTrioError

from ._exits import INTERRUPTED, Exit, code_of, complain
from ._output import colours_wanted

if TYPE_CHECKING:
    from collections.abc import Iterator


_PLACES: Final = {
    "run": "_run.run",
    "serve": "_serve.serve",
    "call": "_call.call",
    "attach": "_call.attach",
    "output": "_call.output",
    "cancel": "_control.cancel",
    "kill": "_control.kill",
    "pause": "_control.pause",
    "resume": "_control.resume",
    "purge": "_control.purge",
    "resolve": "_control.resolve",
    "reject": "_control.reject",
    "signal": "_control.signal",
    "ls": "_ls.ls",
    "show": "_show.show",
    "state": "_state.state",
    "export": "_export.export",
    "replay": "_replay.replay_command",
    "check": "_check.check",
}


class OnDemand(Mapping[str, click.Command]):
    """The commands by name."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = _PLACES[name].partition(".")
        found: click.Command = getattr(import_module(f".{module}", __package__), attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


class Commands(click.Group):
    """A group that lists its commands in the order in which they were written down."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (Exit, DurableTrioError) as error:
            complain(str(error))
            ctx.exit(code_of(error))
        except ExceptionGroup as group:
            if group.split((Exit, DurableTrioError))[1] is not None:
                raise

            errors = list(_leaves(group))
            for each in errors:
                complain(str(each))
            ctx.exit(code_of(errors[0]))
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Any]:
    for each in group.exceptions:
        if isinstance(each, ExceptionGroup):
            yield from _leaves(cast("ExceptionGroup[Exception]", each))
        else:
            yield each


@click.group(
    cls=Commands,
    commands=OnDemand(),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Exit codes: 0 done, 1 failed, 2 wrong use, 3 not found, 4 not ready, 5 no answer,
10 to 14 trouble with the journal file, 128 and a number: ended by that signal.""",
)
@click.version_option(package_name="durable-trio", prog_name="durable-trio")
@click.pass_context
def app(context: click.Context) -> None:
    """Durable handlers: serve them, call them, look at their journals."""
    context.color = colours_wanted()


def run() -> None:
    """Run the command with the arguments of the process, and exit."""
    app.main(prog_name="durable-trio")
