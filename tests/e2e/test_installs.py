"""Clean installs of the wheel, with each tool and each Python at hand. They download; `make package` runs them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentmesh import __version__
from tests.e2e.test_package import CHECKOUT, build

pytestmark = [pytest.mark.installs, pytest.mark.timeout(900)]

BIN = Path(sys.executable).parent
COMMANDS = ("agentmesh", "notify-pane", "agent-discover", "agent-register-hook", "agent-self-identify")
OLDEST = 11


def pythons() -> dict[str, Path]:
    """Return every Python here that is new enough, by its version: this one, those on PATH, those of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    path = os.pathsep.join(folder for folder in os.get_exec_path() if Path(folder) != pyenv / "shims")
    found = {f"3.{sys.version_info.minor}": Path(sys.executable)}
    for minor in range(OLDEST, OLDEST + 10):
        name = f"python3.{minor}"
        for python in [shutil.which(name, path=path), *sorted(pyenv.glob(f"versions/3.{minor}.*/bin/{name}"))]:
            if python:
                found.setdefault(f"3.{minor}", Path(python))
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a freshly built wheel."""
    return build(CHECKOUT, "wheel", tmp_path_factory.mktemp("wheel"))


def run(*words: str | Path, **environment: str | Path) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(
        list(map(str, words)),
        env=os.environ | {name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def works(folder: Path, home: Path) -> None:
    """See that the programs in a folder are this version of ours, and run without a network."""
    assert [name for name in COMMANDS if not (folder / name).exists()] == []
    assert run(folder / "agentmesh", "--version") == f"agentmesh {__version__}\n"
    home.mkdir()
    # A network namespace of its own has loopback alone.
    cut_off = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" demo')
    assert "everything was stopped and removed" in run(*cut_off, folder / "agentmesh", HOME=home)


@pytest.mark.parametrize("version", pythons())
def test_pip_installs_it_without_a_compiler(wheel: Path, tmp_path: Path, version: str) -> None:
    run(pythons()[version], "-m", "venv", tmp_path / "venv")
    folder = tmp_path / "venv" / "bin"
    assert run(folder / "python", "--version").startswith(f"Python {version}.")
    run(folder / "python", "-m", "pip", "install", "--only-binary", ":all:", wheel)
    run(folder / "python", "-m", "pip", "check")
    works(folder, tmp_path / "home")


def test_pipx_installs_it(wheel: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("PIPX_HOME", "PIPX_BIN_DIR", "PIPX_MAN_DIR")}
    run(BIN / "pipx", "install", "--python", sys.executable, "--pip-args=--only-binary=:all:", wheel, **places)
    works(places["PIPX_BIN_DIR"], tmp_path / "home")
    run(BIN / "pipx", "uninstall", "agentmesh", **places)
    assert list(places["PIPX_BIN_DIR"].iterdir()) == []


def test_uv_installs_it(wheel: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("UV_TOOL_DIR", "UV_TOOL_BIN_DIR")}
    run(BIN / "uv", "tool", "install", "--no-build", "--python", sys.executable, wheel, **places)
    works(places["UV_TOOL_BIN_DIR"], tmp_path / "home")
    run(BIN / "uv", "tool", "uninstall", "agentmesh", **places)
    assert list(places["UV_TOOL_BIN_DIR"].iterdir()) == []
