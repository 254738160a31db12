"""An upgrade while messages wait: the new version is installed, its agent takes over, and nothing is lost."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from agentmesh import __version__
from tests.eventually import eventually
from tests.install.person import Person

pytestmark = pytest.mark.tmux

_CHECKOUT = Path(__file__).parents[2]
NEWER = "99.0.0"


def built(folder: Path, version: str, more: str = "") -> str:
    """Make an environment with this package, as a wheel lays it out; return its Python. ``more`` code is in it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/*/site-packages")
    shutil.copytree(_CHECKOUT / "agentmesh", site / "agentmesh")
    for name in ("hooks", "systemd", "launchd"):
        shutil.copytree(_CHECKOUT / name, site / "agentmesh" / name)
    module = site / "agentmesh" / "__init__.py"
    module.write_text(module.read_text().replace(__version__, version) + more)
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return str(folder / "bin" / "python")


def test_what_waits_is_delivered_by_the_new_version(person: Person) -> None:
    person.start_tmux()
    before = person.look()
    person.call("agentmesh", "install")
    person.call("tmux", "new-window", "-d", "-t", "dev:", "-n", "asks", "exec bash -c 'read -s secret; exec cat'")
    eventually(lambda: "-dev-asks" in person.call("notify-pane", "--list"), "it is listed")
    for number in range(3):
        person.call("notify-pane", "asks", "--queue", f"number {number}")

    new = built(person.root / "new", NEWER)
    told = person.call(new, "-m", "agentmesh", "install")
    assert f"stop the agent of version {__version__}" in told
    assert f"start the agent, version {NEWER}" in told
    assert f'"version":"{NEWER}"' in person.call("agentmesh", "status", "--json")
    assert "Everything is in place already." in person.call(new, "-m", "agentmesh", "install")

    person.call("tmux", "send-keys", "-t", "dev:asks", "Enter")

    def shown() -> list[str]:
        lines = dict.fromkeys(person.tmux.screen("dev:asks").splitlines())
        return [line.partition("] ")[2] for line in lines if "] number" in line]

    eventually(lambda: len(shown()) == 3, "all are delivered", lambda: person.tmux.screen("dev:asks"))
    assert shown() == [f"number {number}" for number in range(3)]
    person.call(new, "-m", "agentmesh", "uninstall", "--yes")
    assert person.look() == before
