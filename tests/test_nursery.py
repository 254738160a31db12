"""A program that is forked off can't be told from one that is executed, by what it says and how it ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import nursery
from tests.asking import Asking
from tests.eventually import eventually
from tests.mesh.conftest import root

__all__ = ["root"]

SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": f"{SCRIPTS}:/usr/bin:/bin", "LANG": "C.UTF-8", "TMUX_TMPDIR": str(tmp_path)}


@pytest.mark.parametrize("words", [["status"], ["status", "--nonsense"], ["--version"], ["peers", "list", "--json"]])
def test_a_command_says_the_same_and_ends_the_same(
    environment: dict[str, str], tmp_path: Path, words: list[str]
) -> None:
    assert nursery.is_forked(["agentmesh"], environment)
    forked = nursery.run(["agentmesh", *words], environment, tmp_path)
    executed = nursery.run([f"{SCRIPTS}/agentmesh", *words], environment, tmp_path)
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        executed.returncode,
        executed.stdout,
        executed.stderr,
    )


@pytest.mark.parametrize(("sig", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_agent_runs_in_its_own_home_and_ends_by_a_signal(
    environment: dict[str, str], root: Path, sig: signal.Signals, code: int
) -> None:
    environment["HOME"] = str(root)
    asking = Asking(root / ".agents")
    with (root / "out").open("w+b") as out:
        agent = nursery.start(["agentmesh", "run"], environment, root, out, out, out)
        try:
            eventually(asking.answers, "the agent answers", (root / "out").read_text)
            status = asking.status()
            assert (status.pid, status.home) == (agent.pid, str(root / ".agents"))
            assert agent.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                agent.wait(0.01)
        finally:
            agent.send_signal(sig)
            assert agent.wait(30) == code


def test_what_would_run_another_program_or_interpreter_is_executed(environment: dict[str, str], root: Path) -> None:
    own = root / "agentmesh"
    own.touch()
    assert not nursery.is_forked(["tmux"], environment)
    assert not nursery.is_forked(["agentmesh"], environment | {"PYTHONPATH": str(root)})
    assert not nursery.is_forked(["agentmesh"], environment | {"PATH": f"{root}:{environment['PATH']}"})
    assert not nursery.is_forked(["agentmesh"], environment | {"PATH": "/usr/bin:/bin"})
