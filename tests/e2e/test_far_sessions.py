"""Sessions of other hosts: created, watched, stopped and resumed over ssh, though the network is cut or a host dies."""

import json
import shlex

import pytest

from tests.e2e.hosts import Host, Network
from tests.e2e.mesh import make_mesh, open_window, screen, start_agent
from tests.e2e.sessions import furnish, record, session
from tests.eventually import eventually

pytestmark = [pytest.mark.hosts, pytest.mark.tmux]
WORKER = ("--host", "worker-1")


@pytest.fixture(scope="module")
def hosts(network: Network) -> list[Host]:
    return make_mesh(network, ["hub", "worker-1"], furnish)


def test_a_session_of_another_host_lives_as_one_of_this_host_does(hub: Host, worker: Host) -> None:
    folder = "it's a; $(folder)"
    worker.outside(folder).mkdir()
    text = 'say "it\'s"; $(touch hacked)\nand `this`'
    hub.outside("prompt.txt").write_text(text)
    arguments = ["two words", "$(touch hacked);", "", "ends;", "two\nlines", 'it\'s "quoted"', "--host", "-", "--", "é"]
    done = session(
        hub,
        *("create", "far", *WORKER, "--program", "plain", "--cwd", folder, "--role", 'it\'s; a "role"'),
        *("--prompt", "prompt.txt", "--", *arguments),
    )
    assert "far: plain is ready in worker-1-far-plain" in done.stdout
    assert "welcome" not in done.stdout
    assert json.loads(worker.outside(folder).joinpath("arguments.json").read_text()) == arguments
    assert not list(worker.outside(".").rglob("hacked"))
    known = worker.run("tmux", "show-environment", "-g").stdout
    assert "PATH=" in known
    assert "AGENT_NAME" not in known  # the name of who has begun it isn't the program's
    eventually(lambda: record(hub, "far", *WORKER)["conversation"], "its conversation is recorded")
    before = record(worker, "far")
    assert before == record(hub, "far", *WORKER)
    assert (before["cwd"], before["role"]) == (str(worker.home / folder), 'it\'s; a "role"')
    (log,) = worker.outside(".claude").rglob(f"{before['conversation']}.jsonl")
    said = json.loads(log.read_text())["text"]
    assert said.startswith("[from hub @ ")
    assert said.rstrip().endswith(text)

    session(hub, "create", "near", "--host", "hub", "--program", "shell")
    peers = hub.outside(".agents/peers.conf")
    peers.write_text(f"{peers.read_text()}nowhere\n")
    told = {one["host"]: one for one in json.loads(session(hub, "status", "--json").stdout)["hosts"]}
    names = {host: [one["session"]["name"] for one in told[host]["sessions"]] for host in told}
    assert names == {"hub": ["near"], "worker-1": ["far"], "nowhere": []}
    assert [bool(told[host]["reason"]) for host in ("hub", "worker-1", "nowhere")] == [False, False, True]
    (alone,) = json.loads(session(hub, "status", "--host", ".", "--json").stdout)["hosts"]
    assert alone["host"] == "hub"
    table = session(hub, "status").stdout
    assert all(" ".join(words) in " ".join(table.split()) for words in (("hub", "near"), ("worker-1", "far")))
    assert "nowhere can't be asked over ssh" in table
    peers.write_text("worker-1\n")

    assert "stopped by exit-command" in session(hub, "stop", "far", *WORKER).stdout
    refused = session(hub, "stop", "far", *WORKER, code=1).stderr
    assert "is stopped" in refused
    assert "takes `--host worker-1` here" in refused
    session(hub, "resume", "far", *WORKER)
    back = record(hub, "far", *WORKER)
    assert (back["status"], back["conversation"]) == ("running", before["conversation"])
    assert json.loads(worker.outside(folder).joinpath("arguments.json").read_text()) == arguments
    assert "welcome" not in session(hub, "reconcile", "--once", *WORKER).stdout
    session(hub, "stop", "near")
    session(hub, "archive", "near", "--host", ".")


def test_what_keeps_another_host_from_it_is_said(hub: Host, worker: Host) -> None:
    unknown = session(hub, "stop", "far", "--host", "nowhere", code=4)
    assert "Could not resolve hostname" in unknown.stderr
    assert "nothing was done there: ssh failed. See what `ssh -o BatchMode=yes nowhere true` says" in unknown.stderr
    assert "no SSH alias" in session(hub, "stop", "far", "--host", "-oProxyCommand=touch hacked", code=1).stderr
    assert "no SSH alias" in session(hub, "attach", "far", "--host", "$(reboot)", code=1).stderr
    assert "No session" in session(hub, "attach", "$(touch hacked)", *WORKER, code=2).stderr
    assert session(hub, "status", "none", *WORKER, code=2).stderr.startswith("agentmesh: No session")
    assert "claude, codex" in session(hub, "create", "x", "--program", "none", *WORKER, code=2).stderr
    python = hub.run("sh", "-c", "command -v python").stdout.strip()
    bare = ("env", "PATH=/nowhere", python, "-m", "agentmesh", "session", "status", "far", *WORKER)
    assert "no program called ssh" in hub.run(*bare, check=False).stderr
    launcher = worker.outside(".agents/bin/agentmesh")
    launcher.rename(launcher.with_name("aside"))
    try:
        assert "`agentmesh setup worker-1` installs it" in session(hub, "stop", "far", *WORKER, code=4).stderr
    finally:
        launcher.with_name("aside").rename(launcher)
    assert not list(hub.outside(".").rglob("hacked"))


