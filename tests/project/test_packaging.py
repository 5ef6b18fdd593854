"""The wheel is configured to hold each import package, typed."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project() -> Any:
    """pyproject.toml, parsed."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_every_adapter_is_listed_in_the_wheel(project: Any) -> None:
    """Globs are not expanded by the build, so each adapter has to be named."""
    listed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    adapters = sorted(
        path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("adapters/*/__init__.py")
    )

    assert ["durable_trio", *adapters] == sorted(
        listed, key=lambda name: (name != "durable_trio", name)
    )


def test_every_package_is_typed(project: Any) -> None:
    """A ``py.typed`` stands in each of them."""
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert (ROOT / package / "py.typed").is_file(), package


@pytest.mark.parametrize("folder", ["adapters", "tests", "benchmarks", "docs"])
def test_a_folder_is_no_package(folder: str) -> None:
    """An ``__init__.py`` there would make it importable under a name that is not ours."""
    assert not (ROOT / folder / "__init__.py").exists()


def test_all_is_everything_a_user_can_use(project: Any) -> None:
    """The extra ``all`` holds every other extra but the tests'."""
    extras = project["project"]["optional-dependencies"]
    named = " ".join(extras["all"])
    for extra in set(extras) - {"all", "test"}:
        assert extra in named, extra


def test_the_top_level_is_the_fixed_one() -> None:
    """Nothing stands at the top but what the layout names, and dot files."""
    allowed = {
        "pyproject.toml", "durable_trio", "adapters", "tests", "benchmarks", "docs", "README.md", "LICENSE",
    }  # fmt: skip
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}

    assert set() == found - allowed - {"dist", "build"}
