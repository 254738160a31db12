"""An agent that hangs, or runs other code than is installed: noticed, ended by its lock, and started anew."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agentmesh import __version__
from agentmesh.adapters.files import is_locked, locked
from agentmesh.adapters.process import openers
from agentmesh.build import code_digest
from agentmesh.config import Paths
from agentmesh.core.status import Status
from agentmesh.install.service import crontab_lines
from tests.eventually import eventually
from tests.findings import BROKEN, OK, findings
from tests.install.person import Person
from tests.install.test_services import cron_runs, system
from tests.install.test_upgrade import built

pytestmark = [pytest.mark.tmux, pytest.mark.timeout(180)]


def status(person: Person) -> Status:
    return msgspec.json.decode(person.call("agentmesh", "status", "--json"), type=Status)


@pytest.fixture
def hanging(person: Person) -> Iterator[int]:
    """Install, and let the agent hang; yields its process, which has not ended by itself."""
    person.call("agentmesh", "install")
    pid = status(person).pid
    os.kill(pid, signal.SIGSTOP)
    yield pid
    if is_running(pid):
        os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() != b""


def test_who_holds_a_lock_is_known_by_the_open_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.lock"
    assert not is_locked(file)
    assert not file.exists()
    holds = f"import fcntl, time; f = open({os.fspath(file)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", holds])
    try:
        eventually(lambda: is_locked(file), "it is held")
        assert openers(file) == [holder.pid]
    finally:
        holder.kill()
        holder.wait()
    assert not is_locked(file)
    assert openers(file) == []
    with locked(file), file.open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_stop_ends_an_agent_that_hangs(person: Person, hanging: int) -> None:
    assert person.call("agentmesh", "stop", "--json") == '{"stopped":true}\n'
    assert not is_running(hanging)
    assert "No agent runs here" in person.run("agentmesh", "stop").stderr


def test_install_puts_another_agent_in_the_place_of_one_that_hangs(person: Person, hanging: int) -> None:
    told = person.call("agentmesh", "install")
    assert "end the agent: it has not answered for 5 s" in told
    assert not is_running(hanging)
    assert status(person).pid != hanging


def test_doctor_mends_an_agent_that_hangs(person: Person, hanging: int) -> None:
    done = person.run("agentmesh", "doctor", "--fix")
    assert "fixed  started the agent" in done.stdout, done
    assert status(person).pid != hanging


def test_uninstall_ends_an_agent_that_hangs(person: Person) -> None:
    before = person.look()
    person.call("agentmesh", "install")
    pid = status(person).pid
    os.kill(pid, signal.SIGSTOP)
    person.call("agentmesh", "uninstall", "--yes")
    assert not is_running(pid)
    assert person.look() == before


def test_uninstall_does_not_need_settings_that_can_be_read(person: Person) -> None:
    before = person.look()
    person.call("agentmesh", "install")
    (person.agents / "config.toml").write_text("[nonsense\n")
    assert person.run("agentmesh", "install").returncode == 1
    told = person.call("agentmesh", "uninstall", "--yes")
    assert "config.toml can't be used" in told
    assert "is not gone by" in told
    assert person.look() == before


def test_what_cron_runs_starts_another_agent_in_the_place_of_one_that_hangs(person: Person, hanging: int) -> None:
    here = system(person.home, TMUX_TMPDIR=person.environment["TMUX_TMPDIR"])
    line = crontab_lines(here).replace("PATH=/opt/tmux/bin:/usr/bin", f"PATH={person.environment['PATH']}")
    command = cron_runs(line)
    cron = subprocess.Popen(command, env=person.environment, stdout=subprocess.DEVNULL)
    try:
        eventually(
            lambda: not is_running(hanging) and person.run("agentmesh", "status").returncode == 0,
            "another agent answers",
            seconds=60,
        )
        assert status(person).pid != hanging
        again = subprocess.run(command, env=person.environment, timeout=30, check=False)
        assert again.returncode == 0
    finally:
        person.run("agentmesh", "stop")
        cron.wait(30)


def test_resync_looks_again_and_leaves_an_agent_that_answers(person: Person) -> None:
    assert person.run("agentmesh", "resync").returncode == 4
    person.call("agentmesh", "install")
    pid = status(person).pid
    (person.agents / "peers.conf").write_text("not a name\n")
    person.call("agentmesh", "resync")  # that edit is refused, but it answers
    assert status(person).pid == pid


def test_the_same_version_built_again_is_noticed_and_started(person: Person) -> None:
    person.call("agentmesh", "install")
    first = status(person)
    assert (first.version, first.code) == (__version__, code_digest())
    assert findings(person.run("agentmesh", "doctor", "--json").stdout)["agent"].state is OK
    again = built(person.root / "new", __version__, "# built again\n")
    finding = findings(person.run(again, "-m", "agentmesh", "doctor", "--json").stdout)["agent"]
    assert finding.state is BROKEN
    assert "other code of version" in finding.seen
    told = person.call(again, "-m", "agentmesh", "install")
    assert f"start the agent, version {__version__}" in told
    second = status(person)
    assert (second.version, second.code == first.code, second.pid == first.pid) == (__version__, False, False)
    assert findings(person.run(again, "-m", "agentmesh", "doctor", "--json").stdout)["agent"].state is OK
    assert "Everything is in place already." in person.call(again, "-m", "agentmesh", "install")


def test_the_log_is_closed_to_others_also_after_it_was_rotated(person: Person) -> None:
    log = Paths(person.agents).log
    log.parent.mkdir(parents=True)
    log.write_text("x" * 3 * 1024 * 1024)
    log.chmod(0o644)
    person.call("agentmesh", "install")
    eventually((log.parent / "agent.log.1").exists, "it is rotated")
    assert {path.name: path.stat().st_mode & 0o777 for path in log.parent.iterdir()} == {
        "agent.log": 0o600,
        "agent.log.1": 0o600,
    }
