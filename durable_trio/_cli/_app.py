"""The command and what it consists of.

Owns the group, the order in which commands are listed, and the last resort for errors.

 1. An error of ours is one line on stderr and an exit code, never a traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from durable_trio._exceptions import DurableTrioError

from . import _call, _check, _control, _export, _ls, _replay, _run, _serve, _show
from ._exits import INTERRUPTED, Exit, code_of, complain
from ._output import colours_wanted

if TYPE_CHECKING:
    from collections.abc import Iterable


class Commands(click.Group):
    """A group that lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (Exit, DurableTrioError) as error:
            complain(str(error))
            ctx.exit(code_of(error))
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(
    cls=Commands,
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


def _add(commands: Iterable[click.Command]) -> None:
    for command in commands:
        app.add_command(command)


_add([_run.run, _serve.serve, _call.call, _call.attach, _call.output])
_add([_control.cancel, _control.kill, _control.pause, _control.resume, _control.purge])
_add([_control.resolve, _control.reject, _control.signal])
_add([_ls.ls, _show.show, _export.export])
_add([_replay.replay_command, _check.check])


def run() -> None:
    """Run the command with the arguments of the process, and exit."""
    app.main(prog_name="durable-trio")
