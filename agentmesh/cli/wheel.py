"""Pack the agentmesh that runs as a wheel again, so that another machine gets the very same one."""

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from agentmesh import __version__

_WHEEL = "Wheel-Version: 1.0\nGenerator: agentmesh\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_SHIPPED = ("hooks", "systemd", "launchd")
"""Folders that stand beside the package in a checkout, and in it in a wheel."""


def pack(folder: Path) -> Path:
    """Write the wheel into a folder; returns its path (the form is that of PEP 427)."""
    info = f"agentmesh-{__version__}.dist-info"
    files = dict(_package()) | {f"{info}/{name}": text.encode() for name, text in _metadata()}
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()},{len(content)}"
        for name, content in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    wheel = folder / f"agentmesh-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


def _package() -> Iterator[tuple[str, bytes]]:
    package = Path(__file__).parents[1]
    beside = [package.parent / name for name in _SHIPPED if not (package / name).is_dir()]
    for folder in (package, *beside):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                prefix = "" if folder == package else f"{folder.name}/"
                yield f"agentmesh/{prefix}{path.relative_to(folder)}", path.read_bytes()


def _metadata() -> Iterator[tuple[str, str]]:
    installed = distribution("agentmesh")
    yield "WHEEL", _WHEEL
    for name in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
        if text := installed.read_text(name):
            yield name, text
