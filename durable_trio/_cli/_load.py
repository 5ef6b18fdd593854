"""``MODULE:SERVICES``: from a name on the command line to definitions.

Owns importing the user's module and finding the services in it.

 1. An error says what was looked for and what there is instead.
 2. An error in the user's module is the user's: it is shown with its traceback.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from durable_trio._exceptions import UsageError
from durable_trio._names import did_you_mean, known
from durable_trio._services import ServiceDefinition

from ._exits import USAGE, Exit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

_EXAMPLE: Final = "for example app:services, or app.py:services for a file"

_PACKAGE: Final = f"{Path(__file__).resolve().parents[1]}{os.sep}"
"""What begins like it is no line of the user's."""


def load_services(reference: str) -> list[ServiceDefinition]:
    """The services that ``MODULE:SERVICES`` means. ``UsageError`` if it means none."""
    name, attribute = split_reference(reference)
    module = _load_file(Path(name)) if _is_file(name) else _load_module(name)
    return _services(module, name, attribute)


def split_reference(reference: str) -> tuple[str, str]:
    """The two parts of ``MODULE:SERVICES``. ``UsageError`` if it is none."""
    name, _, attribute = reference.rpartition(":")
    if not name or not attribute:
        raise UsageError(f"expected MODULE:SERVICES, {_EXAMPLE}; got {reference!r}")

    return name, attribute


def is_reference(text: str) -> bool:
    """Whether this looks like ``MODULE:SERVICES``, and like nothing else."""
    name, _, attribute = text.rpartition(":")
    names = attribute.split(".")
    return bool(name) and all(each.isidentifier() for each in names) and not Path(text).exists()


def _is_file(name: str) -> bool:
    return name.endswith(".py") or "/" in name


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path} (looked in {Path.cwd()})")

    # As `python app.py` has it: its directory is where it imports from.
    sys.path.insert(0, str(path.resolve().parent))
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file: its name ends with .py")

    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as exc:
        raise _broken(str(path), exc) from exc
    return module


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise _broken(name, exc) from exc

        hint = ""
        if Path(f"{name.replace('.', '/')}.py").parent.is_dir():
            files = sorted(path.stem for path in Path.cwd().glob("*.py"))
            hint = did_you_mean(name, files)
        raise UsageError(
            f"there is no module {exc.name!r} in {Path.cwd()} or on Python's path.{hint}"
        ) from exc
    except (Exception, SystemExit) as exc:
        raise _broken(name, exc) from exc


def _broken(name: str, exc: BaseException) -> Exit:
    frames = traceback.extract_tb(exc.__traceback__)
    own = [frame for frame in frames if not _is_ours(frame.filename)]
    if own:
        sys.stderr.write("Traceback (most recent call last):\n")
        sys.stderr.writelines(traceback.format_list(own))
    if isinstance(exc, SyntaxError):
        # The lines that show where, without the last one, which says what.
        sys.stderr.writelines(traceback.format_exception_only(exc)[:-1])
    if isinstance(exc, SystemExit):
        return Exit(
            f"importing {name} ended the process (exit code {exc.code}): what runs a program "
            'belongs under `if __name__ == "__main__":`',
            USAGE,
        )

    return Exit(f"importing {name} failed: {type(exc).__name__}: {exc}", USAGE)


def _is_ours(filename: str) -> bool:
    return filename.startswith(("<frozen importlib", _PACKAGE)) or filename == importlib.__file__


def _services(module: ModuleType, name: str, attribute: str) -> list[ServiceDefinition]:
    value: Any = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError as exc:
            there = [each for each, found in vars(module).items() if _found(found)]
            raise UsageError(
                f"{name} has no {attribute!r}.{did_you_mean(attribute, vars(module))} "
                f"Services in it: {known(there, 'none')}."
            ) from exc

    found = _found(value)
    if found:
        return found

    there = [each for each, other in vars(module).items() if _found(other)]
    raise UsageError(
        f"{name}:{attribute} must be a Service, VirtualObject or Workflow, or a list of them; it "
        f"is {type(value).__name__} {value!r:.60}. Services in it: {known(there, 'none')}."
    )


def _found(value: object) -> list[ServiceDefinition]:
    """The services that a value is or holds; none if it is something else."""
    if isinstance(value, ServiceDefinition):
        return [value]

    if not isinstance(value, list | tuple | set | frozenset):
        return []

    items = list(cast("Iterable[object]", value))
    services = [item for item in items if isinstance(item, ServiceDefinition)]
    return services if len(services) == len(items) else []
