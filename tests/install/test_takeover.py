"""A set-up of the bash tool of this name: recognised, taken over, and put back."""

import pytest

from tests.install.person import Person

pytestmark = pytest.mark.tmux

HOOKS = """
# === agent-mesh tmux hooks (managed) ===
set-hook -g session-created  "run-shell -b '~/bin/agent-register-hook on  #{session_name}'"
set-hook -g session-closed   "run-shell -b '~/bin/agent-register-hook off #{hook_session_name}'"
set-hook -g window-renamed \\
  "run-shell -b '~/bin/agent-register-hook on  #{session_name}'"
"""
SCRIPTS = {
    "bin/notify-pane": "notify-pane",
    "bin/agent-register-hook": "agent-register-hook",
    "bin/agent-discover": "agent-discover",
    "scripts/sync-agent-registry.sh": "agent-discover",
}


@pytest.fixture
def settled(person: Person) -> Person:
    """Return a person who uses the bash tool, as its own installer leaves a home."""
    for name in SCRIPTS:
        path = person.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/usr/bin/env bash\nset -euo pipefail\nREG=~/.agents/registry.toml\n")
        path.chmod(0o755)
    person.agents.mkdir()
    person.agents.chmod(0o755)
    (person.agents / "peers.conf").write_text("# the mesh\nhub\nworker-1\n")
    (person.agents / "self.conf").write_text("hub\n")
    (person.agents / "local.toml").write_text('[agents.hub-dev-first]\nhost = "hub"\n')
    (person.agents / "registry.toml").write_text('[agents.worker-1-dev-x]\nhost = "worker-1"\n')
    units = person.home / ".config" / "systemd" / "user"
    (units / "timers.target.wants").mkdir(parents=True)
    (units / "agent-resync.service").write_text("[Service]\nType=oneshot\nExecStart=%h/bin/agent-discover\n")
    (units / "agent-resync.timer").write_text("[Timer]\nOnUnitActiveSec=5min\n[Install]\nWantedBy=timers.target\n")
    (units / "timers.target.wants" / "agent-resync.timer").symlink_to("../agent-resync.timer")
    person.configure(f"set -g mouse on\n{HOOKS}")
    person.start_tmux()
    return person


def test_who_belongs_stays_and_old_calls_reach_the_new_programs(settled: Person) -> None:
    settled.call("agentmesh", "install")
    assert (settled.agents / "peers.conf").read_text() == "# the mesh\nhub\nworker-1\n"
    assert '"host":"hub"' in settled.call("agentmesh", "status", "--json")
    assert "worker-1" in settled.call("agentmesh", "peers")
    for name, program in SCRIPTS.items():
        assert (settled.home / name).resolve() == settled.agents / "bin" / program
    assert "→ hub-dev-first" in settled.call(str(settled.home / "bin" / "notify-pane"), "hub-dev-first", "hello")


def test_the_old_hooks_are_gone_from_the_configuration_and_from_the_server(settled: Person) -> None:
    assert "agent-register-hook" in settled.hooks()
    settled.call("agentmesh", "install")
    assert "agent-register-hook" not in settled.hooks()
    assert "@agentmesh-home" in settled.hooks()
    active = [line for line in (settled.home / ".tmux.conf").read_text().splitlines() if not line.startswith("#")]
    assert active == ["set -g mouse on", "", "source-file -q ~/.agents/hooks.tmux.conf"]


def test_the_old_timer_is_disabled(settled: Person) -> None:
    settled.call("agentmesh", "install")
    units = settled.home / ".config" / "systemd" / "user"
    assert not (units / "timers.target.wants" / "agent-resync.timer").is_symlink()
    assert (units / "agent-resync.timer").exists()


def test_uninstall_puts_all_of_it_back(settled: Person) -> None:
    before, hooks = settled.look(), settled.hooks()
    settled.call("agentmesh", "install")
    settled.call("agentmesh", "uninstall", "--yes")
    assert settled.look() == before
    assert settled.hooks() == hooks


def test_uninstall_does_not_mind_that_the_tmux_server_has_gone(settled: Person) -> None:
    before = settled.look()
    settled.call("agentmesh", "install")
    settled.tmux.end()
    settled.call("agentmesh", "uninstall", "--yes")
    assert settled.look() == before


def test_taking_over_twice_changes_nothing(settled: Person) -> None:
    settled.call("agentmesh", "install")
    assert "Everything is in place already." in settled.call("agentmesh", "install")


def test_a_program_of_another_kind_under_an_old_name_stays(person: Person) -> None:
    own = person.home / "bin" / "notify-pane"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\nexec osascript -e 'display notification'\n")
    person.call("agentmesh", "install")
    assert "osascript" in own.read_text()
