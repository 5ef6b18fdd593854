"""The commands that ask a running server."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from durable_trio._cli._app import app

from .server import Server, running

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

UNKNOWN = "inv_1AAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """One server for all of these tests: they use keys and names of their own."""
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


def ask(server: Server, *arguments: object, **options: Any) -> Result:
    environment = {"DURABLE_TRIO_URL": server.url}
    return CliRunner().invoke(app, [*map(str, arguments)], env=environment, **options)


def answered(server: Server, *arguments: object, **options: Any) -> str:
    """What it prints, if it succeeds."""
    result = ask(server, *arguments, **options)
    assert 0 == result.exit_code, result.stderr
    return result.stdout


def test_a_call_prints_the_result(server: Server) -> None:
    """As JSON, with a line end."""
    assert '"hello"\n' == answered(server, "call", "Work/echo", '"hello"')


def test_a_key_is_what_is_between_the_slashes(server: Server) -> None:
    """It needs no encoding, whatever is in it."""
    assert "5\n" == answered(server, "call", "Counter/a/b %2F é?/add", 5)
    assert "6\n" == answered(server, "call", "Counter/a/b %2F é?/add", 1)
    assert "1\n" == answered(server, "call", "Counter/a/b/add", 1)


def test_a_negative_number_follows_two_dashes(server: Server) -> None:
    """As everywhere, what looks like an option is none after ``--``."""
    assert "-3\n" == answered(server, "call", "Counter/negative/add", "--", "-3")


def test_an_argument_may_come_from_stdin(server: Server) -> None:
    """A dash stands for it."""
    assert '"from a pipe"\n' == answered(server, "call", "Work/echo", "-", input='"from a pipe"\n')


def test_an_idempotency_key_calls_once(server: Server) -> None:
    """The second call prints the first result."""
    call = ("call", "Counter/once/add", "--idempotency-key", "k")

    assert ["5\n", "5\n"] == [answered(server, *call, 5), answered(server, *call, 7)]


def test_a_send_prints_the_id(server: Server) -> None:
    """Only the id, for use in scripts; the result is there later."""
    sent = answered(server, "call", "Work/echo", '"later"', "--send").strip()
    result = answered(server, "attach", sent)

    assert sent.startswith("inv_1")
    assert '"later"\n' == result == answered(server, "output", sent)


def test_a_delayed_send_is_not_ready(server: Server) -> None:
    """Exit code 4 for its output; cancelled, it fails with 409."""
    call = ("call", "Work/echo", '"x"', "--send", "--delay", "1h", "--idempotency-key", "late")
    sent = answered(server, *call).strip()
    again = ask(server, *call)
    early = ask(server, "output", sent)
    cancelled = answered(server, "cancel", sent)
    ended = ask(server, "attach", sent)

    assert sent == again.stdout.strip()
    assert "accepted before" in again.stderr
    assert (4, "") == (early.exit_code, early.stdout)
    assert f"{sent}: asked to end\n" == cancelled
    assert 1 == ended.exit_code
    assert "durable-trio: the invocation failed: 409 cancelled\n" == ended.stderr


def test_an_awakeable_is_resolved(server: Server) -> None:
    """The invocation goes on with the value."""
    sent = answered(server, "call", "Work/steps", '["a"]', "--send").strip()
    server.until("awakeable")
    awakeable = (server.folder / "awakeable").read_text()
    (server.folder / "awakeable").unlink()

    assert "" == answered(server, "resolve", awakeable, '"z"')
    assert '["A","Z"]\n' == answered(server, "attach", sent)


def test_an_awakeable_is_rejected(server: Server) -> None:
    """The invocation fails with the message."""
    sent = answered(server, "call", "Work/steps", "[]", "--send").strip()
    server.until("awakeable")
    awakeable = (server.folder / "awakeable").read_text()
    (server.folder / "awakeable").unlink()
    answered(server, "reject", awakeable, "no, thanks")
    ended = ask(server, "attach", sent)

    assert 1 == ended.exit_code
    assert "500 no, thanks" in ended.stderr


def test_an_operator_pauses_resumes_and_kills(server: Server) -> None:
    """Each says what was done; a second kill is refused."""
    sent = answered(server, "call", "Work/wait", '"kill"', "--send").strip()
    said = [answered(server, action, sent) for action in ("pause", "resume", "kill")]
    again = ask(server, "kill", sent)
    purged = answered(server, "purge", sent)

    assert [f"{sent}: {word}\n" for word in ("paused", "resumed", "killed")] == said
    assert (2, "already completed" in again.stderr) == (again.exit_code, True)
    assert f"{sent}: forgotten\n" == purged
    assert 3 == ask(server, "output", sent).exit_code


def test_several_are_administered_at_once(server: Server) -> None:
    """One that cannot be is told of on stderr, and the others are done."""
    sent = [answered(server, "call", "Work/wait", '"many"', "--send").strip() for _ in range(3)]
    paused = ask(server, "pause", sent[0], UNKNOWN, *sent[1:])
    killed = answered(server, "kill", *sent)

    assert "".join(f"{each}: paused\n" for each in sent) == paused.stdout
    assert 3 == paused.exit_code
    assert f"durable-trio: {UNKNOWN}: refused: 404" in paused.stderr
    assert "1 of 4 are not paused, see above; the others are" in paused.stderr
    assert "".join(f"{each}: killed\n" for each in sent) == killed


def test_none_of_several_can_be_administered(server: Server) -> None:
    """Nothing is said of others that were done: there are none."""
    result = ask(server, "cancel", UNKNOWN, UNKNOWN)

    assert (3, "") == (result.exit_code, result.stdout)
    assert "2 of 2 are not asked to end, see above\n" in result.stderr


def test_the_admin_port_may_be_named_as_elsewhere(server: Server) -> None:
    """``--admin`` is ``--url``, for those who operate."""
    sent = answered(server, "call", "Work/wait", '"admin"', "--send").strip()
    result = CliRunner().invoke(app, ["kill", sent, "--admin", server.url])

    assert (0, f"{sent}: killed\n") == (result.exit_code, result.stdout)


def test_the_ingress_is_no_admin_port_to_look_at(server: Server) -> None:
    """Whoever asks it is told where to look."""
    for looking in (["ls"], ["state", "Counter/k"]):
        result = CliRunner().invoke(app, [*looking, "--admin", server.url])

        assert 3 == result.exit_code, result.output
        assert "refused: 404" in result.stderr
        assert "What `durable-trio run` serves is looked at with --journal FILE." in result.stderr


def test_code_that_is_wrong_is_told(server: Server) -> None:
    """The caller gets the error and the remedy; listing and showing have them too."""
    journal = server.folder / "app.journal"
    call = ("call", "Work/wrong", '"mended"', "--idempotency-key", "wrong")
    refused = ask(server, *call)
    sent = refused.stderr.partition("(")[2].partition(")")[0]
    listed = answered(server, "ls", "--journal", journal, "--status", "paused")
    shown = answered(server, "show", sent, "--journal", journal)
    (server.folder / "mended").touch()
    resumed = answered(server, "resume", sent)

    assert 5 == refused.exit_code
    assert "ForeignAwaitError" in refused.stderr
    assert "app.py:" in refused.stderr
    assert "ForeignAwaitError" in listed
    assert f"mended code, at the next start, or an operator: durable-trio resume {sent}" in shown
    assert f"{sent}: resumed\n" == resumed
    assert '"mended"\n' == answered(server, *call)


def test_a_signal_is_sent(server: Server) -> None:
    """To an invocation that is there; otherwise it is not found."""
    sent = answered(server, "call", "Work/wait", '"signal"', "--send").strip()

    assert "" == answered(server, "signal", sent, "go", "5")
    assert "" == answered(server, "signal", sent, "go", "--reject", "no")
    assert 3 == ask(server, "signal", UNKNOWN, "go").exit_code
    assert 2 == ask(server, "signal", sent, "go", "5", "--reject", "no").exit_code
    answered(server, "kill", sent)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["call", "Nobody/echo"], 3, "no service 'Nobody'"),
        (["call", "Work/eco", '"x"'], 3, "Did you mean 'echo'"),
        (["call", "Work/echo", "hello"], 2, "the argument is no JSON"),
        (["call", "Work/echo", "[" * 50_000], 2, "the argument is no JSON"),
        (["call", "Work/echo", "5"], 2, "expected str"),
        (["call", "Work/echo"], 2, "body is empty"),
        (["call", "Work"], 2, "expected SERVICE/HANDLER"),
        (["call", "/echo"], 2, "expected SERVICE/HANDLER"),
        (["call", "Work", "echo"], 2, "expected SERVICE/HANDLER"),
        (["call", "Work/echo", '"x"', "--delay", "5s"], 2, "only a send"),
        (["call", "Work/echo", '"x"', "--send", "--delay", "5"], 2, "The unit is missing"),
        (["call", "Work/echo", '"x"', "--header", "novalue"], 2, "NAME=VALUE"),
        (["call", "Work/echo", '"x"', "--header", "a=b\r\nc: d"], 2, "printable ASCII"),
        (["call", "Work/echo", "x", "--content-type", "text/plain"], 2, "(curl: --json)"),
        (["call", "Work/echo", '"x"', "--header", "a=Jörg"], 2, "printable ASCII"),
        (["call", "Work/echo", '"x"', "--header", "a b=c"], 2, "a header's name"),
        (["call", "Work/echo", '"x"', "--header", "host=x"], 2, "cannot be passed"),
        (["call", "Counter//add", "1"], 2, "is empty"),
        (["call", "Work/echo", '"x"', "--idempotency-key", "Jörg"], 2, "printable ASCII"),
        (["call", "Work/echo", '"x"', "--idempotency-key", ""], 2, "idempotency key"),
        (["call", "Counter/\udcff/add", "1"], 2, "no valid Unicode"),
        (["attach", UNKNOWN], 3, "404"),
        (["attach", "nobody"], 2, "inv_1"),
        (["attach", "../../health"], 2, "inv_1"),
        (["resolve", "nobody", "1"], 2, "no awakeable id"),
        (["cancel", UNKNOWN], 3, "404"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_what_is_wrong_is_told_on_stderr(
    server: Server, arguments: list[str], code: int, message: str
) -> None:
    """With an exit code of its kind, and nothing on stdout."""
    result = ask(server, *arguments)

    assert (code, "") == (result.exit_code, result.stdout), result.stderr
    assert message in result.stderr


def test_nobody_at_the_url_is_told() -> None:
    """Exit code 5 and what to do about it."""
    result = CliRunner().invoke(app, ["call", "Work/echo", "--url", "http://127.0.0.1:1"])

    assert 5 == result.exit_code
    assert "durable-trio run" in result.stderr
    assert "DURABLE_TRIO_URL" in result.stderr


@pytest.mark.parametrize("url", ["nonsense", "ftp://localhost", ""])
def test_a_url_that_is_none_is_told(url: str) -> None:
    """Exit code 2."""
    result = CliRunner().invoke(app, ["cancel", UNKNOWN, "--url", url])

    assert 2 == result.exit_code, result.output
    assert "is no URL" in result.stderr


def test_a_url_without_its_scheme_is_shown_with_it() -> None:
    """A host and a port are what one types."""
    result = CliRunner().invoke(app, ["cancel", UNKNOWN, "--url", "localhost:9070"])

    assert 2 == result.exit_code, result.output
    assert "it looks like http://localhost:9070" in result.stderr


def test_headers_are_sent(server: Server, tmp_path: Path) -> None:
    """They are in the journal with the input."""
    sent = answered(
        server, "call", "Work/echo", '"x"', "--send", "--header", "X-Tenant=acme=1"
    ).strip()
    answered(server, "attach", sent)
    exported = answered(server, "export", sent, "--journal", server.folder / "app.journal")

    assert '["x-tenant","acme=1"]' in exported


def test_the_journal_is_read_while_it_is_served(server: Server) -> None:
    """``ls`` and ``show`` disturb nobody."""
    journal = server.folder / "app.journal"
    sent = answered(server, "call", "Work/echo", '"seen"', "--send").strip()
    answered(server, "attach", sent)
    listed = answered(server, "ls", "--journal", journal, "--service", "Work", "--limit", 1000)
    shown = answered(server, "show", sent[:-3], "--journal", journal)

    assert sent in listed
    assert shown.startswith(f"{sent}\n  target           Work/echo\n")
    assert '#2 output = "seen"' in shown


def test_an_invocation_at_work_is_read(server: Server) -> None:
    """``ls``, ``show`` and ``export`` have what it has done so far, and it goes on undisturbed."""
    journal = server.folder / "app.journal"
    sent = answered(server, "call", "Work/wait", '"at work"', "--send").strip()
    while "at work" not in server.effects():
        time.sleep(0.01)
    shown = ""
    while "run slow" not in shown:  # what is not urgent is committed a moment later
        shown = answered(server, "show", sent, "--journal", journal)
    listed = answered(server, "ls", "--journal", journal, "--status", "running")
    exported = answered(server, "export", sent, "--journal", journal)
    (server.folder / "at work.go").touch()

    assert sent in listed
    assert "its code runs" not in shown
    header, first, second = [json.loads(line) for line in exported.splitlines()]
    assert sent == header["invocation_id"]
    assert ["input", "run"] == [first["command"], second["command"]]
    assert '"at work"\n' == answered(server, "attach", sent)
