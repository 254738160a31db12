"""Programs with conversations on namespaced hosts, and what their host tells of them."""

import json
import sys
from collections.abc import Mapping, Sequence
from subprocess import CompletedProcess
from typing import Any

import msgspec

from agentmesh.core.session_request import SessionSight
from tests.e2e.hosts import Host
from tests.e2e.mesh import asking
from tests.mesh.sessions import PROFILE, SPEAKER, record_of

MODES = ("plain", "held", "busy", "crash")
LOGIN = 'PATH=$HOME/.local/bin:$PATH\necho "welcome"; read -r answer\n'
"""A login shell that prints and reads; only it knows where the programs are."""


def furnish(hosts: Sequence[Host]) -> None:
    """Give hosts the profiles of the programs, before their agents read them."""
    for host in hosts:
        programs, profiles = host.outside(".local/bin"), host.outside(".agents/profiles")
        programs.mkdir(parents=True)
        profiles.mkdir()
        with host.outside(".profile").open("a") as profile:
            profile.write(LOGIN)
        (programs / "python0").symlink_to(sys.executable)
        for mode in MODES:
            script = f"{mode}.py"
            host.outside(script).symlink_to(SPEAKER)
            values = {"name": mode, "mode": mode, "python": "python0", "processes": f'"{mode}"'}
            (profiles / f"{mode}.toml").write_text(PROFILE.format(**values, script=host.home / script, identity=""))


def session(host: Host, *words: str, code: int = 0, stdin: str = "") -> CompletedProcess[str]:
    """Run `agentmesh session`; it must end with this code."""
    done = host.run("agentmesh", "session", *words, check=False, stdin=stdin)
    assert done.returncode == code, done
    return done


def record(host: Host, name: str, *there: str) -> Mapping[str, Any]:
    """Return what is recorded and seen of a session, by the agent's word; elsewhere, by the command's."""
    if not there:
        return record_of(asking(host).session(name))
    (seen,) = json.loads(session(host, "status", name, "--json", *there).stdout)
    return record_of(msgspec.convert(seen, SessionSight))
