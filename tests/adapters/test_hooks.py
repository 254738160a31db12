"""The tmux hooks: whatever changes an address touches one small file, and nobody sees them do it."""

import re
from pathlib import Path

import pytest

from agentmesh.config import hooks_file
from tests.eventually import eventually
from tests.tmux import RealTmux

pytestmark = pytest.mark.tmux

_HOOK = re.compile(r"^set-hook -gw? (?P<name>[a-z-]+)\[77\].*\n", re.MULTILINE)
HOOKS = [found["name"] for found in _HOOK.finditer(hooks_file().read_text())]

EVENTS = {
    "session-created": ["new-session", "-d", "-s", "new", "exec cat"],
    "session-closed": ["kill-session", "-t", "ops"],
    "session-renamed": ["rename-session", "-t", "ops", "new"],
    "window-linked": ["link-window", "-s", "dev:first", "-t", "ops:7"],
    "window-unlinked": ["kill-window", "-t", "dev:split"],
    "window-renamed": ["rename-window", "-t", "dev:first", "new"],
    "after-split-window": ["split-window", "-d", "-t", "dev:first", "exec cat"],
    "after-kill-pane": ["kill-pane", "-t", "dev:split.1"],
    "after-set-option": ["set-option", "-w", "-t", "dev:first", "@agent-role", "reviewer"],
    "window-pane-changed": ["select-pane", "-t", "dev:split.1"],
    "window-layout-changed": ["select-layout", "-t", "dev:split", "even-horizontal"],
    "pane-exited": ["send-keys", "-t", "dev:first", "C-d"],
}
"""By hook, what makes tmux run it."""


@pytest.fixture
def panes(tmux: RealTmux) -> RealTmux:
    """Make sessions and windows for every event, before any hook is there to hear of it."""
    tmux.run("new-window", "-d", "-t", "dev:", "-n", "split", "exec cat")
    tmux.run("split-window", "-d", "-t", "dev:split", "exec cat")
    tmux.run("new-session", "-d", "-s", "ops", "exec cat")
    programs = ("list-panes", "-a", "-F", "#{pane_current_command}")
    eventually(lambda: tmux.run(*programs).split() == ["cat"] * 4, "all programs have started")
    return tmux


def load(tmux: RealTmux, home: Path, name: str = "") -> Path:
    """Load our hooks, or one of them alone, for the agent of a home; returns the file that they touch."""
    text = hooks_file().read_text()
    kept = _HOOK.sub(lambda found: found[0] if name in {"", found["name"]} else "", text)
    file = tmux.home / "hooks.conf"
    file.write_text(kept)
    tmux.run("set-option", "-g", "@agentmesh-home", str(home), ";", "source-file", str(file))
    return home / "spool" / "tmux"


def jobs(tmux: RealTmux) -> set[int]:
    """Return the processes that the server runs beside those of its panes."""
    server = int(tmux.ask("dev:", "#{pid}"))
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return set(map(int, children)) - set(map(int, tmux.run("list-panes", "-a", "-F", "#{pane_pid}").split()))


def test_there_is_an_event_for_every_hook() -> None:
    assert sorted(HOOKS) == sorted([*EVENTS, "pane-died"])


@pytest.mark.parametrize("name", EVENTS)
def test_each_hook_alone_touches_the_file_of_the_agent(panes: RealTmux, tmp_path: Path, name: str) -> None:
    (tmp_path / "spool").mkdir()
    touched = load(panes, tmp_path, name)
    assert not touched.exists()
    panes.run(*EVENTS[name])
    eventually(touched.exists, f"{name} is heard")


def test_a_pane_that_dies_and_remains_touches_the_file_of_the_agent(panes: RealTmux, tmp_path: Path) -> None:
    panes.run("set-option", "-g", "remain-on-exit", "on")
    (tmp_path / "spool").mkdir()
    touched = load(panes, tmp_path, "pane-died")

    def is_heard() -> bool:
        # Of one pane or another tmux 3.3a doesn't tell: it depends on which comes first, the end of the process or
        # that of its terminal.
        pane = panes.new_window("mortal", "exit")
        eventually(lambda: panes.ask(pane, "#{pane_dead}") == "1", "the program has ended")
        return touched.exists()

    eventually(is_heard, "pane-died is heard")


@pytest.mark.parametrize(
    "name", ["a home", "quote'quote\"quote", "$(touch harm);`touch harm`", "#{pane_id}", "-n", "é"]
)
def test_any_path_can_be_the_agent_s_home(panes: RealTmux, tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    (home / "spool").mkdir(parents=True)
    touched = load(panes, home)
    panes.run("rename-window", "-t", "dev:first", "new")
    eventually(touched.exists, "the hook is heard")
    assert not list(tmp_path.rglob("harm"))


def test_without_the_option_the_agent_of_the_home_folder_is_meant(panes: RealTmux) -> None:
    touched = panes.home / ".agents" / "spool" / "tmux"
    touched.parent.mkdir(parents=True)
    panes.run("source-file", str(hooks_file()))
    panes.run("rename-window", "-t", "dev:first", "new")
    eventually(touched.exists, "the hook is heard")


def test_a_missing_folder_is_no_error_that_anybody_sees(panes: RealTmux, tmp_path: Path) -> None:
    touched = load(panes, tmp_path)
    panes.run("rename-window", "-t", "dev:0", "unheard")
    touched.parent.mkdir()
    panes.run("rename-window", "-t", "dev:0", "heard")
    eventually(touched.exists, "the second hook is heard")
    eventually(lambda: not jobs(panes), "all hooks have ended", lambda: jobs(panes))
    shown = panes.run("list-panes", "-a", "-F", "#{pane_in_mode}#{cursor_x}#{cursor_y}#{history_size}").split()
    assert shown == ["0000"] * 4


def test_a_hook_touches_nothing_but_the_file(panes: RealTmux, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "spool").mkdir(parents=True)
    touched = load(panes, home)
    panes.run(*EVENTS["session-created"])
    eventually(touched.exists, "the hook is heard")
    eventually(lambda: not jobs(panes), "all hooks have ended", lambda: jobs(panes))
    assert [path for path in home.rglob("*") if path.is_file()] == [touched]
    assert len(touched.read_text()) <= 1
