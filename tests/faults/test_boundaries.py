"""Kill an agent between any two steps of a message's life: nothing is lost, comes twice, or is told wrongly.

The steps are those that a message was seen to pass through, so that a new one is covered by itself.
"""

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from agentmesh.core.delivery import State, is_end
from tests.eventually import eventually
from tests.faults.hosts import MortalHost, Program

pytestmark = pytest.mark.tmux

SUCCESS = {State.SUBMITTED, State.DISPLAYED}
NUMBERS = itertools.count(1)


class Scene:
    """A sending host, the pane's host, which may be the same, and the pane."""

    def __init__(self, sender: MortalHost, program: Program) -> None:
        self.sender = sender
        self.program = program
        assert isinstance(program.host, MortalHost)
        self.receiver = program.host

    def steps_of(self, victim: MortalHost, *words: str) -> list[str]:
        """Return the steps that a message passes through on a host, from its beginning to its end."""
        victim.list_steps()
        body = self._body("clean")
        assert self.sender.notify(self.program.address, *words, body).returncode == 0
        self._until_ended(body)
        victim.forget_plan()
        return [step for step in victim.steps if step.startswith("after") or step == victim.steps[0]]

    def strike(self, victim: MortalHost, step: str, *words: str) -> None:
        """Kill an agent at a step of a message, start it again, and see that what is told of the message is true."""
        body, later = self._body("struck"), self._body("later")
        victim.plan("kill", step)
        sent = self.sender.notify(self.program.address, *words, body)
        self._until_met(victim, step, body)
        if not victim.forget_plan():
            eventually(lambda: victim.is_dead, "the agent dies")
            victim.start()
        assert self.sender.notify(self.program.address, "--queue", later).returncode == 0
        self._until_ended(body, later)
        told = self.sender.owed(body)
        times = self.program.got.count(body)
        facts = f"{step} on {victim.name}: told {told}, got {times}, exit code {sent.returncode}; {self._scene(body)}"
        if told is None:
            assert (times, sent.returncode) == (0, 7), facts
        elif told.state in SUCCESS:
            assert times == 1, facts
        else:
            assert times <= (told.state is State.UNCERTAIN), facts
        if sent.returncode == 0 and "--queue" not in words:
            assert times == 1, facts
        if told is not None and "--queue" in words:
            assert told.state in {*SUCCESS, State.UNCERTAIN}, facts
        after = self.sender.owed(later)
        assert after is not None
        assert (after.state, self.program.got[-1], self.program.got.count(later)) == (State.SUBMITTED, later, 1), facts

    def strike_tmux(self, step: str) -> None:
        """Kill the tmux server at a step of a message, and start it again with the same windows."""
        host, body, later = self.receiver, self._body("struck"), self._body("later")
        host.plan("stop", step)
        sending = host.popen("notify-pane", self.program.address, "--queue", body)
        self._until_met(host, step, body)
        has_halted = not host.forget_plan()
        host.crash_tmux()
        if has_halted:
            host.go_on()
        assert sending.wait(30) in {0, 7}
        host.begin_session()
        self.program.open()
        assert self.sender.notify(self.program.address, "--queue", later).returncode == 0
        self._until_ended(body, later)
        told, times = host.owed(body), self.program.got.count(body)
        facts = f"tmux died {step}: told {told}, got {times}; {self._scene(body)}"
        assert told is not None, facts
        assert told.state in {State.SUBMITTED, State.UNCERTAIN}, facts
        assert times == 1 if told.state is State.SUBMITTED else times <= 1, facts
        assert self.program.got[-1] == later, facts

    def _body(self, what: str) -> str:
        return f"{what} {next(NUMBERS)} of {self.sender.name}"

    def _until_met(self, victim: MortalHost, step: str, body: str) -> None:
        """Wait until an agent has come to a step, or the message, on another way this time, to its end."""
        eventually(
            lambda: victim.has_met_its_plan or self._has_ended(body),
            f"{victim.name} comes to {step}",
            lambda: self._scene(body),
        )

    def _has_ended(self, body: str) -> bool:
        receipt = self.sender.owed(body)
        return receipt is not None and is_end(receipt.state)

    def _until_ended(self, *bodies: str) -> None:
        """Wait until messages have ended, and clear away what a crash has left in the pane, as a person would."""
        eventually(
            lambda: all(self._is_settled(body) for body in bodies) or self._clear_away(bodies),
            f"{bodies} end",
            lambda: self._scene(bodies[0]),
            seconds=30,
        )

    def _is_settled(self, body: str) -> bool:
        return self.sender.owed(body) is None or self._has_ended(body)

    def _clear_away(self, bodies: Sequence[str]) -> bool:
        receipt = self.sender.owed(bodies[0])
        is_left = bodies[0] in self.receiver.tmux.screen(self.program.pane) and bodies[0] not in self.program.got
        if receipt is not None and receipt.state is State.UNCERTAIN and is_left:
            self.program.clear()
            eventually(
                lambda: bodies[0] not in self.receiver.tmux.screen(self.program.pane).splitlines()[-1], "it is gone"
            )
        return False

    def _scene(self, body: str) -> object:
        receipt = self.sender.owed(body)
        screen = self.receiver.tmux.screen(self.program.pane)
        return "\n".join(map(str, (receipt, self.program.got[-3:], screen, self.sender.log, self.receiver.log)))


