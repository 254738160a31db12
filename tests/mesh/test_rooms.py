"""Where sessions run: in workspaces, which they can't leave by tmux; in windows and panes that show who is in them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agentmesh.adapters.tmux_panes import MOST_PANES
from agentmesh.core.color import color_of
from tests.eventually import eventually
from tests.mesh.local import LocalHost
from tests.mesh.sessions import furnish, session, status

pytestmark = pytest.mark.tmux
CREATE = ("create", "x", "--program", "plain")
IDENTITY = 'identity = ["/rename {name}", "/color {color}"]'


@pytest.fixture(scope="module")
def host(root: Path) -> Iterator[LocalHost]:
    host = LocalHost("solo", root)
    furnish(host, ["plain"])
    furnish(host, ["named", "deaf"], IDENTITY)
    try:
        host.start()
        yield host
    finally:
        for socket in set(host.tmux.socket.parent.iterdir()) - {host.tmux.socket}:
            subprocess.run(["tmux", "-S", socket, "kill-server"], capture_output=True, check=False)
        host.end()


def say(host: LocalHost, server: str, pane: str, command: str) -> str:
    """Have the shell in a pane run a command; return what that prints."""
    output, done = host.home / "said", host.home / "said.done"
    done.unlink(missing_ok=True)
    line = f"{{ {command}\n}} > {output} 2>&1; touch {done}"
    host.tmux.run("-L", server, "send-keys", "-t", pane, "-l", line)
    host.tmux.run("-L", server, "send-keys", "-t", pane, "Enter")
    eventually(done.exists, f"{command} has ended", lambda: host.tmux.run("-L", server, "capture-pane", "-pt", pane))
    return output.read_text()


def is_told(host: LocalHost, name: str, beginning: str) -> bool:
    """Tell whether what a session was told last begins so."""
    return "".join(told(host, name)[-1:]).startswith(beginning)


def told(host: LocalHost, name: str) -> list[str]:
    """Return what the program of a session was told."""
    conversation = status(host, name)["argv"][-1]
    found = list((host.home / ".claude").rglob(f"{conversation}.jsonl"))
    return [json.loads(line)["text"] for file in found for line in file.read_text().splitlines()]


def sessions(host: LocalHost, server: str) -> set[str]:
    """Return the names of a tmux server's sessions."""
    return set(host.tmux.run("-L", server, "list-sessions", "-F", "#{session_name}").split())


def test_a_program_stays_in_its_workspace_and_ends_no_other_server(host: LocalHost) -> None:
    session(host, "create", "boss", "--program", "shell", "--workspace", "api")
    boss = status(host, "boss")
    assert (boss["server"], boss["workspace"], boss["address"]) == ("api", "api", "solo-boss-sh")
    folder = host.agents / "tmux-workspaces"
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, folder / "api", folder / "api" / "tmux")] == [
        "0o700"
    ] * 3
    pane, default = boss["pane"], host.tmux.socket
    place = f"{default.parent / 'api'} {pane} api"
    asked = (
        "tmux display-message -p '#{socket_path} #{pane_id}' \"$TMUX_SERVER_NAME\"; echo $TMUX_SERVER_NAME $TMUX_PANE"
    )
    assert say(host, "api", pane, asked).split("\n")[-2] == f"api {pane}"
    assert (
        say(host, "api", pane, "tmux display-message -p '#{socket_path} #{pane_id}' | tr '\\n' ' '; printf api")
        == place
    )

    # No socket that it names, and no missing $TMUX, gets it to another server; nor what it opens.
    for leaving in ("-L default", f"-S {default}", f"-uL default -S{default}"):
        say(host, "api", pane, f"tmux {leaving} new-session -d -s 'inner;{len(sessions(host, 'api'))}' sh")
    say(host, "api", pane, "env -u TMUX tmux new-session -d -s outer sh")
    assert sessions(host, "default") == {"dev"}
    assert sessions(host, "api") == {"boss", "inner;1", "inner;2", "inner;3", "outer"}
    assert say(host, "api", "outer", "tmux -L default display-message -p '#{session_name}'") == "outer\n"

    # What it creates with our own command is there, too, unless it says otherwise.
    create = "agentmesh session create"
    created = say(host, "api", pane, f"{create} nested --program plain")
    say(host, "api", pane, f"{create} free --program shell --workspace default")
    assert "plain is ready in solo-nested-plain" in created
    assert (status(host, "nested")["server"], status(host, "free")["server"]) == ("api", "default")
    assert say(host, "default", status(host, "free")["pane"], "echo ${TMUX_SERVER_NAME-none}; command -v tmux") == (
        "none\n" + subprocess.run(["sh", "-c", "command -v tmux"], capture_output=True, text=True, check=True).stdout
    )

    say(host, "api", pane, f"{create} third --program shell --workspace ui")
    third = status(host, "third")["pane"]
    assert (
        say(host, "ui", third, "echo $TMUX_SERVER_NAME; tmux -L api list-sessions -F '#{session_name}'")
        == "ui\nthird\n"
    )
    shims = [part for part in say(host, "ui", third, "echo $PATH").split(":") if "tmux-workspaces" in part]
    assert shims == [f"{folder}/ui"]

    # Other panes reach it, after a restart of the agent, too, and be that in a workspace.
    path = host.environment["PATH"]
    for word in ("before", "after"):
        notify = Path(sys.executable).with_name("notify-pane")
        host.tmux.new_window(word, "sh", "-c", f"{notify} --wait=20s nested {word}-the-restart; exec cat")
        eventually(partial(is_told, host, "nested", f"[from solo-dev-{word} @ "), "it is told", lambda: host.log)
        host.kill()
        host.environment["PATH"] = f"{folder}/api:{path}"
        host.start()
    host.environment["PATH"] = path
    assert status(host, "nested")["alive"]

    host.tmux.run("-L", "api", "send-keys", "-t", pane, "tmux -L default kill-server", "Enter")
    eventually(lambda: status(host, "nested")["status"] == "terminated", "its end is noticed", lambda: host.log)
    assert {"dev", "free"} <= sessions(host, "default")
    eventually(lambda: "solo-nested-plain" not in host.addresses(), "its pane is gone", host.addresses)

    session(host, "resume", "nested")
    back = status(host, "nested")
    assert (back["server"], back["workspace"], back["address"]) == ("api", "api", "solo-nested-plain")
    assert told(host, "nested")[-1].endswith("after-the-restart")
    session(host, "resume", "boss")
    again = say(host, "api", status(host, "boss")["pane"], "tmux -L default list-sessions -F '#{session_name}'")
    assert set(again.split()) == {"boss", "nested"}


