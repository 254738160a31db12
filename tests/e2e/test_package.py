"""The wheel: what an installed package must carry, and that it works from there."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the content of a freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.parametrize(
    "name",
    [
        "hooks/agentmesh.tmux.conf",
        "systemd/agentmesh.service",
        "systemd/agentmesh-resync.service",
        "systemd/agentmesh-resync.timer",
        "launchd/io.agentmesh.agent.plist",
        "launchd/io.agentmesh.resync.plist",
        "profiles/claude.toml",
        "profiles/codex.toml",
        "py.typed",
        "core/PROTOCOL.md",
    ],
)
def test_the_wheel_carries(unpacked: Path, name: str) -> None:
    assert (unpacked / "agentmesh" / name).stat().st_size >= 0


def test_the_console_scripts_are_declared(unpacked: Path) -> None:
    (declared,) = unpacked.glob("*.dist-info/entry_points.txt")
    names = {line.split(" = ")[0] for line in declared.read_text().splitlines() if " = " in line}
    assert names == {"agentmesh", "notify-pane", "agent-discover", "agent-register-hook", "agent-self-identify"}


def test_an_installed_package_finds_its_hooks_and_profiles(unpacked: Path, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from agentmesh import config; paths = config.Paths(Path.cwd());"
        " print(config.hooks_file()); print(len(config.load_profiles(paths)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(unpacked), "HOME": str(tmp_path)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    hooks, profiles = done.stdout.split()
    assert Path(hooks) == unpacked / "agentmesh" / "hooks" / "agentmesh.tmux.conf"
    assert int(profiles) > 5
