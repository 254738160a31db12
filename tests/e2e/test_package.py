"""The sdist and the wheel: what they must carry, and that the package works from there."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def build(checkout: Path, kind: str, folder: Path) -> Path:
    """Build the sdist or the wheel of a checkout; return its path."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder],
        cwd=checkout,
        check=True,
        capture_output=True,
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a freshly built wheel."""
    return build(CHECKOUT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the content of the wheel."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)  # noqa: S202 (it has just been built)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the content of a freshly built sdist."""
    sdist = build(CHECKOUT, "sdist", tmp_path_factory.mktemp("sdist"))
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(sdist) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 brought it
        archive.extractall(folder)  # noqa: S202 (it is our own)
    (root,) = folder.iterdir()
    return root


@pytest.mark.parametrize(
    "name",
    [
        "hooks/agentmesh.tmux.conf",
        "hooks/agentmesh.status.tmux.conf",
        "hooks/send-message.sh",
        "hooks/pre-push",
        "hooks/completion/candidates.awk",
        "hooks/completion/agentmesh.bash",
        "hooks/completion/agentmesh.zsh",
        "hooks/completion/agentmesh.fish",
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


def test_the_sdist_makes_the_same_wheel(source: Path, wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(build(source, "wheel", tmp_path)) as its:
        assert sorted(ours.namelist()) == sorted(its.namelist())
        assert all(ours.read(name) == its.read(name) for name in ours.namelist())


@pytest.mark.parametrize(
    "name", ["Makefile", ".ci/run", "tests/conftest.py", "constraints.txt", "CHANGELOG.md", "LICENSE"]
)
def test_the_sdist_carries_what_its_tests_need(source: Path, name: str) -> None:
    assert (source / name).stat().st_size > 0


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
