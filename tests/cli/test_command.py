"""The command itself: help, extras, imports."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from durable_trio import RefusedError, UsageError
from durable_trio._cli import _exits, _files
from durable_trio._cli._app import Commands, app
from durable_trio._cli._exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv = ["durable-trio", "--help"]
from durable_trio._cli import main

main()
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", ["click", "httpx", "h11"])
def test_a_missing_extra_is_told(name: str) -> None:
    """One line with the package and how to install it."""
    result = python(WITHOUT.format(name=name))

    assert 1 == result.returncode
    assert f"needs {name}" in result.stderr
    assert 'pip install "durable-trio[cli]"' in result.stderr
    assert 1 == len(result.stderr.splitlines())


@pytest.mark.parametrize("name", ["attrs", "bdb"])
def test_another_missing_module_is_not_taken_for_the_extra(name: str) -> None:
    """A broken installation is not explained away."""
    result = python(WITHOUT.format(name=name))

    assert "Traceback" in result.stderr


def test_the_ingress_says_what_it_needs() -> None:
    """Also without the command."""
    code = WITHOUT.format(name="h11").replace(
        "from durable_trio._cli import main\n\nmain()", "import durable_trio.local.http"
    )

    assert 'pip install "durable-trio[cli]"' in python(code).stderr


def test_the_core_imports_nothing_of_it() -> None:
    """Neither the command nor what it needs."""
    result = python(
        "import sys, durable_trio, durable_trio.local, durable_trio.testing\n"
        "print([name for name in sys.modules if name.partition('.')[0] in"
        " {'click', 'h11', 'httpx', 'durable_trio_file'} or name.startswith('durable_trio._cli')])"
    )

    assert "[]\n" == result.stdout, result.stderr


def test_a_command_imports_what_it_needs(tmp_path: Path) -> None:
    """A look at a journal waits for no HTTP: neither the clients nor the ingress."""
    result = python(
        "import atexit, sys\n"
        "def tell():\n"
        "    print([name for name in ('httpx', 'h11', 'durable_trio.local.http') if name in sys.modules])\n"
        "atexit.register(tell)\n"
        f"sys.argv = ['durable-trio', 'ls', '--journal', {str(tmp_path / 'none')!r}]\n"
        "from durable_trio._cli import main\n"
        "main()"
    )

    assert 14 == result.returncode
    assert "[]\n" == result.stdout, result.stderr


def test_an_unknown_command_is_told() -> None:
    """With the one that is like it."""
    result = CliRunner().invoke(app, ["lss"])

    assert 2 == result.exit_code
    assert "No such command 'lss'" in result.stderr
    assert "'ls'" in result.stderr


@pytest.mark.parametrize(
    ("errors", "code", "told"),
    [
        ([UsageError("no")], 2, "durable-trio: no\n"),
        (
            [Exit("a", 3), ExceptionGroup("", [UsageError("b")])],
            3,
            "durable-trio: a\ndurable-trio: b\n",
        ),
    ],
)
def test_errors_out_of_a_task_group(errors: list[Exception], code: int, told: str) -> None:
    """They are told as those that come alone."""

    def fail() -> None:
        raise ExceptionGroup("", errors)

    group = Commands("x", commands={"fail": click.Command("fail", callback=fail)})
    result = CliRunner().invoke(group, ["fail"])

    assert (code, told) == (result.exit_code, result.stderr)


def test_another_error_stays_what_it_is() -> None:
    """With its traceback: it is ours to mend."""

    def fail() -> None:
        raise ExceptionGroup("", [UsageError("b"), ZeroDivisionError()])

    group = Commands("x", commands={"fail": click.Command("fail", callback=fail)})

    assert isinstance(CliRunner().invoke(group, ["fail"]).exception, ExceptionGroup)


def test_commands_are_listed_in_the_order_of_their_use() -> None:
    """Not by the alphabet: what serves first, then what asks, then what looks."""
    listed = CliRunner().invoke(app, ["--help"]).stdout.partition("Commands:")[2]

    names = [line.split()[0] for line in listed.splitlines() if line[:2] == "  " != line[2:4]]
    assert list(app.commands) == [name for name in names if name in app.commands]


def test_an_extra_that_an_adapter_needs_is_told(tmp_path: Path) -> None:
    """By the command that needs it."""
    (tmp_path / "app.py").write_text(
        "from durable_trio import Context, Service\ns = Service('S')\n"
        "@s.handler\nasync def h(ctx: Context) -> None: ...\n"
    )
    code = WITHOUT.format(name="h2").replace(
        '["durable-trio", "--help"]', f'["durable-trio", "serve", "{tmp_path}/app.py:s"]'
    )
    result = python(code)

    assert 2 == result.returncode
    assert 'this needs h2, which is not installed. Install it with: pip install "durable-trio[' in (
        result.stderr
    )


def installed(*found: EntryPoint) -> Callable[..., tuple[EntryPoint, ...]]:
    """What to ask for entry points, which finds these and no others."""

    def entry_points(**_: str) -> tuple[EntryPoint, ...]:
        return found

    return entry_points


def test_an_adapter_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without entry points is to be made again."""
    monkeypatch.setattr(_files, "entry_points", installed())

    with pytest.raises(Exit, match=r"nothing is installed for this.*Install durable_trio again"):
        _files.open_reader(Path("app.journal"))


def test_a_missing_module_of_ours_is_not_taken_for_an_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A broken installation is not explained away."""
    missing = EntryPoint("file", "durable_trio_missing:Reader", "durable_trio.readers")
    monkeypatch.setattr(_files, "entry_points", installed(missing))

    with pytest.raises(ModuleNotFoundError, match="durable_trio_missing"):
        _files.open_reader(Path("app.journal"))


@pytest.mark.parametrize(("status", "code"), [(404, 3), (503, 5), (409, 2), (500, 1)])
def test_what_a_server_refuses_has_the_exit_code_of_its_status(status: int, code: int) -> None:
    """Wherever it is raised."""
    assert code == _exits.code_of(RefusedError("no", status))


def test_every_command_explains_itself() -> None:
    """With arguments and options."""
    for name, command in app.commands.items():
        result = CliRunner().invoke(app, [name, "--help"])

        assert 0 == result.exit_code
        assert command.get_short_help_str(100).rstrip(".") in result.stdout.replace("\n  ", " ")


def test_every_command_and_every_exit_code_is_documented() -> None:
    """In the page on the command line."""
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    codes = {
        line.split("|")[1].strip() for line in (_exits.__doc__ or "").splitlines() if "| " in line
    }

    assert set() == {name for name in app.commands if f"durable-trio {name}" not in text}
    assert set() == {code for code in codes if f"| {code} " not in text and "`" + code not in text}


def test_it_is_installed_as_a_script() -> None:
    """And finds stores and readers by their entry points."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert {"durable-trio": "durable_trio._cli:main"} == project["scripts"]
    groups = {"durable_trio.stores", "durable_trio.readers"}
    groups |= {"durable_trio.servers", "durable_trio.endpoints"}
    assert groups | {"pytest11"} == set(project["entry-points"])


def test_the_version_is_told() -> None:
    """That of the distribution."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    result = CliRunner().invoke(app, ["--version"])

    assert project["version"] in result.stdout
