"""What an operator does to invocations, and what somebody outside tells them.

Owns the commands; the ingress does the work.
"""

from __future__ import annotations

from typing import Final

import click

from durable_trio.client._paths import awakeable_path, invocation_path, signal_path

from ._exits import NO_ANSWER, USAGE, Exit, complain
from ._ingress import DEFAULT_URL, json_argument, request, text_body, url_option
from ._output import say

_DONE: Final = {
    "cancel": "asked to end",
    "kill": "killed",
    "pause": "paused",
    "resume": "resumed",
    "purge": "forgotten",
}

_NO_SUCH_PATH: Final = "service 'invocations' not found"
"""What the ingress of a Restate server says to an operator."""
_ADMIN_PORT: Final = (
    "A Restate server is administered at its admin port: say --admin http://...:9070."
)

_url_option: Final = click.option(
    "--url",
    "--admin",
    "url",
    envvar="DURABLE_TRIO_URL",
    default=DEFAULT_URL,
    show_default=True,
    show_envvar=True,
    help="Where the ingress is, or the admin port of a Restate server.",
)

_TEXT: Final = [("content-type", "text/plain")]


def _action(name: str, help_text: str) -> click.Command:
    @click.command(name, help=help_text)
    @click.argument("invocation_ids", metavar="ID...", nargs=-1, required=True)
    @_url_option
    def command(invocation_ids: tuple[str, ...], url: str) -> None:
        failures: list[Exit] = []
        for invocation_id in invocation_ids:
            try:
                request(url, "PATCH", invocation_path(invocation_id, name))
            except Exit as error:
                if _NO_SUCH_PATH in str(error):
                    raise Exit(f"{error} {_ADMIN_PORT}", error.code) from error

                if len(invocation_ids) == 1 or error.code == NO_ANSWER:
                    raise

                complain(f"{invocation_id}: {error}")
                failures.append(error)
            else:
                say(f"{invocation_id}: {_DONE[name]}")
        if failures:
            count = len(invocation_ids)
            raise Exit(
                f"{len(failures)} of {count} are not {_DONE[name]}, see above"
                + ("; the others are" if len(failures) < count else ""),
                failures[0].code,
            )

    return command


cancel: Final = _action(
    "cancel", "Ask invocations to end.\n\nTheir handlers unwind, and what they called is cancelled."
)
kill: Final = _action(
    "kill", "End invocations at once.\n\nNo handler is asked; what they called ends as well."
)
pause: Final = _action("pause", "Stop attempting invocations until they are resumed.")
resume: Final = _action("resume", "Attempt invocations now that are paused or back off.")
purge: Final = _action("purge", "Forget completed invocations.")


@click.command()
@click.argument("awakeable", metavar="AWAKEABLE")
@click.argument("value", metavar="[JSON]", required=False)
@click.option("--content-type", metavar="TYPE", help="What the value is, if it is not JSON.")
@url_option
def resolve(awakeable: str, value: str | None, content_type: str | None, url: str) -> None:
    """Resolve an awakeable.

    With a value ('-' reads it from stdin) or with nothing.
    """
    content, headers = json_argument(value, content_type)
    path = awakeable_path(awakeable, "resolve")
    request(url, "POST", path, content=content, headers=headers)


@click.command()
@click.argument("awakeable", metavar="AWAKEABLE")
@click.argument("message", metavar="MESSAGE")
@url_option
def reject(awakeable: str, message: str, url: str) -> None:
    """Reject an awakeable.

    Its wait raises a terminal error with this message.
    """
    path = awakeable_path(awakeable, "reject")
    request(url, "POST", path, content=text_body(message), headers=_TEXT)


@click.command()
@click.argument("invocation_id", metavar="ID")
@click.argument("name", metavar="NAME")
@click.argument("value", metavar="[JSON]", required=False)
@click.option("--reject", "message", metavar="MESSAGE", help="Reject the signal with a message.")
@click.option("--content-type", metavar="TYPE", help="What the value is, if it is not JSON.")
@url_option
def signal(
    invocation_id: str,
    name: str,
    value: str | None,
    message: str | None,
    content_type: str | None,
    url: str,
) -> None:
    """Send an invocation a named signal.

    With a value ('-' reads it from stdin), with nothing, or with a failure.
    """
    if message is None:
        content, headers = json_argument(value, content_type)
        path = signal_path(invocation_id, name, "resolve")
        request(url, "POST", path, content=content, headers=headers)
        return

    if value is not None:
        raise Exit("a signal is resolved with a value or rejected with a message, not both", USAGE)

    path = signal_path(invocation_id, name, "reject")
    request(url, "POST", path, content=text_body(message), headers=_TEXT)
