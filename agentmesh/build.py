"""Which code this is, so that two builds of one version can be told apart."""

from hashlib import sha256
from pathlib import Path

PACKAGE = Path(__file__).parent


def code_digest() -> str:
    """Return a digest of the package's code and profiles, as they lie on the disk now, wherever they are installed."""
    digest = sha256()
    for path in sorted(path for ending in ("py", "toml") for path in PACKAGE.rglob(f"*.{ending}")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(PACKAGE)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]
