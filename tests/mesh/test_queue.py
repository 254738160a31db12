"""Messages that wait, for a pane or a host, over crashes: in order, until their time is over or they are taken back."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from agentmesh.core.delivery import State
from agentmesh.core.model import Letter
from agentmesh.core.outcome import Handled
from tests.eventually import eventually
from tests.mesh.local import LocalHost

pytestmark = pytest.mark.tmux

CLAUDE = Path(__file__).parent / "programs" / "claude.py"

Pair = tuple[LocalHost, LocalHost]


class Box:
    """A pane with an input box, and what was submitted there."""

    def __init__(self, host: LocalHost, name: str) -> None:
        self.log = host.home / f"{name}.log"
        self.host = host
        self.address = f"{host.name}-dev-{name}"
        self.pane = host.open(name, sys.executable, CLAUDE, self.log, "plain")
        eventually(lambda: "❯" in host.tmux.screen(self.pane), "the box is drawn")

    @property
    def submitted(self) -> list[str]:
        """The bodies of the messages that it took."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line).partition("] ")[2].strip() for line in lines]

    def half_type(self) -> None:
        """Put a draft into it, so that it isn't ready."""
        self.host.tmux.run("send-keys", "-t", self.pane, "-l", "draft")
        eventually(lambda: "draft" in self.host.tmux.screen(self.pane), "the draft stands there")

    def clear(self) -> None:
        """Take the draft away."""
        self.host.tmux.run("send-keys", "-t", self.pane, *["BSpace"] * len("draft"))

    def has_taken(self, bodies: Sequence[str]) -> None:
        """Wait until it has taken these messages, each once, in this order."""
        eventually(lambda: self.submitted == list(bodies), f"it took {bodies}", lambda: (self.submitted, self.host.log))


def outbox(host: LocalHost, *words: str) -> list[Letter]:
    answer = host.run("agentmesh", "outbox", "--json", *words)
    return msgspec.json.decode(answer.stdout, type=list[Letter])


def waiting(host: LocalHost) -> list[str]:
    """Return what each message in a host's outbox waits for."""
    return [letter.receipt.readiness for letter in outbox(host)]


def is_stored(host: LocalHost, body: str) -> bool:
    """Tell whether a host's database has a message, without asking its agent."""
    with closing(sqlite3.connect(host.agents / "mesh.db")) as connection:
        rows = connection.execute("SELECT 1 FROM inbox WHERE instr(CAST(message AS TEXT), ?)", (body,))
        return rows.fetchone() is not None


# Waiting for a pane.


def test_a_message_waits_until_its_pane_is_ready(host: LocalHost) -> None:
    box = Box(host, "waits")
    box.half_type()
    sending = host.popen("notify-pane", box.address, "--wait=60", "later")
    eventually(lambda: waiting(host) == ["half-typed text"], "it waits", lambda: outbox(host))
    box.clear()
    assert sending.wait(60) == 0
    assert box.submitted == ["later"]
    assert outbox(host) == []


def test_a_message_whose_time_is_over_is_never_typed(host: LocalHost) -> None:
    box = Box(host, "late")
    box.half_type()
    late = host.notify(box.address, "--wait=1", "too late")
    assert late.returncode == 5
    assert "expired: half-typed text. Its time was over before the pane was ready." in late.stderr
    box.clear()
    assert host.notify(box.address, "in time").returncode == 0
    assert box.submitted == ["in time"]


def test_queued_messages_are_submitted_one_by_one_in_order(host: LocalHost) -> None:
    box = Box(host, "ordered")
    box.half_type()
    for number in range(4):
        queued = host.notify(box.address, "--queue", f"number {number}")
        assert (queued.returncode, queued.stderr) == (0, "")
        assert queued.stdout.startswith("queued → ")
    refused = host.notify(box.address, "now or never")
    assert refused.returncode == 3
    assert "Another message waits for it already." in refused.stderr
    box.clear()
    box.has_taken([f"number {number}" for number in range(4)])


def test_a_queued_message_for_a_ready_pane_is_delivered_at_once(host: LocalHost) -> None:
    box = Box(host, "ready")
    assert host.notify(box.address, "--queue", "right away").returncode == 0
    box.has_taken(["right away"])


def test_a_queue_survives_the_death_of_its_agent(fresh: LocalHost) -> None:
    fresh.start()
    box = Box(fresh, "crash")
    box.half_type()
    bodies = [f"number {number}" for number in range(3)]
    for body in bodies:
        fresh.notify(box.address, "--queue", body)
    fresh.kill()
    box.clear()
    fresh.start()
    box.has_taken(bodies)


