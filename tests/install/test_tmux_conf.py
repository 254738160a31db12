"""Several configurations of tmux: it reads them all, one after another, and the last has the last word."""

from pathlib import Path

import pytest

from agentmesh.core.finding import Finding
from tests.findings import OK, WARNING, findings
from tests.install.person import Person

pytestmark = pytest.mark.tmux

BLOCK = "source-file -q ~/.agents/hooks.tmux.conf"
TAKES_OUT = "set-hook -g session-created 'display-message mine'\n"
"""A hook that is set without an index is the only one then (tmux(1), HOOKS)."""


def second(person: Person) -> Path:
    """Write the configuration that tmux reads after ~/.tmux.conf."""
    path = person.home / ".config" / "tmux" / "tmux.conf"
    path.parent.mkdir(parents=True)
    path.write_text(TAKES_OUT)
    return path


def loaded(person: Person) -> set[str]:
    """Return the hooks of ours that a server has which reads its configuration now, and no agent has added to."""
    person.run("agentmesh", "stop")
    person.start_tmux()
    return {line.split()[0] for line in person.hooks().splitlines() if "@agentmesh-home" in line}


def configuration(person: Person) -> Finding:
    return findings(person.run("agentmesh", "doctor", "--json").stdout)["tmux.conf"]


def test_the_configuration_that_is_read_last_loads_our_hooks(person: Person) -> None:
    other = second(person)
    before = person.look()
    person.call("agentmesh", "install")
    assert BLOCK not in (person.home / ".tmux.conf").read_text()
    assert other.read_text().startswith(TAKES_OUT)
    assert BLOCK in other.read_text()
    assert configuration(person).state is OK
    assert "session-created[77]" in loaded(person)
    assert "display-message mine" in person.hooks()
    person.tmux.end()
    person.call("agentmesh", "uninstall", "--yes")
    assert person.look() == before


def test_the_folder_that_the_environment_names_is_read_before_the_usual_one(person: Person) -> None:
    usual = second(person)
    named = person.home / "settings" / "tmux" / "tmux.conf"
    named.parent.mkdir(parents=True)
    named.write_text("set -g status off\n")
    person.environment["XDG_CONFIG_HOME"] = str(person.home / "settings")
    person.call("agentmesh", "install")
    assert [BLOCK in path.read_text() for path in (usual, named)] == [True, False]
    assert "session-created[77]" in loaded(person)


def test_a_configuration_that_comes_later_is_noticed_and_takes_over(person: Person) -> None:
    person.call("agentmesh", "install")
    before = (person.home / ".tmux.conf").read_bytes()
    assert configuration(person).state is OK
    other = second(person)
    late = configuration(person)
    assert (late.state, late.remedy) == (WARNING, "agentmesh install")
    assert late.seen == "tmux reads ~/.config/tmux/tmux.conf after ~/.tmux.conf, and can lose our hooks there"
    other.write_bytes(before)
    assert configuration(person).seen.startswith("our hooks are loaded 2 times: by ~/.tmux.conf, ~/.config")
    other.write_text(TAKES_OUT)
    person.call("agentmesh", "install")
    assert [BLOCK in path.read_text() for path in (person.home / ".tmux.conf", other)] == [False, True]
    assert configuration(person).state is OK
    assert "Everything is in place already." in person.call("agentmesh", "install")
    (person.home / ".tmux.conf").write_text("")
    other.unlink()
    assert configuration(person).seen == "tmux's configuration doesn't load our hooks"


def test_old_hooks_are_taken_out_of_every_configuration(person: Person) -> None:
    other = second(person)
    old = "set-hook -g session-created 'run-shell -b \"~/bin/agent-register-hook on\"'\n"
    texts = {path: path.read_text() + old for path in (person.home / ".tmux.conf", other)}
    for path, text in texts.items():
        path.write_text(text)
    person.call("agentmesh", "install")
    assert all(f"# replaced by agentmesh: {old}" in path.read_text() for path in texts)
    person.call("agentmesh", "uninstall", "--yes")
    assert {path: path.read_text() for path in texts} == texts
