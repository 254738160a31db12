"""Values to test with: complete, and different only where a test says so; and Hypothesis's strategies for them."""

import msgspec
from hypothesis import strategies as st

from agentmesh.core.address import Address
from agentmesh.core.chain import Entry
from agentmesh.core.delivery import State
from agentmesh.core.event import LAST_SEQ, Event, EventType
from agentmesh.core.identity import Seal
from agentmesh.core.inventory import PaneRecord
from agentmesh.core.job import Job, JobState
from agentmesh.core.model import Contacts, Message, Origin, Pane, Receipt, Slice, Version
from agentmesh.core.readiness import TtyFacts
from agentmesh.core.wire import (
    Bye,
    Chunk,
    ContactsNews,
    Deliver,
    Dropped,
    Frame,
    Held,
    Hello,
    Invite,
    JobAnswer,
    JobRequest,
    Offer,
    Ping,
    Ready,
    ReceiptNews,
    Refusal,
    Report,
    Reported,
    SliceNews,
    Summary,
    Withdraw,
    slice_text,
)

NOW = 1_800_000_000
"""A moment, in Unix seconds."""


def a_pane(address: str = "hub-dev-review", **changes: object) -> Pane:
    pane = Pane(
        address=Address(address),
        host="hub",
        target="dev:1",
        session="dev",
        window="review",
        pane=f"%{sum(address.encode())}",
        server="default",
        window_key=f"default/1-1/$0/{address}",
        wanted=Address(address),
        pid=100,
    )
    return msgspec.structs.replace(pane, **changes)


def a_slice(*panes: Pane, host: str = "hub", epoch: int = 1, counter: int = 0, digest: str = "0") -> Slice:
    return Slice(host, Version(epoch, counter, digest), NOW, panes)


def a_message(number: int = 1, **changes: object) -> Message:
    message = Message(
        id=f"{number:032x}", sender="hub-dev-me", to=Address("hub-dev-review"), host="hub", body="hi", sent=NOW
    )
    return msgspec.structs.replace(message, **changes)


def a_receipt(number: int = 1, state: State = State.STORED, **changes: object) -> Receipt:
    receipt = Receipt(id=f"{number:032x}", to=Address("hub-dev-review"), host="hub", state=state)
    return msgspec.structs.replace(receipt, **changes)


def a_job(**changes: object) -> Job:
    job = Job(
        id="hub-00112233aabbccdd",
        home="hub",
        submitter="hub-dev-me",
        to="@all",
        hosts=("hub",),
        title="",
        brief="do it",
        created=NOW,
    )
    return msgspec.structs.replace(job, **changes)


def an_event(**changes: object) -> Event:
    event = Event(job="hub-00112233aabbccdd", seq=1, type=EventType.PROGRESS, time=NOW, sender="w")
    return msgspec.structs.replace(event, **changes)


def every_frame() -> tuple[Frame, ...]:
    """Return a frame of each kind."""
    return (
        Hello(host="hub", version="1"),
        SliceNews(a_slice(a_pane())),
        Deliver(a_message(), 7),
        ReceiptNews(a_receipt(screen=("a", "b"))),
        Offer(sender="hub-dev-me", name="a", size=1, sha256="0" * 64),
        Ready(7),
        Chunk(b"x"),
        Dropped("~/a"),
        Refusal("no"),
        Bye("no"),
        Withdraw(a_message()),
        Summary(("hub",), {"hub": Version(1, 2, "0")}),
        Invite("0" * 32),
        Ping(),
        ContactsNews((Contacts("hub", Version(1, 2, "0"), ("a",)),), {"hub": Version(1, 2, "0")}),
        Held({"hub": Version(1, 2, "0")}, {"a": Version(1, 2, "0")}),
        JobRequest("0" * 32, "hub-00112233aabbccdd", 3, 30),
        JobAnswer("0" * 32, a_job(), (Entry(number=1, received=NOW, event=an_event()),), "0" * 64),
        Report(an_event(hmac_sig="0" * 64)),
        Reported("hub-00112233aabbccdd", "w", 1, "no"),
    )


def a_record(window_number: int = 1, pane_number: int = 1, **changes: object) -> PaneRecord:
    """Return what tmux tells of a pane of session dev."""
    record = PaneRecord(
        server_pid=1,
        server_start="1-1",
        session_id="$0",
        session="dev",
        window_id=f"@{window_number}",
        window_index=window_number,
        window="review",
        pane=f"%{pane_number}",
        pane_index=0,
        pid=1000 + pane_number,
        tty=f"/dev/pts/{pane_number}",
        active=True,
        dead=False,
        command="bash",
        cwd="/work",
        register="",
        handle="",
        chosen_pane="",
        role="",
        scope="",
    )
    return msgspec.structs.replace(record, **changes)


