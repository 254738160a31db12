"""agentmesh doctor: what it tells of a pane, and the recording it leaves."""

from pathlib import Path

import pytest

from agentmesh.core.capture import FACTS, PLAIN, SCREEN, recorded_facts, recorded_tty
from agentmesh.core.screen import plain
from tests.eventually import eventually
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux


def test_doctor_tells_what_every_sensor_saw_and_keeps_the_screen(host: LocalHost, tmp_path: Path) -> None:
    pane = host.open("asked", "sh -c 'printf \"\\033[1mDelete\\033[0m it? [y/N] \"; read x'")
    eventually(lambda: "[y/N]" in host.tmux.screen(pane), "it asks")
    done = host.run("agentmesh", "doctor", "--capture", "asked", str(tmp_path / "screens"))
    assert done.returncode == 0, done.stderr
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert told["kernel"] == "lines, echo, 0 bytes unread"
    assert (told["readiness"], told["plainly"]) == ("question or dialog", "refuse")
    assert (told["--wait"], told["--force"]) == ("wait", "refuse")
    kept = Path(told["recorded"])
    assert kept.name.endswith(f"-dialog{SCREEN}")
    meta = kept.with_name(kept.name.replace(SCREEN, FACTS)).read_text()
    facts, tty = recorded_facts(kept.read_text(), meta), recorded_tty(meta)
    assert facts.rows[0].startswith("\x1b[1mDelete\x1b[0m")
    assert kept.with_name(kept.name.replace(SCREEN, PLAIN)).read_text().split("\n")[0] == plain(facts.rows[0])
    assert tty
    assert tty.canonical


def test_a_second_recording_leaves_the_first(host: LocalHost, tmp_path: Path) -> None:
    host.open("twice", "cat")
    for _ in range(2):
        done = host.run("agentmesh", "doctor", "--capture", "twice", str(tmp_path))
        assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.meta.txt"))) == 2


@pytest.mark.parametrize(("address", "code", "said"), [("nowhere", 2, "No pane is called"), ("@all", 1, "Name one")])
def test_doctor_looks_at_one_pane(host: LocalHost, address: str, code: int, said: str) -> None:
    host.open("another", "cat")
    done = host.run("agentmesh", "doctor", "--capture", address)
    assert done.returncode == code
    assert said in done.stderr


def test_doctor_sends_one_to_the_pane_s_own_host(pair: tuple[LocalHost, LocalHost], tmp_path: Path) -> None:
    here, there = pair
    address = f"{there.name}-dev-first"
    eventually(lambda: address in here.addresses(), f"{address} is known", here.addresses)
    done = here.run("agentmesh", "doctor", "--capture", address, str(tmp_path))
    assert done.returncode == 1
    assert f"{address} is on {there.name}; run this there." in done.stderr
    assert not list(tmp_path.iterdir())