def test_a_workspace_has_no_hostile_name(host: LocalHost) -> None:
    before = sorted((host.agents / "tmux-workspaces").rglob("*"))
    for name in ("../up", "a b", "a;b", "a/b", "$(touch hacked)"):
        assert "letters, digits" in session(host, *CREATE, "--workspace", name, code=1).stderr
    variable = host.run("agentmesh", "session", *CREATE, environment={"TMUX_SERVER_NAME": "/run/other"})
    assert (variable.returncode, "letters, digits" in variable.stderr) == (1, True)
    elsewhere = session(host, *CREATE, "--workspace", "api", "--split", "solo-dev-first", code=1)
    assert "another tmux server" in elsewhere.stderr
    assert "No such tmux session" in session(host, *CREATE, "--window", "dev;", code=2).stderr
    assert sorted((host.agents / "tmux-workspaces").rglob("*")) == before
    assert not (host.home / "hacked").exists()
    host.tmux.run("new-session", "-d", "-s", "odd; $(touch hacked)\\;", "cat")
    session(host, "create", "odd", "--program", "shell", "--window", "odd; $(touch hacked);")
    assert status(host, "odd")["tmux_session"] == "odd; $(touch hacked);"
    session(host, "stop", "odd")
    assert not (host.home / "hacked").exists()


