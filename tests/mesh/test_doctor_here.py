"""agentmesh doctor on one host: each finding is provoked once, and what can be mended is."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from agentmesh.adapters.mounts import read_mounts
from agentmesh.config import Paths
from agentmesh.core.finding import Finding
from agentmesh.doctor.home import check_disk
from tests.eventually import eventually
from tests.findings import BROKEN, OK, WARNING, findings, lie
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux

NFS = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 21 0:9 / {} rw shared:1 master:2 - nfs4 server:/home rw\n"
OLD_TMUX = '#!/bin/sh\n[ "$1" = -V ] && exec echo "tmux 3.1c"\nexec {} "$@"\n'


def examined(host: LocalHost, *options: str, environment: Mapping[str, str] = {}) -> dict[str, Finding]:
    done = host.run("agentmesh", "doctor", "--json", *options, environment=environment)
    found = findings(done.stdout)
    assert done.returncode == (4 if any(finding.state is BROKEN for finding in found.values()) else 0), done
    return found


def test_a_healthy_host_is_said_to_be_healthy(host: LocalHost) -> None:
    found = examined(host)
    assert {name for name, finding in found.items() if finding.state is not OK} <= {"peers", "service", "lingering"}
    done = host.run("agentmesh", "doctor")
    assert done.returncode == 0
    assert "✓ agent" in done.stdout
    assert "! peers" in done.stdout
    assert "→ agentmesh peers add ALIAS" in done.stdout


def test_an_agent_that_is_not_what_this_shell_takes_it_for(fresh: LocalHost) -> None:
    host = fresh
    agent = host.popen("agentmesh", "run", environment=lie(host.home / "lie", host.home / "lie"))
    try:
        eventually(lambda: host.run("agentmesh", "status").returncode == 0, "the agent answers", lambda: host.log)
        (host.home / "bin").mkdir()
        (host.home / "bin" / "tmux").write_text(OLD_TMUX.format(host.run("which", "tmux").stdout.strip()))
        (host.home / "bin" / "tmux").chmod(0o755)
        old = f"{host.home}/bin:{host.environment['PATH']}"
        found = examined(host, environment={"TMUX_TMPDIR": str(host.agents), "PATH": old})
        assert found["agent"].state is BROKEN
        assert found["agent"].seen.startswith("version 0.0.1 runs")
        assert found["TMUX_TMPDIR"].state is WARNING
        assert f"{host.agents}/tmux-{os.getuid()}" in found["TMUX_TMPDIR"].seen
        assert found["hooks"].seen.startswith("no tmux server runs in ")
        assert found["tmux"].state is BROKEN
        assert found["tmux"].seen.startswith("3.1c, at ")
        assert found["settings"].state is OK
        (host.agents / "config.toml").write_text("[jobs]\nkeep = 7\n")
        assert examined(host)["settings"].seen == "~/.agents/config.toml has been changed since the agent read it"

        agent.send_signal(signal.SIGSTOP)
        silent = examined(host)
        assert silent["agent"].state is BROKEN
        assert "has not answered" in silent["agent"].seen
    finally:
        agent.kill()
        agent.wait()


def test_what_can_be_mended_is_mended_and_the_rest_has_a_remedy(fresh: LocalHost) -> None:
    host = fresh
    host.start()
    host.tmux.run("set-hook", "-gu", "session-created[77]")
    (host.agents / "peers.conf").write_text("gone\n")
    host.kill()
    (host.agents / "key").chmod(0o640)
    host.agents.chmod(0o755)
    (host.agents / "registry.toml").write_text('[slices.gone]\nstate = "stale since 2026-01-02T03:04:05Z"\n')
    found = examined(host)
    assert found["agent"].seen == "none runs"
    assert found["socket"].state is WARNING
    assert found["modes"].seen == "open to other users: ~/.agents (755), ~/.agents/key (640)"
    assert found["hooks in default"].seen.startswith("1 of our hooks")
    assert found["registry"].seen == "not heard of: gone (stale since 2026-01-02T03:04:05Z)"
    assert found["registry"].remedy.endswith("agentmesh peers remove gone")
    assert found["peer gone"].state is BROKEN
    assert all(finding.remedy for finding in found.values() if finding.state is not OK)

    done = host.run("agentmesh", "doctor", "--fix")
    assert [line for line in done.stdout.splitlines() if line.startswith("fixed")] == [
        "fixed  loaded the hooks into default",
        "fixed  removed ~/.agents/agent.sock, which was left by an agent that is gone",
        "fixed  closed ~/.agents, ~/.agents/key to other users",
    ]
    mended = examined(host)
    assert {mended[name].state for name in ("socket", "modes", "hooks in default")} == {OK}
    assert host.agents.stat().st_mode & 0o777 == 0o700

    (host.agents / "registry.toml").write_text("half a")
    (host.agents / "config.toml").write_text("[nonsense]\n")
    found = examined(host)
    assert found["settings"].state is BROKEN
    assert "nonsense" in found["settings"].seen
    assert "can't be read" in found["registry"].seen


def test_a_dead_agent_is_started_again_in_the_way_that_install_has_set_up(fresh: LocalHost) -> None:
    host = fresh
    assert host.run("agentmesh", "install").returncode == 0
    pid = host.status().pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: host.run("agentmesh", "status").returncode != 0, "the agent is gone")
    try:
        done = host.run("agentmesh", "doctor", "--fix")
        assert "fixed  started the agent" in done.stdout
        assert done.returncode == 0, done
        assert host.status().pid != pid
    finally:
        host.run("agentmesh", "stop")


def test_services_that_are_not_there_or_end_with_the_login_are_warned_of(host: LocalHost) -> None:
    programs = host.home / "programs"
    programs.mkdir()
    # The user's systemd can't be had by a home that isn't the user's.
    (programs / "systemctl").write_text(f'#!/bin/sh\n[ "$2" = show-environment ] && echo "HOME={host.home}"\n')
    (programs / "systemctl").chmod(0o755)
    found = examined(host, environment={"PATH": f"{programs}:{host.environment['PATH']}"})
    assert found["service"].seen == "systemd doesn't keep agentmesh.service, agentmesh-resync.timer"
    assert found["service"].remedy == "agentmesh install"
    assert found["lingering"].remedy == "sudo loginctl enable-linger $USER"
    (programs / "systemctl").unlink()
    bare = f"{programs}:{host.run('dirname', host.run('which', 'agentmesh').stdout.strip()).stdout.strip()}"
    (programs / "tmux").symlink_to(host.run("which", "tmux").stdout.strip())
    assert "nothing here starts the agent again" in examined(host, environment={"PATH": bare})["service"].seen


def test_before_anything_is_set_up_doctor_says_so(root: Path) -> None:
    host = LocalHost("unborn", root)
    try:
        found = examined(host, environment={"AGENTMESH_HOME": str(host.home / "none")})
        assert found["modes"].seen == "there is no ~/none"
        assert found["registry"].seen == "there is none yet"
        assert found["peers"].state is BROKEN
        bare = {"PATH": str(Path(host.run("which", "agentmesh").stdout).parent)}
        assert examined(host, environment=bare)["tmux"].seen == "there is no tmux on PATH"
    finally:
        host.end()


def test_a_home_on_a_network_file_system_is_warned_of(tmp_path: Path) -> None:
    paths = Paths(tmp_path / ".agents")
    assert check_disk(paths, NFS.format(tmp_path)).state is WARNING
    seen = check_disk(paths, NFS.format(tmp_path)).seen
    assert "is on a network file system (nfs4): the database is slower, its locks are only as good as that" in seen
    assert check_disk(paths, NFS.format(f"{tmp_path}/.agentsmith")).state is OK
    assert check_disk(paths, read_mounts()).state is OK
