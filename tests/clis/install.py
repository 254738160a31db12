"""Install the pinned CLIs into a cache folder, each once; from there they are run, and nothing is written elsewhere."""

import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clis.recipes import NODE, Recipe

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentmesh-clis"


class InstallFailed(Exception):
    """A program could not be installed: its registry can't be reached, or npm is missing."""


def node() -> Path:
    """Return the folder with the node that runs the CLIs."""
    return _npm("node", "node", NODE) / "node" / "bin"


def program(recipe: Recipe) -> list[str]:
    """Return the argv that starts a CLI, and install it first where it is not in the cache yet."""
    name, *arguments = recipe.command
    if recipe.from_pypi:
        scripts = _pip(recipe.name, recipe.package, recipe.version) / "bin"
        return [str(scripts / "python"), str(scripts / name), *arguments]
    return [str(_npm(recipe.name, recipe.package, recipe.version) / ".bin" / name), *arguments]


def _npm(name: str, package: str, version: str) -> Path:
    place = CACHE / f"{name}-{version}"
    if not place.exists():
        with _made(place) as folder:
            _run("npm", "install", "--no-audit", "--no-fund", f"--prefix={folder}", f"{package}@{version}")
    return place / "node_modules"


def _pip(name: str, package: str, version: str) -> Path:
    # A virtual environment works after it was moved, as long as its scripts are handed to its python.
    place = CACHE / f"{name}-{version}"
    if not place.exists():
        with _made(place) as folder:
            _run(sys.executable, "-m", "venv", str(folder))
            _run(f"{folder}/bin/python", "-m", "pip", "install", "--quiet", f"{package}=={version}")
    return place


@contextmanager
def _made(place: Path) -> Iterator[Path]:
    """Yield a folder that gets this place when all went well; whoever comes second leaves the first one's there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=CACHE))
    try:
        yield folder
        if not place.exists():
            folder.rename(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(*command: str) -> None:
    # Node trusts the authorities that it was built with; the system may know more, a proxy's say.
    system = {"NODE_EXTRA_CA_CERTS": known} if (known := ssl.get_default_verify_paths().cafile) else {}
    try:
        done = subprocess.run(command, env=system | os.environ, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise InstallFailed(str(error)) from error
    if done.returncode:
        raise InstallFailed(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
