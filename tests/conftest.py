"""What every ring shares: how many examples Hypothesis tries, and a real tmux server of the test's own."""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.tmux import RealTmux

settings.register_profile("quick", max_examples=60, deadline=None, derandomize=True, database=None)
settings.register_profile("deep", max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[RealTmux]:
    """Yield a tmux server with one session, ``dev``, in which cat waits; nothing of it is left behind."""
    # A socket's path may have 108 bytes (unix(7)), and pytest's temporary folders have long names.
    folder = Path(tempfile.mkdtemp(prefix="am-"))
    server = RealTmux(folder, home=tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files first that take longest, by their marks: so that all who run tests end together."""
    marks = ("hosts", "clis", "tmux")
    ranks: dict[Path, int] = {}
    for item in items:
        rank = next((place for place, mark in enumerate(marks) if item.get_closest_marker(mark)), len(marks))
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a test that failed what its hosts ran and logged."""
    report = yield
    network: Any = item.funcargs.get("network")
    if report.failed and network is not None:
        report.sections.append(("the hosts", network.diagnose()))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run by CI in which a test was skipped: there, everything that a test needs can be had."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
