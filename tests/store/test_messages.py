"""The outbox and the inbox: a message's life on disk. Slices and epochs beside them."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agentmesh.core.address import Address
from agentmesh.core.delivery import Event, IllegalEvent, State
from agentmesh.core.identity import UNSIGNED, Seal
from agentmesh.core.model import HERE, Letter, Message, Origin
from agentmesh.core.wire import slice_text
from agentmesh.store import inbox, outbox, retention, slices
from agentmesh.store.migrations import migrate
from tests.core.examples import NOW, a_message, a_pane, a_receipt, a_slice


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "mesh.db", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


def owed(connection: sqlite3.Connection) -> list[Message]:
    return [letter.message for letter in outbox.listed(connection)]


def in_inbox(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT id, state FROM inbox").fetchall()


# The outbox.


def test_an_accepted_message_is_owed_until_its_end(connection: sqlite3.Connection) -> None:
    receipts = [outbox.accept(connection, a_message(number)) for number in (2, 1)]
    assert [receipt.state for receipt in receipts] == [State.ACCEPTED] * 2
    assert owed(connection) == [a_message(2), a_message(1)]
    outbox.record(connection, a_receipt(2, State.STORED))
    assert owed(connection) == [a_message(2), a_message(1)]
    outbox.record(connection, a_receipt(2, State.SUBMITTED, note="by file"))
    assert owed(connection) == [a_message(1)]
    assert outbox.find(connection, a_message(2).id) == a_receipt(2, State.SUBMITTED, note="by file")


def test_a_message_is_accepted_once(connection: sqlite3.Connection) -> None:
    outbox.accept(connection, a_message())
    with pytest.raises(sqlite3.IntegrityError):
        outbox.accept(connection, a_message(body="another"))
    assert owed(connection) == [a_message()]


def test_a_host_speaks_for_its_own_messages_alone(connection: sqlite3.Connection) -> None:
    outbox.accept(connection, a_message())
    outbox.record(connection, a_receipt(state=State.SUBMITTED, host="liar"))
    outbox.record(connection, a_receipt(2, state=State.SUBMITTED))
    assert owed(connection) == [a_message()]
    assert outbox.find(connection, a_receipt(2).id) is None


@pytest.mark.parametrize("later", [State.STORED, State.FAILED, State.UNCERTAIN])
def test_what_is_heard_after_the_end_changes_nothing(connection: sqlite3.Connection, later: State) -> None:
    outbox.accept(connection, a_message())
    outbox.record(connection, a_receipt(state=State.SUBMITTED))
    outbox.record(connection, a_receipt(state=later))
    assert outbox.find(connection, a_message().id) == a_receipt(state=State.SUBMITTED)


def test_what_is_heard_of_an_unknown_message_is_not_kept(connection: sqlite3.Connection) -> None:
    outbox.record(connection, a_receipt(state=State.SUBMITTED))
    assert outbox.find(connection, a_receipt().id) is None


def test_a_message_whose_host_is_silent_ends_with_the_reason(connection: sqlite3.Connection) -> None:
    outbox.accept(connection, a_message())
    ended = outbox.advance(connection, a_message(), Event.MISS, "no route", NOW)
    assert (ended.state, ended.detail) == (State.UNREACHABLE, "no route")
    assert outbox.find(connection, a_message().id) == ended
    assert owed(connection) == []


def test_an_earlier_end_stands(connection: sqlite3.Connection) -> None:
    outbox.accept(connection, a_message())
    outbox.record(connection, a_receipt(state=State.SUBMITTED))
    assert outbox.advance(connection, a_message(), Event.LOSE, "late", NOW).state is State.SUBMITTED


def test_an_illegal_event_changes_nothing_in_the_outbox(connection: sqlite3.Connection) -> None:
    before = outbox.accept(connection, a_message())
    with pytest.raises(IllegalEvent):
        outbox.advance(connection, a_message(), Event.TAKE, "", NOW)
    assert outbox.find(connection, a_message().id) == before


def test_an_unknown_message_can_not_end(connection: sqlite3.Connection) -> None:
    with pytest.raises(LookupError):
        outbox.advance(connection, a_message(), Event.MISS, "", NOW)


def test_a_late_word_corrects_an_end_that_was_only_ignorance(connection: sqlite3.Connection) -> None:
    outbox.accept(connection, a_message())
    outbox.advance(connection, a_message(), Event.LOSE, "no answer", NOW)
    outbox.record(connection, a_receipt(state=State.STORED))
    assert outbox.find(connection, a_message().id).state is State.UNCERTAIN  # type: ignore[union-attr]
    outbox.record(connection, a_receipt(state=State.SUBMITTED))
    assert outbox.find(connection, a_message().id) == a_receipt(state=State.SUBMITTED)


def test_what_a_message_waits_for_is_noted_until_its_end(connection: sqlite3.Connection) -> None:
    outbox.accept(connection, a_message())
    outbox.note(connection, a_message().id, "worker can't be reached")
    assert [letter.receipt.detail for letter in outbox.listed(connection)] == ["worker can't be reached"]
    outbox.record(connection, a_receipt(state=State.SUBMITTED))
    outbox.note(connection, a_message().id, "too late")
    outbox.note(connection, "0" * 32, "unknown")
    assert outbox.listed(connection) == []
    assert outbox.listed(connection, ended=True) == [Letter(a_message(), a_receipt(state=State.SUBMITTED))]


# The inbox.


def test_a_message_is_stored_once_and_then_only_answered(connection: sqlite3.Connection) -> None:
    stored = inbox.store(connection, a_message(), NOW)
    assert (stored.receipt.state, stored.is_new) == (State.STORED, True)
    ended = inbox.advance(connection, stored.receipt, Event.REFUSE, NOW)
    again = inbox.store(connection, a_message(body="another"), NOW)
    assert again == inbox.Stored(ended, stored.place, is_new=False)
    assert in_inbox(connection) == [(a_message().id, "refused")]


def test_a_step_is_journalled_with_all_that_the_receipt_says(connection: sqlite3.Connection) -> None:
    receipt = inbox.store(connection, a_message(), NOW).receipt
    said = msgspec.structs.replace(receipt, target="dev:1", detail="busy", screen=("a", "b"))
    refused = inbox.advance(connection, said, Event.REFUSE, NOW + 1)
    assert refused == msgspec.structs.replace(said, state=State.REFUSED, time=NOW + 1)
    assert inbox.find(connection, receipt.id) == refused


def test_an_illegal_event_changes_nothing_in_the_inbox(connection: sqlite3.Connection) -> None:
    receipt = inbox.store(connection, a_message(), NOW).receipt
    with pytest.raises(IllegalEvent):
        inbox.advance(connection, receipt, Event.TAKE, NOW)
    assert inbox.find(connection, receipt.id) == receipt


def test_what_was_begun_is_found_again_with_its_state(connection: sqlite3.Connection) -> None:
    for number in (3, 1, 2):
        receipt = inbox.store(connection, a_message(number), NOW).receipt
        if number == 1:
            receipt = inbox.advance(connection, receipt, Event.PASTE, NOW)
        if number == 2:
            inbox.advance(connection, receipt, Event.DENY, NOW)
    found = inbox.unended(connection)
    assert [(message, stored.receipt.state) for message, stored in found] == [
        (a_message(3), State.STORED),
        (a_message(1), State.PASTING),
    ]


def test_the_outbox_follows_a_message_of_this_host_for_this_host(connection: sqlite3.Connection) -> None:
    receipt, _, is_new = inbox.accept_and_store(connection, a_message(), NOW)
    assert is_new
    assert outbox.find(connection, receipt.id) == receipt
    for event in (Event.PASTE, Event.SEE, Event.TAKE):
        receipt = inbox.advance(connection, receipt, event, NOW)
        assert outbox.find(connection, receipt.id) == inbox.find(connection, receipt.id) == receipt
    assert receipt.state is State.SUBMITTED
    assert owed(connection) == []
    assert inbox.unended(connection) == []


def test_the_inbox_is_searched_by_pane_words_and_mark(connection: sqlite3.Connection) -> None:
    for number, (to, body) in enumerate([("hub-a", "Apples"), ("hub-a", "pears 100%"), ("hub-b", "apples")]):
        inbox.store(connection, a_message(number, to=Address(to), body=body), NOW)

    def found(*addresses: str, words: str = "", unread: bool = False) -> list[int]:
        letters = inbox.listed(connection, addresses, words, unread=unread)
        return [int(letter.message.id, 16) for letter in letters]

    assert found() == [0, 1, 2]
    assert found("hub-a") == [0, 1]
    assert found("hub-a", "hub-b", words="APPLES") == [0, 2]
    assert found(words="0%") == [1]
    assert found(words="%") == [1]
    inbox.mark(connection, [a_message(0).id, "unknown"])
    assert found(unread=True) == [1, 2]
    assert [letter.read for letter in inbox.listed(connection)] == [True, False, False]


def test_only_what_ended_long_ago_is_forgotten(connection: sqlite3.Connection) -> None:
    for number in (1, 2, 3):
        receipt = inbox.accept_and_store(connection, a_message(number), NOW).receipt
        if number < 3:
            inbox.advance(connection, receipt, Event.REFUSE, NOW + number)
    assert retention.forget_messages(connection, NOW + 2) == 2
    assert [letter.message for letter in inbox.listed(connection)] == [a_message(2), a_message(3)]
    assert [letter.message for letter in outbox.listed(connection, ended=True)] == [a_message(2), a_message(3)]
    assert retention.forget_messages(connection, NOW + 99) == 2
    assert owed(connection) == [a_message(3)]


def test_a_step_in_turn_waits_for_older_messages_to_the_same_address(connection: sqlite3.Connection) -> None:
    older = inbox.store(connection, a_message(1), NOW).receipt
    inbox.store(connection, a_message(2, to=Address("hub-other")), NOW)
    newer = inbox.store(connection, a_message(3), NOW).receipt
    with pytest.raises(inbox.OutOfTurn):
        inbox.advance(connection, newer, Event.PASTE, NOW, in_turn=True)
    assert inbox.find(connection, newer.id) == newer
    assert [message for message, _ in inbox.unended(connection, a_message(3))] == [a_message(1)]
    inbox.advance(connection, older, Event.REFUSE, NOW)
    assert inbox.unended(connection, a_message(3)) == []
    assert inbox.advance(connection, newer, Event.PASTE, NOW, in_turn=True).state is State.PASTING


def test_it_is_kept_where_a_message_came_from(connection: sqlite3.Connection) -> None:
    origin = Origin("worker", "pinned")
    inbox.store(connection, a_message(1), NOW, origin)
    inbox.store(connection, a_message(1), NOW, Origin("liar", "claimed"))
    inbox.accept_and_store(connection, a_message(2), NOW)
    assert [letter.origin for letter in inbox.listed(connection)] == [origin, HERE]


# Slices.


def test_the_newest_slice_of_each_host_is_kept_until_it_is_forgotten(connection: sqlite3.Connection) -> None:
    hub = a_slice(a_pane(role="old"))
    newer = a_slice(a_pane(role="new"), counter=1)
    worker = a_slice(host="worker")
    signed = Seal(
        b' {"host":"worker","colour":"red",' + slice_text(worker).removeprefix(b'{"host":"worker",'), "k", "s"
    )
    for part, seal in ((hub, UNSIGNED), (worker, signed), (newer, UNSIGNED)):
        slices.keep(connection, part, seal)
    assert sorted(slices.load(connection), key=lambda kept: kept[0].host) == [(newer, UNSIGNED), (worker, signed)]
    slices.forget(connection, "worker")
    slices.forget(connection, "nowhere")
    assert slices.load(connection) == [(newer, UNSIGNED)]


def test_an_epoch_is_never_given_twice(connection: sqlite3.Connection) -> None:
    assert [slices.next_epoch(connection) for _ in range(3)] == [1, 2, 3]


def test_a_step_from_a_state_that_another_process_has_left_is_refused(connection: sqlite3.Connection) -> None:
    stored = inbox.store(connection, a_message(), NOW).receipt
    pasting = inbox.advance(connection, stored, Event.PASTE, NOW)
    with pytest.raises(IllegalEvent):
        inbox.advance(connection, stored, Event.PASTE, NOW)
    assert inbox.find(connection, stored.id) == pasting