def test_a_session_is_looked_at_from_a_terminal_from_within_tmux_and_from_another_host(hub: Host) -> None:
    session(hub, "create", "own", "--program", "shell")
    pane = record(hub, "own")["pane"]
    hub.run("tmux", "send-keys", "-t", pane, "clear; echo this is the 'session'", "Enter")

    def look(window: str, command: str) -> None:
        """Run a command in a terminal that belongs to another tmux server."""
        exists = hub.run("tmux", "-L", "outer", "has-session", check=False).returncode == 0
        begin = ["new-window"] if exists else ["new-session", "-x", "120", "-y", "40"]
        shown = f"env -u TMUX {command}; echo ended with $?; cat"
        hub.run("tmux", "-L", "outer", *begin, "-d", "-n", window, "sh", "-c", shown)

    def outer(window: str) -> str:
        return hub.run("tmux", "-L", "outer", "capture-pane", "-p", "-t", window).stdout

    def sees(window: str, text: str) -> None:
        eventually(lambda: text in outer(window), f"{window} shows {text}", lambda: outer(window))

    def detach(window: str) -> None:
        hub.run("tmux", "-L", "outer", "send-keys", "-t", window, "C-b", "d")
        sees(window, "ended with 0")

    look("terminal", "agentmesh session attach own")
    sees("terminal", "this is the session")
    detach("terminal")

    open_window(hub, "dev", "asking", "bash --norc")
    look("inside", "tmux attach-session -t dev")
    sees("inside", "dev")
    hub.run("tmux", "send-keys", "-t", "dev:asking", "agentmesh session attach own", "Enter")
    sees("inside", "this is the session")
    detach("inside")

    far = record(hub, "far", *WORKER)
    look("far", shlex.join(["agentmesh", "session", "attach", "far", *WORKER]))
    sees("far", "? for shortcuts")
    detach("far")
    assert record(hub, "far", *WORKER)["pid"] == far["pid"]
    hub.run("tmux", "-L", "outer", "kill-server")


def test_after_a_cut_in_the_middle_it_is_not_known_and_then_told_as_it_is(
    network: Network, hub: Host, worker: Host
) -> None:
    gate = worker.outside("go")
    gate.touch()
    for name in ("ending", "back"):
        worker.outside(name).mkdir()
        session(hub, "create", name, *WORKER, "--program", "held", "--cwd", name, "--prompt", "-", stdin="hello")
    session(hub, "stop", "back", *WORKER)
    gate.unlink()
    worker.outside("begun").mkdir()
    doing = [
        hub.start("agentmesh", "session", *words, *WORKER)
        for words in (
            ("create", "begun", "--program", "held", "--cwd", "begun"),
            ("resume", "back"),
            ("stop", "ending"),
        )
    ]
    names = ("begun", "back")
    eventually(lambda: all(f" {name} " in session(worker, "status").stdout for name in names), "both have begun")
    eventually(lambda: record(worker, "back")["status"] == "running", "one is being resumed")
    eventually(worker.outside("ending/leaving").exists, "one was told to end")
    network.cut("worker-1")
    try:
        for program in doing:
            program.wait(60)
            assert program.returncode == 7, program.output.read_text()
            assert "`agentmesh session status --host worker-1`" in program.output.read_text()
    finally:
        network.mend("worker-1")
        gate.touch()
    for name in names:
        eventually(
            lambda name=name: record(hub, name, *WORKER)["readiness"] == "empty input box",  # type: ignore[misc]
            f"{name} is ready",
            network.diagnose,
        )
    eventually(lambda: record(hub, "ending", *WORKER)["status"] == "stopped", "the other has ended", network.diagnose)
    assert "begun exists" in session(hub, "create", "begun", "--program", "held", *WORKER, code=1).stderr
    assert "back is running" in session(hub, "resume", "back", *WORKER, code=1).stderr
    assert "ending is stopped" in session(hub, "stop", "ending", *WORKER, code=1).stderr
    session(hub, "resume", "ending", *WORKER)
    session(hub, "stop", "begun", *WORKER)
    session(hub, "archive", "begun", *WORKER)


def test_the_sessions_of_a_host_that_died_come_back_with_their_conversations(hub: Host, worker: Host) -> None:
    names = ("far", "ending", "back")
    before = {name: record(worker, name) for name in names}
    assert all(found["conversation"] for found in before.values())
    worker.run("sh", "-c", "kill -KILL -1")
    assert "ssh failed" in session(hub, "resume", "--all", *WORKER, code=4).stderr
    worker.start_sshd()
    told = session(worker, "status", code=4).stdout
    assert "worker-1: No agent runs here" in told
    assert "hub-own" in told
    start_agent(worker)
    eventually(lambda: {record(worker, name)["status"] for name in names} == {"terminated"}, "their end is noticed")
    session(hub, "resume", "--all", *WORKER)
    for name in names:
        back = record(hub, name, *WORKER)
        assert (back["status"], back["alive"]) == ("running", True)
        assert (back["address"], back["conversation"]) == (before[name]["address"], before[name]["conversation"])
    assert "hello" in screen(worker, record(worker, "ending")["pane"])
