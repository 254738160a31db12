"""The files that say which keys may call: read the pinned ones, write and remove their lines, leave all else alone."""

from pathlib import Path

from agentmesh.adapters.files import PRIVATE_FILE, PRIVATE_FOLDER, replace
from agentmesh.core import authorized_keys as lines
from agentmesh.core.identity import Pin
from agentmesh.errors import BadConfiguration, BadKey

_FORM = "latin-1"
"""Any bytes go through it and back unchanged."""


class AuthorizedKeys:
    """The ``authorized_keys`` of the system's sshd, and that of the agent's own listener."""

    def __init__(self, of_sshd: Path, of_agent: Path) -> None:
        self.of_sshd = of_sshd
        self.of_agent = of_agent

    @property
    def files(self) -> tuple[Path, Path]:
        """Both, whether they exist or not."""
        return self.of_sshd, self.of_agent

    def pins(self) -> frozenset[Pin]:
        """Return the keys that are pinned to names. Raises BadConfiguration when a file can't be read."""
        return frozenset(pin for file in self.files for pin in lines.pins(_read(file)))

    def pin(self, file: Path, pin: Pin, command: str) -> bool:
        """Pin a key to a name in one of the files; returns whether that is new. Raises BadKey, BadConfiguration."""
        for other in self.files:
            for entry in lines.entries(_read(other)):
                if entry.key == pin.key and not entry.name:
                    reason = f"it may log in here already, by line {entry.number} of {other}; remove that line first"
                    raise BadKey(reason=reason)
                if entry.key == pin.key and entry.name != pin.name:
                    reason = f"it is pinned to {entry.name}; run `agentmesh peers revoke {entry.name}` first"
                    raise BadKey(reason=reason)
        text = _read(file)
        changed = lines.with_pin(text, pin, command)
        if changed == text:
            return False
        file.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        _write(file, changed)
        return True

    def unpin(self, name: str) -> int:
        """Remove all pins of a name; returns how many there were. Raises BadConfiguration."""
        removed = 0
        for file in self.files:
            text = _read(file)
            changed = lines.without_pins(text, name)
            if changed != text:
                removed += len(lines.entries(text)) - len(lines.entries(changed))
                _write(file, changed)
        return removed


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode(_FORM)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise BadConfiguration(path=file, reason=error) from error


def _write(file: Path, text: str) -> None:
    try:
        mode = file.stat().st_mode & 0o777 if file.exists() else PRIVATE_FILE
        replace(file.resolve(), text.encode(_FORM), mode)  # a link stays one
    except OSError as error:
        raise BadConfiguration(path=file, reason=error) from error