def test_what_is_queued_without_an_agent_is_delivered_by_the_next(fresh: LocalHost) -> None:
    fresh.start()
    box = Box(fresh, "agentless")
    box.half_type()
    fresh.kill()
    queued = fresh.notify(box.address, "--queue", "for the next agent")
    assert (queued.returncode, queued.stdout[:7]) == (0, "queued ")
    box.clear()
    fresh.start()
    box.has_taken(["for the next agent"])


def test_more_than_a_queue_may_hold_is_refused(fresh: LocalHost) -> None:
    with (fresh.agents / "config.toml").open("a") as config:
        config.write("[queue]\nlongest = 2\npause = 0.0\n")
    fresh.start()
    box = Box(fresh, "full")
    box.half_type()
    codes = [fresh.notify(box.address, "--queue", f"number {number}").returncode for number in range(3)]
    assert codes == [0, 0, 3]
    box.clear()
    box.has_taken(["number 0", "number 1"])


def test_a_window_that_is_closed_and_opened_again_gets_what_waited_for_it(host: LocalHost) -> None:
    box = Box(host, "again")
    box.half_type()
    host.notify(box.address, "--queue", "for whoever is there")
    host.tmux.run("kill-pane", "-t", box.pane)
    eventually(lambda: box.address not in host.addresses(), "the window is gone")
    box = Box(host, "again")
    box.has_taken(["for whoever is there"])


def test_one_command_waits_for_several_panes(host: LocalHost) -> None:
    boxes = [Box(host, "several-a"), Box(host, "several-b")]
    for box in boxes:
        box.half_type()
    sending = host.popen("notify-pane", "*-several-*", "--wait=60", "to both")
    eventually(lambda: len(waiting(host)) == 2, "both wait", lambda: outbox(host))
    for box in reversed(boxes):
        box.clear()
    assert sending.wait(60) == 0
    assert [box.submitted for box in boxes] == [["to both"], ["to both"]]


# Taking back, trying again, looking.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_message_nobody_waits_for_any_more_is_taken_back(host: LocalHost, number: signal.Signals) -> None:
    box = Box(host, f"gone{number}")
    box.half_type()
    sending = host.popen("notify-pane", box.address, "--wait", "never mind")
    eventually(lambda: waiting(host) == ["half-typed text"], "it waits", lambda: outbox(host))
    sending.send_signal(number)
    sending.wait(30)
    eventually(lambda: outbox(host) == [], "it is taken back", lambda: outbox(host))
    box.clear()
    assert host.notify(box.address, "this one").returncode == 0
    assert box.submitted == ["this one"]


def test_ctrl_c_takes_back_what_waits_without_an_agent(fresh: LocalHost) -> None:
    fresh.start()
    box = Box(fresh, "interrupted")
    box.half_type()
    fresh.kill()
    sending = subprocess.Popen(
        ["notify-pane", box.address, "--wait", "never mind"], env=fresh.environment, stderr=subprocess.PIPE
    )
    eventually(lambda: is_stored(fresh, "never mind"), "it is stored")
    sending.send_signal(signal.SIGINT)
    assert "withdrawn" in sending.communicate(timeout=30)[1].decode()
    assert sending.returncode == 5
    box.clear()
    fresh.start()
    assert fresh.notify(box.address, "this one").returncode == 0
    assert box.submitted == ["this one"]


def test_the_outbox_lists_takes_back_and_sends_again(host: LocalHost) -> None:
    box = Box(host, "owed")
    box.half_type()
    assert host.notify(box.address, "refused").returncode == 3
    host.notify(box.address, "--queue", "waits")
    eventually(lambda: waiting(host) == ["half-typed text"], "it waits", lambda: outbox(host))
    listed = host.run("agentmesh", "outbox").stdout
    assert "stored: half-typed text" in listed
    assert "refused" not in listed
    (letter,) = outbox(host)
    assert "withdrawn" in host.run("agentmesh", "outbox", "drop", letter.message.id[:8]).stdout
    assert outbox(host) == []
    states = {letter.message.body: letter for letter in outbox(host, "--all") if letter.message.to == box.address}
    assert [states[body].receipt.state for body in ("refused", "waits")] == [State.REFUSED, State.WITHDRAWN]
    again = host.run("agentmesh", "outbox", "retry", states["refused"].message.id)
    assert "sent again as" in again.stdout
    told = host.run("agentmesh", "outbox", "drop", states["waits"].message.id[:12], "--json")
    (ended,) = msgspec.json.decode(told.stdout, type=list[Handled])
    assert (ended.id, ended.state) == (states["waits"].message.id, State.WITHDRAWN)
    told = host.run("agentmesh", "outbox", "retry", ended.id, "--json")
    (resent,) = msgspec.json.decode(told.stdout, type=list[Handled])
    assert resent.again in {letter.message.id for letter in outbox(host, "--all")}
    assert host.run("agentmesh", "outbox", "drop", resent.again).returncode == 0
    box.clear()
    box.has_taken(["refused"])


