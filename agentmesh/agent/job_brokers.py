"""A job's own MQTT broker: kept beside the job, closed to others, as it may hold a password."""

from pathlib import Path

import msgspec

from agentmesh.adapters.files import make_private_folder, replace
from agentmesh.core.broker import Settings
from agentmesh.errors import BadConfiguration

NAME = "broker.json"


def keep_broker(folder: Path, settings: Settings) -> None:
    """Keep the settings in a job's folder. Raises OSError."""
    for each in (folder.parent, folder):
        make_private_folder(each)
    replace(folder / NAME, msgspec.json.format(msgspec.json.encode(settings)) + b"\n")


def kept_broker(folder: Path) -> Settings | None:
    """Return the settings in a job's folder; None if it has no broker of its own. Raises BadConfiguration."""
    path = folder / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise BadConfiguration(path=path, reason=error) from error