def a_tty(*programs: str, **changes: object) -> TtyFacts:
    """Return a terminal on which a line reader waits: ``exec cat``."""
    facts = TtyFacts(
        canonical=True,
        echo=True,
        unread=0,
        programs=programs or ("cat",),
        shell_in_front=False,
        alone=True,
        reading=True,
    )
    return msgspec.structs.replace(facts, **changes)


texts = st.text(max_size=30)
names = st.text(alphabet="abz09-_", min_size=1, max_size=8)
addresses = names.map(Address)
numbers = st.integers(min_value=0, max_value=2**40)
versions = st.builds(Version, epoch=st.integers(0, 3), counter=st.integers(0, 3), digest=st.sampled_from("abc"))
panes = st.builds(
    Pane,
    address=addresses,
    host=texts,
    target=texts,
    session=texts,
    window=texts,
    pane=texts,
    server=texts,
    window_key=texts,
    wanted=addresses,
    pid=numbers,
    command=texts,
    cwd=texts,
    program=texts,
    role=texts,
    scope=texts,
    handle=texts,
    formerly=st.dictionaries(addresses, numbers, max_size=2),
)
slices = st.builds(
    Slice, host=texts, version=versions, time=st.integers(0, 2**32), panes=st.lists(panes, max_size=3).map(tuple)
)
ids = st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}")
messages = st.builds(
    Message,
    id=ids,
    sender=texts,
    to=addresses,
    host=texts,
    body=texts,
    sent=st.integers(0, 2**32),
    force=st.booleans(),
)
receipts = st.builds(
    Receipt,
    id=ids,
    to=addresses,
    host=texts,
    state=st.sampled_from(State),
    target=texts,
    readiness=texts,
    detail=texts,
    screen=st.lists(texts, max_size=3).map(tuple),
    note=texts,
)
jobs = st.sampled_from(["hub-00112233aabbccdd", "worker-1-ffffffffffffffff"])
events = st.builds(
    Event,
    job=jobs,
    seq=st.integers(1, LAST_SEQ),
    type=st.sampled_from(EventType),
    time=st.integers(0, LAST_SEQ),
    sender=texts.filter(bool),
    body=texts,
    hmac_sig=st.sampled_from(["", "0" * 64]),
)
entries = st.builds(
    Entry,
    number=numbers,
    received=st.integers(0, 2**32),
    origin=st.builds(Origin, texts, texts, texts),
    event=events,
)
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(JobRequest, texts, jobs, numbers, st.integers(0, 60)),
    st.builds(
        JobAnswer,
        texts,
        st.none()
        | st.builds(a_job, id=jobs, brief=texts, state=st.sampled_from(JobState), percent=st.none() | numbers),
        st.lists(entries, max_size=3).map(tuple),
        texts,
        texts,
    ),
    st.builds(Report, events),
    st.builds(Reported, jobs, texts, numbers, texts),
    st.builds(
        Hello,
        host=names.map("h{}".format),
        version=texts,
        oldest=numbers,
        newest=numbers,
        channel=texts,
        ticket=texts,
        to=texts,
        origin=texts,
    ),
    st.builds(SliceNews, slices),
    slices.map(lambda part: SliceNews(part, Seal(slice_text(part), "ssh-ed25519 A", "c2ln"))),
    st.builds(
        ContactsNews,
        st.lists(st.builds(Contacts, names.map("h{}".format), versions, st.lists(texts).map(tuple))).map(tuple),
        st.none() | st.dictionaries(texts, versions, max_size=3),
    ),
    st.builds(Deliver, messages, st.integers(0, 10**6)),
    st.builds(Withdraw, messages),
    st.builds(ReceiptNews, receipts),
    st.builds(Offer, sender=texts, name=texts, size=numbers, sha256=st.tuples(ids, ids).map("".join)),
    st.builds(Ready, numbers),
    st.builds(Chunk, st.binary()),
    st.builds(Dropped, texts),
    st.builds(Refusal, texts),
    st.builds(Bye, texts, st.booleans()),
    st.builds(Held, *[st.dictionaries(texts, versions, max_size=3)] * 2),
    st.builds(Invite, texts),
    st.builds(Ping, st.booleans()),
    st.builds(
        Summary, st.lists(texts, max_size=3).map(tuple), st.none() | st.dictionaries(texts, versions, max_size=3)
    ),
)