def test_a_window_that_is_split_keeps_its_main_pane_and_shows_who_is_in_it(host: LocalHost) -> None:
    main = host.open("split", "cat")
    host.tmux.run("new-window", "-d", "-t", "dev:", "-n", "other", "cat")
    roles = {"s1": "reviewer", "s2": "#[fg=red]#(touch hacked); 'x'", "s3": ""}
    for name, role in roles.items():
        session(host, "create", name, "--program", "shell", "--split", "solo-dev-split", "--role", role)
    facts = "#{pane_id} #{pane_left} #{pane_top} #{pane_width} #{pane_height}"
    rows = [row.split() for row in host.tmux.run("list-panes", "-t", main, "-F", facts).splitlines()]
    (first, left, _, width, height), *others = rows
    assert (first, left, int(height)) == (main, "0", 29)
    assert {pane for pane, *_ in others} == {status(host, name)["pane"] for name in roles}
    assert {(int(left), int(wide)) for _, left, _, wide, _ in others} == {(int(width) + 1, 99 - int(width))}
    assert max(int(high) for *_, high in others) - min(int(high) for *_, high in others) <= 1

    for name, role in roles.items():
        pane = status(host, name)["pane"]
        assert host.tmux.ask(pane, "#{pane_title}") == name
        assert host.tmux.ask(pane, "#{allow-rename}") == "0"
        border = host.tmux.ask(pane, "#{E:pane-border-format}")
        shown = role.replace("#", "##")
        assert border == f"#[fg={color_of(role or 'sh')}] {name} {shown} #[default]"
    assert host.tmux.ask(main, "#{E:pane-border-format}#{pane-border-status}") == "top"
    assert host.tmux.ask("dev:other", "#{pane-border-status}") == "off"
    assert not (host.home / "hacked").exists()

    # It stays as it was laid out last, until that is said again.
    session(host, "create", "s4", "--program", "shell", "--split", "s1", "--layout", "main-horizontal")
    session(host, "create", "s5", "--program", "shell", "--split", "s1")
    rows = [row.split() for row in host.tmux.run("list-panes", "-t", main, "-F", facts).splitlines()]
    assert (rows[0][0], rows[0][1], rows[0][3]) == (main, "0", "100")
    assert len({top for _, _, top, _, _ in rows[1:]}) == 1

    # Whatever way the last one goes, the window is as it was before.
    for name in ("s1", "s2", "s3", "s4"):
        session(host, "stop", name)
    assert host.tmux.ask(main, "#{pane-border-status}") == "top"
    os.kill(status(host, "s5")["pid"], 9)
    eventually(lambda: host.tmux.ask(main, "#{pane-border-status}") == "off", "the border goes", lambda: host.log)
    session(host, "create", "s6", "--program", "shell", "--split", "solo-dev-split")
    assert host.tmux.ask(main, "#{pane-border-status}") == "top"
    session(host, "stop", "s6")
    assert host.tmux.ask(main, "#{pane-border-status}") == "off"


def test_a_border_of_the_users_own_stays(host: LocalHost) -> None:
    main = host.open("own", "cat")
    host.tmux.run("set-option", "-w", "-t", main, "pane-border-status", "bottom")
    host.tmux.run("set-option", "-w", "-t", main, "pane-border-format", "mine")
    session(host, "create", "guest", "--program", "shell", "--split", "solo-dev-own")
    session(host, "stop", "guest")
    assert host.tmux.ask(main, "#{pane-border-status} #{pane-border-format}") == "bottom mine"


def test_a_window_that_is_full_is_left_as_it_was(host: LocalHost) -> None:
    main = host.open("full", "cat")
    for _ in range(MOST_PANES - 1):
        host.tmux.run("split-window", "-d", "-t", main, "cat")
        host.tmux.run("select-layout", "-t", main, "tiled")
    before = host.tmux.ask(main, "#{window_layout}")
    done = session(host, *CREATE, "--split", "solo-dev-full.0", code=1)
    assert f"{MOST_PANES} are the most" in done.stderr
    assert "--window" in done.stderr
    assert host.tmux.ask(main, "#{window_layout} #{pane-border-status}") == f"{before} off"

    tiny = host.open("tiny", "cat")
    host.tmux.run("resize-window", "-t", tiny, "-x", "2", "-y", "2")
    assert "too small" in session(host, *CREATE, "--split", "solo-dev-tiny", code=1).stderr
    assert host.tmux.ask(tiny, "#{window_panes} #{pane-border-status}") == "1 off"
    assert "No session" in session(host, "status", "x", code=2).stderr
    assert "--split" in session(host, *CREATE, "--layout", "main-vertical", code=1).stderr


def test_a_program_is_told_who_it_is_in_order_and_once(host: LocalHost) -> None:
    window = ("--window", "dev", "--role", "reviewer")
    done = session(host, "create", "ann", "--program", "named", *window, "--prompt", "begin")
    assert done.stderr == ""
    eventually(lambda: len(told(host, "ann")) == 3, "it is told all", lambda: told(host, "ann"))
    rename, color, prompt = told(host, "ann")
    assert [rename.strip(), color.strip()] == ["/rename ann", f"/color {color_of('reviewer')}"]
    assert prompt.endswith("begin")
    pane = status(host, "ann")["pane"]
    assert host.tmux.ask(pane, "#{window_name} #{pane-border-status}") == "ann top"
    session(host, "stop", "ann")
    session(host, "resume", "ann")
    assert len(told(host, "ann")) == 3
    assert host.tmux.ask(status(host, "ann")["pane"], "#{window_name} #{pane-border-status}") == "ann top"
    session(host, "stop", "ann")


def test_a_command_that_is_not_taken_is_said_and_not_repeated(host: LocalHost) -> None:
    done = session(host, "create", "eve", "--program", "deaf", "--window", "dev")
    assert "eve is ready, but /rename eve is uncertain" in done.stderr
    screen = host.tmux.screen(status(host, "eve")["pane"])
    assert (screen.count("/rename"), screen.count("/color")) == (1, 0)
    session(host, "stop", "eve", "--force")
