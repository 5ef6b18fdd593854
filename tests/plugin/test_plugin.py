"""The pytest plugin, in sessions of its own."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SHOP = """
from durable_trio import Context, Service, sleep

shop = Service("Shop")

async def price(item: str) -> int:
    return len(item)

@shop.handler
async def buy(ctx: Context, item: str) -> str:
    {0}
    cents = await ctx.run(price, item)
    await sleep(86_400)
    return f"{{item}} for {{cents}}"
"""

TRIO = """
import anyio
from corner_shop import buy, shop

async def test_a_day_passes(durable_runtime):
    async with durable_runtime([shop]) as rt:
        assert "tea for 3" == await rt.call(buy, "tea")

async def test_it_survives(crash_everywhere):
    report = await crash_everywhere([shop], lambda rt: rt.call(buy, "tea"))
    assert (report.crashes, report.double_crashes) == (2 * report.commits, 3)

async def test_in_every_order(explore):
    report = await explore([shop], two_at_once)
    assert (report.schedules, report.exhaustive) == (4, False)

async def two_at_once(rt):
    async with anyio.create_task_group() as group:
        group.start_soon(rt.call, buy, "tea")
        group.start_soon(rt.call, buy, "cake")

async def test_it_stays_the_same(durable_runtime, golden_journals):
    async with durable_runtime([shop]) as rt:
        await rt.call(buy, "tea")
        golden_journals.keep(rt.store)
    await golden_journals.check([shop])

async def test_all_of_it(crash_everywhere, golden_journals):
    await crash_everywhere([shop], golden_journals.keeping(lambda rt: rt.call(buy, "tea")))
    await golden_journals.check([shop])
"""

ANYIO = (
    TRIO.replace("async def test", "@pytest.mark.anyio\nasync def test")
    + """
@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    return request.param
"""
)

INI = """
[pytest]
addopts = -p no:cacheprovider --import-mode=importlib --strict-config --strict-markers
pythonpath = .
filterwarnings = error
"""


class Project:
    """A directory with handlers and tests."""

    def __init__(self, pytester: pytest.Pytester, tests: str, settings: str) -> None:
        self.pytester = pytester
        self.change("pass")
        pytester.makepyfile(test_shop=f"import pytest\n{tests}")
        pytester.makeini(INI + settings)

    def change(self, line: str) -> None:
        """What the handler does first."""
        (self.pytester.path / "corner_shop.py").write_text(SHOP.format(line))

    def run(self, *arguments: str) -> pytest.RunResult:
        """A session."""
        return self.pytester.runpytest_inprocess(
            "--durable-double-crashes=3", "--durable-schedules=4", *arguments
        )

    def goldens(self) -> dict[str, list[str]]:
        """The files that are recorded, by test."""
        folder = self.pytester.path / "golden" / "test_shop"
        return {
            each.name: sorted(file.name for file in each.iterdir())
            for each in sorted(folder.iterdir())
        }


@pytest.fixture(params=["pytest-trio", "anyio"])
def project(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> Project:
    """Tests that are run by pytest-trio, or by anyio's plugin on both loops."""
    if request.param == "anyio":
        return Project(pytester, ANYIO, "")

    return Project(pytester, TRIO, "trio_mode = true")


def test_everything_in_one_project(project: Project) -> None:
    """Recorded once, the goldens hold later code to what is in flight; an update accepts it."""
    factor = (
        2 if "anyio_backend" in project.pytester.path.joinpath("test_shop.py").read_text() else 1
    )
    project.run().assert_outcomes(passed=3 * factor, failed=2 * factor)
    project.run("--durable-update-goldens").assert_outcomes(passed=5 * factor)
    recorded = project.goldens()
    assert 2 * factor == len(recorded)
    assert all(name.startswith("Shop.buy-") for names in recorded.values() for name in names)
    project.run("--durable-update-goldens").assert_outcomes(passed=5 * factor)
    assert recorded == project.goldens()
    project.run().assert_outcomes(passed=5 * factor)

    project.change('await ctx.run(len, item, name="weigh")')
    changed = project.run("-k", "same")
    changed.assert_outcomes(failed=factor)
    changed.stdout.fnmatch_lines(["*1 of 1 golden journals do not replay*", "*+ Run('weigh'*"])
    project.run("--durable-update-goldens").assert_outcomes(passed=5 * factor)
    assert recorded != project.goldens()


def test_no_two_tests_share_a_directory(pytester: pytest.Pytester) -> None:
    """Whatever their parameters are; a plain name is kept."""
    pytester.makepyfile(
        """
        import pytest

        seen = []

        @pytest.mark.parametrize("path", ["a/b", "a-b", "a b", "ä"])
        def test_it(golden_journals, path):
            seen.append(golden_journals.directory)

        def test_plain(golden_journals, request):
            assert golden_journals.directory.name == "test_plain"
            assert golden_journals.directory.parent == request.path.parent / "golden" / request.path.stem
            assert 4 == len(set(seen)) == len({path.parent for path in seen}) * 4
            assert not any("/" in path.name or " " in path.name for path in seen)
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=5)


def test_it_costs_nothing_when_it_is_not_used(pytester: pytest.Pytester) -> None:
    """Neither durable_trio nor trio is imported for the plugin or its options."""
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_imported(request):
            assert request.config.pluginmanager.hasplugin("durable_trio")
            assert not {"durable_trio", "trio", "anyio", "attrs"} & set(sys.modules)
        """
    )
    others = [f"-pno:{name}" for name in ("trio", "anyio", "hypothesispytest", "xdist")]
    pytester.runpytest_subprocess(*others).assert_outcomes(passed=1)


def test_it_tells_what_there_is(pytester: pytest.Pytester) -> None:
    """Options and fixtures explain themselves."""
    options = pytester.runpytest_inprocess("--help")
    fixtures = pytester.runpytest_inprocess("--fixtures", "-q")

    options.stdout.fnmatch_lines(["tests of durable handlers (durable_trio):"])
    for name in ("durable_runtime", "crash_everywhere", "explore", "golden_journals"):
        fixtures.stdout.fnmatch_lines([f"{name} -- *"])