def test_an_unknown_or_short_id_is_an_error_with_a_remedy(host: LocalHost) -> None:
    for words in (("outbox", "drop", "ffffffff"), ("outbox", "retry", ""), ("inbox", "mark", "zz")):
        done = host.run("agentmesh", *words)
        assert done.returncode == 2, words
        assert "No one message has an id that begins with" in done.stderr


def test_the_inbox_shows_searches_and_marks_what_came_for_a_pane(host: LocalHost) -> None:
    box = Box(host, "letters")
    for body in ("about apples", "about pears"):
        assert host.notify(box.address, body).returncode == 0

    def bodies(*words: str) -> list[str]:
        answer = host.run("agentmesh", "inbox", "--pane", box.address, "--json", *words)
        return [letter.message.body for letter in msgspec.json.decode(answer.stdout, type=list[Letter])]

    assert bodies() == ["about apples", "about pears"]
    assert bodies("--search", "PEARS") == ["about pears"]
    shown = host.run("agentmesh", "inbox", "--pane", box.address).stdout
    assert "(submitted)" in shown
    letters = msgspec.json.decode(host.run("agentmesh", "inbox", "--json").stdout, type=list[Letter])
    (apples,) = [letter.message.id for letter in letters if letter.message.body == "about apples"]
    assert host.run("agentmesh", "inbox", "mark", apples[:12]).returncode == 0
    assert bodies("--unread") == ["about pears"]


def test_the_log_tells_how_a_message_ended_and_not_what_it_said(host: LocalHost) -> None:
    box = Box(host, "logged")
    receipt = host.receipt(box.address, "the words of it")
    eventually(lambda: receipt.id in host.run("agentmesh", "log", receipt.id).stdout, "it is logged")
    shown = host.run("agentmesh", "log", receipt.id).stdout
    assert f"text taken message={receipt.id} drawn_ms=" in shown
    assert f"message={receipt.id} to={box.address} state=submitted" in shown
    assert "the words of it" not in host.run("agentmesh", "log").stdout


# Over a link.


def test_messages_for_another_host_wait_there_in_order(pair: Pair) -> None:
    left, right = pair
    box = Box(right, "remote")
    box.half_type()
    eventually(lambda: box.address in left.addresses(), "left knows the pane")
    bodies = [f"number {number}" for number in range(3)]
    for body in bodies:
        assert left.notify(box.address, "--queue", body).returncode == 0
    eventually(lambda: waiting(left)[:1] == ["half-typed text"], "left knows why", lambda: outbox(left))
    box.clear()
    box.has_taken(bodies)
    eventually(lambda: outbox(left) == [], "left knows the ends", lambda: outbox(left))


def test_messages_for_a_host_that_is_down_leave_in_order_when_it_is_back(pair: Pair) -> None:
    left, right = pair
    box = Box(right, "down")
    eventually(lambda: box.address in left.addresses(), "left knows the pane")
    address = right.status().listening
    (right.agents / "config.toml").write_text(f'[listen]\naddress = "{address}"\n')
    right.kill()
    eventually(lambda: not left.all_up(), "the loss is seen")
    assert left.notify(box.address, "--wait=1", "too soon").returncode == 5
    bodies = [f"number {number}" for number in range(4)]
    for body in bodies:
        assert left.notify(box.address, "--queue", body).returncode == 0
    left.kill()
    left.start()
    assert [letter.message.body for letter in outbox(left)] == bodies
    right.start()
    left.asking.sync()
    box.has_taken(bodies)
    eventually(lambda: outbox(left) == [], "left knows the ends", lambda: outbox(left))


def test_a_message_that_waits_on_another_host_is_taken_back_there(pair: Pair) -> None:
    left, right = pair
    box = Box(right, "back")
    box.half_type()
    eventually(lambda: box.address in left.addresses(), "left knows the pane")
    left.notify(box.address, "--queue", "never mind")
    eventually(lambda: waiting(left) == ["half-typed text"], "it waits there", lambda: outbox(left))
    (letter,) = outbox(left)
    assert "withdrawn" in left.run("agentmesh", "outbox", "drop", letter.message.id).stdout
    box.clear()
    assert left.notify(box.address, "this one").returncode == 0
    assert box.submitted == ["this one"]