@pytest.fixture(scope="module")
def alone(root: Path) -> Iterator[MortalHost]:
    host = MortalHost("alone", root)
    try:
        host.start()
        yield host
    finally:
        host.end()


def strike_everywhere(scene: Scene, victim: MortalHost, *words: str) -> None:
    steps = scene.steps_of(victim, *words)
    assert len(steps) > 3
    for step in steps:
        scene.strike(victim, step, *words)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("reader", ["--queue"]),
        ("reader", []),
        ("box", ["--queue"]),
        pytest.param("box", [], marks=pytest.mark.soak),
    ],
)
def test_a_message_survives_its_agent_at_every_step_on_one_host(alone: MortalHost, kind: str, words: list[str]) -> None:
    strike_everywhere(Scene(alone, Program(alone, f"{kind}{next(NUMBERS)}", kind)), alone, *words)


@pytest.mark.parametrize(
    ("victim", "kind", "words"),
    [
        (0, "reader", ["--queue"]),
        (1, "reader", ["--queue"]),
        (1, "reader", []),
        pytest.param(0, "reader", [], marks=pytest.mark.soak),
        pytest.param(0, "box", ["--queue"], marks=pytest.mark.soak),
        pytest.param(1, "box", ["--queue"], marks=pytest.mark.soak),
        pytest.param(0, "box", [], marks=pytest.mark.soak),
        pytest.param(1, "box", [], marks=pytest.mark.soak),
    ],
)
def test_a_message_survives_either_agent_at_every_step_between_two_hosts(
    two: tuple[MortalHost, MortalHost], victim: int, kind: str, words: list[str]
) -> None:
    sender, receiver = two
    program = Program(receiver, f"{kind}{next(NUMBERS)}", kind)
    eventually(lambda: program.address in sender.addresses(), "the sender knows the pane")
    strike_everywhere(Scene(sender, program), two[victim], *words)


def test_what_waits_survives_the_death_of_tmux_at_every_step(alone: MortalHost) -> None:
    program = Program(alone, "lost", "reader")
    scene = Scene(alone, program)
    for step in scene.steps_of(alone, "--queue"):
        scene.strike_tmux(step)


# What the strikes above have brought to light, each by itself.


def test_a_command_told_uncertain_is_followed_by_the_truth_in_the_outbox(two: tuple[MortalHost, MortalHost]) -> None:
    sender, receiver = two
    program = Program(receiver, "truth", "reader")
    eventually(lambda: program.address in sender.addresses(), "the sender knows the pane")
    receiver.plan("kill", "after inbox.advance pasted take 1")
    sent = sender.notify(program.address, "taken, and never told")
    assert sent.returncode == 7
    told = sender.owed("taken, and never told")
    assert told is not None
    assert told.state is State.UNCERTAIN
    receiver.start()

    def learnt() -> bool:
        receipt = sender.owed("taken, and never told")
        return receipt is not None and receipt.state is State.SUBMITTED

    eventually(learnt, "the sender learns that it was taken", lambda: sender.log, seconds=30)
    assert program.got == ["taken, and never told"]


def test_what_is_sent_without_an_agent_goes_behind_what_waits(alone: MortalHost) -> None:
    program = Program(alone, "behind", "reader")
    program.half_type()
    assert alone.notify(program.address, "--queue", "first").returncode == 0
    alone.kill()
    program.clear()
    try:
        assert alone.notify(program.address, "--queue", "second").returncode == 0
        assert program.got == ["first", "second"]
    finally:
        alone.start()


@pytest.mark.parametrize("step", ["pasting see", "stored paste"])
def test_a_message_that_is_stored_is_uncertain_when_the_disk_fails(alone: MortalHost, step: str) -> None:
    program = Program(alone, f"full-{step[:6]}", "reader")
    alone.plan("stop", f"before inbox.advance {step} 1")
    sending = alone.popen("notify-pane", program.address, "pasted")
    eventually(lambda: alone.has_met_its_plan, "it is stored, and perhaps typed")
    with closing(sqlite3.connect(alone.agents / "mesh.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        alone.go_on()
        assert sending.wait(30) == 7
