"""What is handed to systemd, launchd and cron: that they take it, and that it says what is meant."""

import plistlib
import shlex
import subprocess
from pathlib import Path

import pytest

from agentmesh.config import Paths, shipped
from agentmesh.install.service import LABELS, UNITS, crontab_lines, rendered_agent, rendered_unit
from agentmesh.install.system import Services, System


def system(home: Path, agents: Path | None = None, **environment: str) -> System:
    return System(
        user_home=home,
        settings=home / ".config",
        paths=Paths(agents or home / ".agents"),
        services=Services.SYSTEMD,
        lingers=False,
        search=(),
        environment={"PATH": "/opt/tmux/bin:/usr/bin", **environment},
        agent=None,
    )


def verified(folder: Path, launcher: Path, units: dict[str, bytes]) -> subprocess.CompletedProcess[str]:
    """Have systemd check units as it reads them; the launcher that they start must be there."""
    launcher.parent.mkdir(parents=True)
    launcher.write_text("#!/bin/sh\n")
    launcher.chmod(0o755)
    for name, content in units.items():
        (folder / name).write_bytes(content)
    return subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", *(folder / name for name in units)],
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("agents", [".agents", "other agents 100%"])
def test_systemd_takes_the_units(tmp_path: Path, agents: str) -> None:
    here = system(tmp_path, tmp_path / agents, TMUX_TMPDIR='/run/a "b" $c %d')
    units = {name: rendered_unit(name, here) for name in UNITS}
    done = verified(tmp_path, here.paths.launcher if agents != ".agents" else tmp_path / ".agents/bin/agentmesh", units)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_would_have_said_what_is_wrong(tmp_path: Path) -> None:
    broken = rendered_unit(UNITS[0], system(tmp_path)).replace(b"Restart=on-failure", b"Restart=whenever")
    assert "whenever" in verified(tmp_path, tmp_path / ".agents/bin/agentmesh", {UNITS[0]: broken}).stderr


def test_the_units_are_good_as_they_are_shipped(tmp_path: Path) -> None:
    units = {name: shipped(f"systemd/{name}").read_bytes() for name in UNITS}
    done = verified(tmp_path, tmp_path / ".agents/bin/agentmesh", units)
    assert (done.returncode, done.stderr) == (0, "")


def test_launchd_starts_the_agent_at_login_and_again_when_it_fails(tmp_path: Path) -> None:
    agent = plistlib.loads(rendered_agent(LABELS[0], system(tmp_path)))
    assert (agent["Label"], agent["RunAtLoad"]) == (LABELS[0], True)
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["EnvironmentVariables"] == {"PATH": "/opt/tmux/bin:/usr/bin"}
    assert agent["Umask"] == 0o077


def test_launchd_looks_after_the_agent_every_five_minutes(tmp_path: Path) -> None:
    resync = plistlib.loads(rendered_agent(LABELS[1], system(tmp_path)))
    assert (resync["Label"], resync["StartInterval"]) == (LABELS[1], 300)
    assert "RunAtLoad" not in resync


@pytest.mark.parametrize("label", LABELS)
def test_what_launchd_runs_is_good_shell(tmp_path: Path, label: str) -> None:
    program, option, script = plistlib.loads(rendered_agent(label, system(tmp_path)))["ProgramArguments"]
    subprocess.run([program, "-n", option, script], check=True)


def test_what_launchd_runs_starts_the_agent_of_this_home(tmp_path: Path) -> None:
    here = system(tmp_path, tmp_path / "other agents", AGENTMESH_HOME=str(tmp_path / "other agents"))
    launcher = here.paths.launcher
    launcher.parent.mkdir(parents=True)
    launcher.write_text('#!/bin/sh\necho "$0 $*"\n')
    launcher.chmod(0o755)
    described = plistlib.loads(rendered_agent(LABELS[0], here))
    done = subprocess.run(
        described["ProgramArguments"], env=described["EnvironmentVariables"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{launcher} run\n"


def cron_runs(line: str) -> list[str]:
    """Return what cron gives to sh of a line: all after the five fields, up to a % that isn't escaped (crontab(5))."""
    *times, command = line.rstrip("\n").split(" ", 5)
    assert times == ["*/5", "*", "*", "*", "*"]
    assert "%" not in command.replace(r"\%", "")
    return ["/bin/sh", "-c", command.replace(r"\%", "%")]


@pytest.mark.parametrize(("synced", "does"), [(0, ["resync"]), (4, ["resync", "run"])])
def test_cron_starts_the_agent_only_when_it_is_gone(tmp_path: Path, synced: int, does: list[str]) -> None:
    here = system(tmp_path, tmp_path / "agents 100%", TMUX_TMPDIR="/run/it's")
    launcher, said = here.paths.launcher, tmp_path / "said"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(
        f'#!/bin/sh\necho "$1 $TMUX_TMPDIR" >>{shlex.quote(str(said))}\n[ "$1" != resync ] || exit {synced}\n'
    )
    launcher.chmod(0o755)
    subprocess.run(cron_runs(crontab_lines(here)), env={"PATH": "/usr/bin:/bin"}, check=True)
    assert said.read_text().splitlines() == [f"{word} /run/it's" for word in does]
