"""tmux: scan a server, look at a pane, paste into it. All against a real server."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from agentmesh.adapters.process import until_ended
from agentmesh.adapters.tmux import REPLENISH_SECONDS, TmuxServer, find_sockets, socket_folder
from agentmesh.config import hooks_file
from agentmesh.core.place import Landmark
from agentmesh.core.screen import PaneFacts, plain
from agentmesh.errors import PaneGone, TmuxFailed
from tests.adapters.terminals import terminal
from tests.eventually import eventually
from tests.tmux import RealTmux

pytestmark = pytest.mark.tmux

HOSTILE = [
    "tab\there",
    "quote'quote\"quote",
    "␟unit␞record␟",
    "🦊 naïve 日本",
    "#{pane_pid} #(touch harm) #[fg=red]",
    "$(touch harm) `touch harm` ; kill-server",
    "-n",
    "back\\slash\\n",
    "",
]


@pytest.fixture
def server(tmux: RealTmux, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TmuxServer]:
    """Speak to the server as an agent does that was started without a locale."""
    monkeypatch.setenv("LC_ALL", "C")
    (tmp_path / "isn't plain").mkdir()
    server = TmuxServer(tmux.socket, tmp_path / "isn't plain")
    yield server
    server.close()


def text_of(facts: PaneFacts) -> list[str]:
    return [plain(row).rstrip() for row in facts.rows]


def content(folder: Path) -> list[Path]:
    return list(folder.iterdir())


# Scanning.


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_window_name_is_read_and_nothing_of_it_is_obeyed(
    tmux: RealTmux, server: TmuxServer, name: str
) -> None:
    pane = tmux.new_window("plain", "cat")
    # What a person types here is a format; a program in the pane can set any name as it is.
    tmux.run("rename-window", "-t", pane, "--", name.replace("#", "##"))
    scan = await server.scan()
    (record,) = (record for record in scan.panes if record.pane == pane)
    assert record.window == tmux.ask(pane, "#{window_name}").replace("␟", "").replace("␞", "")
    assert ("#(touch harm)" in record.window) == ("#(touch harm)" in name)
    assert record.window.isprintable()
    assert not list(tmux.home.rglob("harm"))


@pytest.mark.parametrize("value", [*HOSTILE, "two\nlines", "\n", "␞"])
async def test_a_hostile_option_is_read_and_moves_no_other_field(
    tmux: RealTmux, server: TmuxServer, value: str
) -> None:
    tmux.run("set-option", "-w", "-t", "dev:", "@agent-role", value)
    tmux.run("set-option", "-w", "-t", "dev:", "@agent-scope", "mine")
    (record,) = (await server.scan()).panes
    assert record.role == value.replace("␟", "").replace("␞", "")
    assert (record.scope, record.command, record.session) == ("mine", "cat", "dev")


async def test_every_pane_is_told_of_once_with_its_facts(tmux: RealTmux, server: TmuxServer) -> None:
    tmux.run("split-window", "-d", "-t", "dev:first", "sleep", "600")
    tmux.run("new-session", "-d", "-s", "ops", "-n", "second", "sleep", "601")
    tmux.run("set-option", "-t", "ops:", "@agent-register", "off")
    programs = ("list-panes", "-a", "-F", "#{pane_current_command}")
    eventually(lambda: tmux.run(*programs).split() == ["cat", "sleep", "sleep"], "all programs have started")
    listed = tmux.run("list-panes", "-a", "-F", "#{pane_id} #{pane_pid} #{pane_tty} #{pid}").splitlines()
    records = (await server.scan()).panes
    assert [f"{record.pane} {record.pid} {record.tty} {record.server_pid}" for record in records] == listed
    assert [(r.session, r.window, r.pane_index, r.command, r.active) for r in records] == [
        ("dev", "first", 0, "cat", True),
        ("dev", "first", 1, "sleep", False),
        ("ops", "second", 0, "sleep", True),
    ]
    assert [record.register for record in records] == ["", "", "off"]


async def test_a_window_s_option_wins_over_its_session_s(tmux: RealTmux, server: TmuxServer) -> None:
    tmux.new_window("second", "cat")
    tmux.run("set-option", "-t", "dev:", "@agent-role", "of the session")
    tmux.run("set-option", "-w", "-t", "dev:first", "@agent-role", "of the window")
    assert [record.role for record in (await server.scan()).panes] == ["of the window", "of the session"]


async def test_our_hooks_are_loaded_and_counted(server: TmuxServer, tmp_path: Path) -> None:
    assert (await server.scan()).hooks == 0
    await server.load_hooks(hooks_file(), tmp_path)
    assert (await server.scan()).hooks == hooks_file().read_text().count("\nset-hook ")


async def test_loading_our_hooks_again_adds_none_and_keeps_the_user_s(
    tmux: RealTmux, server: TmuxServer, tmp_path: Path
) -> None:
    tmux.run("set-hook", "-g", "session-created", "display-message mine")
    await server.load_hooks(hooks_file(), tmp_path)
    once = (await server.scan()).hooks
    await server.load_hooks(hooks_file(), tmp_path)
    assert (await server.scan()).hooks == once
    assert "display-message mine" in tmux.run("show-hooks", "-g", "session-created")


async def test_a_killed_server_can_not_be_scanned_and_does_not_run(tmux: RealTmux, server: TmuxServer) -> None:
    assert server.runs()
    tmux.end()
    assert not server.runs()
    with pytest.raises(TmuxFailed):
        await server.scan()
    assert not tmux.socket.exists()


async def test_a_socket_that_a_killed_server_left_is_no_server(tmux: RealTmux, server: TmuxServer) -> None:
    pid = int(tmux.ask("dev:", "#{pid}"))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not server.runs(), "the server is gone")
    assert tmux.socket.is_socket()


@pytest.mark.parametrize("ask", [TmuxServer.scan, lambda server: server.look("%0")], ids=["scan", "look"])
async def test_a_server_that_hangs_has_failed_and_is_not_empty(
    tmux: RealTmux, server: TmuxServer, ask: Callable[[TmuxServer], Awaitable[object]]
) -> None:
    pid = int(tmux.ask("dev:", "#{pid}"))
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TmuxFailed, match="has not answered for 5 s"):
            await ask(server)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_sockets_are_those_found_and_those_named(tmux: RealTmux, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX_TMPDIR", tmux.environment["TMUX_TMPDIR"])
    (socket_folder() / "no socket").touch()
    named = Path("/elsewhere/socket")
    assert find_sockets(["work", str(named)]) == sorted([tmux.socket, socket_folder() / "work", named])
    assert TmuxServer(tmux.socket, Path()).name == "default"


# Looking.


async def test_a_look_tells_all_facts_of_a_pane(tmux: RealTmux, server: TmuxServer) -> None:
    draw = r"printf 'one\ntwo\n\033[2mdim\033[0m \033]2;a title\007\033[?25l'; exec cat"
    pane = tmux.new_window("drawn", "sh", "-c", draw)
    eventually(lambda: "dim" in tmux.screen(pane), "the program has drawn")
    facts = await server.look(pane)
    assert text_of(facts)[:3] == ["one", "two", "dim"]
    assert "\x1b[2m" in facts.rows[2]
    assert (facts.cursor_x, facts.cursor_y, facts.cursor_visible) == (4, 2, False)
    assert (facts.title, facts.command, facts.width, facts.height) == ("a title", "cat", 80, 24)
    assert (facts.pid, facts.tty) == tuple(
        kind(tmux.ask(pane, f"#{{{name}}}")) for kind, name in ((int, "pane_pid"), (str, "pane_tty"))
    )
    assert not any((facts.dead, facts.in_mode, facts.synchronized, facts.input_off, facts.alternate))
    assert not any((facts.denied, facts.shell_is_agent))


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (["copy-mode", "-t", "dev:"], "in_mode"),
        (["choose-tree", "-t", "dev:"], "in_mode"),
        (["select-pane", "-d", "-t", "dev:"], "input_off"),
        (["set-option", "-w", "-t", "dev:", "synchronize-panes", "on"], "synchronized"),
        (["set-option", "-w", "-t", "dev:", "@agent-deny", "on"], "denied"),
        (["set-option", "-p", "-t", "dev:", "@agent-shell", "on"], "shell_is_agent"),
        (["respawn-pane", "-k", "-t", "dev:", "printf '\\033[?1049h'; exec cat"], "alternate"),
    ],
)
async def test_a_look_sees_each_flag_alone(tmux: RealTmux, server: TmuxServer, command: list[str], flag: str) -> None:
    tmux.run("split-window", "-d", "-t", "dev:", "cat")
    tmux.run(*command)
    pane = tmux.ask("dev:", "#{pane_id}")
    if flag == "alternate":
        eventually(lambda: tmux.ask(pane, "#{alternate_on}") == "1", "the screen is the alternate one")
    facts = await server.look(pane)
    flags = ("dead", "in_mode", "synchronized", "input_off", "alternate", "denied", "shell_is_agent")
    assert {name for name in flags if getattr(facts, name)} == {flag}


async def test_a_look_brings_as_much_history_as_there_is(tmux: RealTmux, server: TmuxServer) -> None:
    pane = tmux.new_window("long", "sh", "-c", "seq 1 40; exec cat")
    eventually(lambda: tmux.ask(pane, "#{history_size}") == "17", "the rows have scrolled")
    facts = await server.look(pane, history=5)
    assert (text_of(facts)[0], facts.history) == ("13", 5)
    assert text_of(facts)[facts.cursor_row - 1] == "40"
    assert (await server.look(pane, history=500)).history == 17


async def test_a_look_at_a_pane_that_is_gone_says_so(server: TmuxServer) -> None:
    with pytest.raises(PaneGone, match="%99"):
        await server.look("%99")


# Clients that are started ahead.


async def test_a_client_that_was_started_ahead_serves_the_next_command(tmux: RealTmux, server: TmuxServer) -> None:
    pane = tmux.ask("dev:", "#{pane_id}")
    first = await server.look(pane)
    tmux.run("set-option", "-w", "-t", pane, "@agent-deny", "on")
    assert not first.denied
    assert (await server.look(pane)).denied


async def test_a_server_ends_when_the_client_that_waits_is_dismissed(tmux: RealTmux, server: TmuxServer) -> None:
    pid = int(tmux.ask("dev:", "#{pid}"))
    await server.look(tmux.ask("dev:", "#{pane_id}"))
    tmux.run("kill-session", "-t", "dev")
    server.dismiss()
    async with asyncio.timeout(5):
        await until_ended(pid)


async def test_none_is_started_any_more_once_they_were_dismissed(tmux: RealTmux, server: TmuxServer) -> None:
    pid = int(tmux.ask("dev:", "#{pid}"))
    await server.look(tmux.ask("dev:", "#{pane_id}"))
    server.dismiss()
    await asyncio.sleep(10 * REPLENISH_SECONDS)  # they would be started by now
    tmux.run("kill-session", "-t", "dev")
    async with asyncio.timeout(5):
        await until_ended(pid)


async def test_a_server_that_ended_under_a_waiting_client_shows_no_pane(tmux: RealTmux, server: TmuxServer) -> None:
    pane = tmux.ask("dev:", "#{pane_id}")
    await server.look(pane)
    tmux.end()
    # The client may still hear that the pane is gone, or nothing any more.
    with pytest.raises((TmuxFailed, PaneGone)):
        await server.look(pane)


# Pasting.


@pytest.mark.parametrize(
    "text", ["hello", "ends with;", "#{pane_id} $(id) `id` 'q' \"q\" ~ \\n", "-t dev", "🦊 日本", "x" * 4000]
)
async def test_a_pasted_text_stands_in_the_pane_as_it_is(tmux: RealTmux, server: TmuxServer, text: str) -> None:
    pane = tmux.ask("dev:", "#{pane_id}")
    seen = await server.look(pane)
    assert await server.paste(pane, text, "f" * 32, seen, history=60) is not None

    def joined() -> str:
        return tmux.run("capture-pane", "-p", "-J", "-S", "-60", "-t", pane).strip()

    eventually(lambda: joined() == text, "the text stands there", joined)


async def test_a_paste_leaves_neither_a_file_nor_a_buffer(tmux: RealTmux, server: TmuxServer, tmp_path: Path) -> None:
    pane = tmux.ask("dev:", "#{pane_id}")
    await server.paste(pane, "hello", "f" * 32, await server.look(pane), history=0)
    assert tmux.run("list-buffers") == ""
    assert content(tmp_path / "isn't plain") == []


async def test_enter_submits_what_was_pasted(tmux: RealTmux, server: TmuxServer) -> None:
    pane = tmux.ask("dev:", "#{pane_id}")
    seen = await server.look(pane)
    await server.paste(pane, "hello", "f" * 32, seen, history=0)
    eventually(lambda: tmux.screen(pane) == "hello", "the text is echoed")
    assert await server.press_enter(pane, await server.look(pane), None) is not None
    eventually(lambda: tmux.screen(pane) == "hello\nhello", "cat repeats it", lambda: tmux.screen(pane))


async def test_a_paste_into_a_dead_pane_is_refused_and_the_server_lives(tmux: RealTmux, server: TmuxServer) -> None:
    tmux.run("set-option", "-g", "remain-on-exit", "on")
    pane = tmux.new_window("mortal", "cat")
    seen = await server.look(pane)
    os.kill(seen.pid, signal.SIGKILL)
    eventually(lambda: tmux.ask(pane, "#{pane_dead}") == "1", "the pane is dead")
    assert await server.paste(pane, "hello", "f" * 32, seen, history=0) is None
    assert await server.press_enter(pane, seen, None) is None
    assert tmux.run("list-buffers") == ""
    assert (await server.look(pane)).dead


CHANGES = {
    "copy mode": ["copy-mode", "-t", "dev:first"],
    "synchronized": ["set-option", "-w", "-t", "dev:first", "synchronize-panes", "on"],
    "input off": ["select-pane", "-d", "-t", "dev:first"],
    "another process": ["respawn-pane", "-k", "-t", "dev:first", "exec cat"],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_pane_that_changed_since_it_was_seen_is_left_as_it_is(
    tmux: RealTmux, server: TmuxServer, change: list[str]
) -> None:
    pane = tmux.ask("dev:first", "#{pane_id}")
    seen = await server.look(pane)
    tmux.run(*change)
    eventually(lambda: tmux.ask(pane, "#{pane_current_command}") == "cat", "the name of the program is the same")
    assert await server.paste(pane, "hello", "f" * 32, seen, history=0) is None
    assert await server.press_enter(pane, seen, None) is None
    tmux.run("copy-mode", "-q", "-t", pane)
    assert tmux.screen(pane) == ""
    assert tmux.ask(pane, "#{cursor_y}") == "0"


async def test_another_program_in_front_is_a_change(tmux: RealTmux, server: TmuxServer) -> None:
    pane = tmux.new_window("shell", "sh", "-c", "read -r _; exec sleep 600")
    eventually(lambda: tmux.ask(pane, "#{pane_current_command}") == "sh", "the shell waits")
    seen = await server.look(pane)
    tmux.run("send-keys", "-t", pane, "Enter")
    eventually(lambda: tmux.ask(pane, "#{pane_current_command}") == "sleep", "another program is in front")
    assert await server.paste(pane, "hello", "f" * 32, seen, history=0) is None
    assert "hello" not in tmux.screen(pane)


async def test_a_cursor_that_moved_since_it_was_seen_is_a_change(tmux: RealTmux, server: TmuxServer) -> None:
    pane = tmux.ask("dev:", "#{pane_id}")
    seen = await server.look(pane)
    tmux.run("send-keys", "-t", pane, "mine")
    eventually(lambda: tmux.screen(pane) == "mine", "it is echoed")
    assert await server.paste(pane, "hello", "f" * 32, seen, history=0) is None
    assert await server.press_enter(pane, seen, None) is None
    assert tmux.screen(pane) == "mine"


DIALOG = r"printf '\033[H\033[J a text that waits'; read -r _; printf '\033[H\033[J question'; printf '\033[1;19H'; cat"


async def test_a_key_is_pressed_only_while_its_landmark_stands_in_its_row(tmux: RealTmux, server: TmuxServer) -> None:
    pane = tmux.new_window("dialog", "sh", "-c", DIALOG)
    eventually(lambda: "waits" in tmux.screen(pane), "the text is drawn")
    seen = await server.look(pane)
    assert await server.press(pane, "x", seen, Landmark("text that waits", 2)) is None
    assert await server.press(pane, "x", seen, Landmark("another text", 1)) is None
    assert await server.press_enter(pane, seen, Landmark("text that waits", 1)) is not None
    eventually(lambda: "question" in tmux.screen(pane), "a dialog stands there", lambda: tmux.screen(pane))
    now = await server.look(pane)
    assert (now.cursor_x, now.cursor_y) == (seen.cursor_x, seen.cursor_y)
    here = msgspec.structs.replace(seen, command=now.command)
    assert await server.press_enter(pane, here, Landmark("text that waits", 1)) is None
    assert await server.give_return(pane, "f" * 32, here, Landmark("text that waits", 1)) is None
    assert await server.give_return(pane, "f" * 32, here, Landmark("question", 1)) is not None
    eventually(lambda: tmux.ask(pane, "#{cursor_y}") == "2", "only that reached it")


# A person at the keyboard.


async def test_a_key_that_a_person_pressed_in_a_pane_is_seen_there_alone(tmux: RealTmux, server: TmuxServer) -> None:
    pane = tmux.ask("dev:first", "#{pane_id}")
    tmux.run("split-window", "-d", "-t", pane, "cat")
    other = tmux.run("list-panes", "-t", "dev:first", "-F", "#{pane_id}").split()[1]
    assert (await server.look(pane)).typed == 0
    with terminal("tmux", "attach", "-t", "dev", home=tmux.home, environment=tmux.environment) as client:
        eventually(lambda: b"dev" in client.show(), "the client shows the session", client.show)
        came = await until_typed(server, pane, 0)
        assert (await server.look(other)).typed == 0
        eventually(lambda: time.time() > came + 1, "a second has passed")
        await server.paste(pane, "ours", "f" * 32, await server.look(pane), history=0)
        tmux.run("send-keys", "-t", pane, "ours")
        eventually(lambda: "oursours" in tmux.screen(pane), "both are echoed")
        assert (await server.look(pane)).typed == came
        client.type("k")
        pressed = await until_typed(server, pane, came)
        assert abs((await server.look(pane)).time - pressed) < 60
        assert (await server.look(other)).typed == 0


async def until_typed(server: TmuxServer, pane: str, before: int) -> int:
    """Wait until a pane was typed in later than before, and return when."""
    async with asyncio.timeout(10):
        while (typed := (await server.look(pane)).typed) <= before:
            pass
    return typed


async def test_a_mode_can_be_left(tmux: RealTmux, server: TmuxServer) -> None:
    pane = tmux.ask("dev:", "#{pane_id}")
    for command in ("copy-mode", "choose-tree"):
        tmux.run(command, "-t", pane)
    assert (await server.look(pane)).in_mode
    await server.leave_mode(pane)
    assert not (await server.look(pane)).in_mode


# Options.


async def test_the_options_of_a_pane_s_window_are_set_as_they_are(tmux: RealTmux, server: TmuxServer) -> None:
    pane = tmux.ask("dev:", "#{pane_id}")
    await server.set_window_options(pane, {"@agent-role": "-x; #{pane_id} 'q'", "@agent-scope": ""})
    assert tmux.run("show-options", "-wv", "-t", pane, "@agent-role") == "-x; #{pane_id} 'q'"


async def test_a_session_is_found_by_its_whole_name_alone(tmux: RealTmux, server: TmuxServer) -> None:
    await server.set_session_option("dev", "@agent-register", "off")
    assert tmux.run("show-options", "-v", "-t", "dev:", "@agent-register") == "off"
    for name in ("de", "d*", "nowhere"):
        with pytest.raises(PaneGone):
            await server.set_session_option(name, "@agent-register", "on")


def test_asking_starts_no_server(tmux: RealTmux) -> None:
    tmux.end()
    asked = subprocess.run(["tmux", "-uN", "list-panes", "-a"], env=tmux.environment, capture_output=True, check=False)
    assert asked.returncode != 0
    assert not tmux.socket.exists()
