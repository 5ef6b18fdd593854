"""``MODULE:SERVICES`` whose module is wrong: what its author sees."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from durable_trio import UsageError
from durable_trio._cli._exits import Exit
from durable_trio._cli._load import is_reference, load_services

if TYPE_CHECKING:
    from pathlib import Path

MODULES = {
    "deep": (
        "def fail():\n    1 / 0\n\nfail()\n",
        ["line 4, in <module>\n    fail()", "line 2, in fail\n    1 / 0"],
        "importing {0} failed: ZeroDivisionError: division by zero",
    ),
    "unfinished": (
        "x = 1\ndef f(:\n",
        ["line 2\n    def f(:\n          ^"],
        "importing {0} failed: SyntaxError: invalid syntax (unfinished.py, line 2)",
    ),
    "ending": (
        "import sys\nsys.exit(3)\n",
        ["line 2, in <module>\n    sys.exit(3)"],
        (
            "importing {0} ended the process (exit code 3): what runs a program belongs under "
            '`if __name__ == "__main__":`'
        ),
    ),
    "naming": (
        "from durable_trio import Service\nService('no name')\n",
        ["line 2, in <module>\n    Service('no name')"],
        "importing {0} failed: DefinitionError: 'no name' cannot be the name",
    ),
}


@pytest.mark.parametrize("as_file", [True, False])
@pytest.mark.parametrize("name", MODULES)
def test_an_error_in_the_module(
    name: str,
    as_file: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its lines and none of ours, what went wrong, and exit code 2."""
    source, shown, message = MODULES[name]
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.chdir(tmp_path)
    module = f"{name}.py" if as_file else name
    with pytest.raises(Exit) as caught:
        load_services(f"{module}:services")
    sys.modules.pop(name, None)
    told = capsys.readouterr().err

    assert 2 == caught.value.code
    assert str(caught.value).startswith(message.format(module))
    for line in shown:
        assert line in told
    assert "durable_trio/" not in told
    assert "importlib" not in told


def test_what_a_reference_looks_like(tmp_path: Path) -> None:
    """Neither ids nor files nor URLs are taken for one."""
    (tmp_path / "a:b").touch()
    references = ["app:services", "app.py:services", "./app.py:api.services", "pkg.app:a.b"]

    assert all(map(is_reference, references))
    assert not any(map(is_reference, ["inv_1VS_8S", "a.jsonl", "app:", ":a", "http://h:1"]))
    assert not is_reference(str(tmp_path / "a:b"))


def test_a_file_that_is_no_module_is_refused(tmp_path: Path) -> None:
    """By its name, before anything in it is looked at."""
    (tmp_path / "app.txt").write_text("services = []")
    with pytest.raises(UsageError, match=r"app\.txt is no Python file: its name ends with \.py"):
        load_services(f"{tmp_path}/app.txt:services")


def test_a_module_in_a_package_that_is_not_there() -> None:
    """What is missing is the package, and no file here is like it."""
    with pytest.raises(
        UsageError, match=r"there is no module 'nowhere' in .* or on Python's path\.$"
    ):
        load_services("nowhere.app:services")
