"""Events and their signatures: the page's vectors, and whatever is changed on the way."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core import event as events
from agentmesh.core.event import (
    LAST_SEQ,
    LONGEST_BODY,
    Event,
    EventType,
    canonical,
    content,
    decode,
    is_genuine,
    signature,
    signed,
)
from agentmesh.errors import BadEvent
from tests.core.examples import texts

PAGE = Path(events.__file__).with_name("EVENTS.md").read_text()
TOKEN = bytes(range(32)).hex()
VECTORS = re.findall(r"^\| `(\{.*\})` \| `([0-9a-f]{64})` \|$", PAGE, re.MULTILINE)
made = st.builds(
    Event,
    job=st.sampled_from(["hub-00112233aabbccdd", "worker-1-ffffffffffffffff"]),
    seq=st.integers(1, LAST_SEQ),
    type=st.sampled_from(EventType),
    time=st.integers(0, LAST_SEQ),
    sender=texts.filter(bool),
    body=st.dictionaries(texts, texts, max_size=3).map(lambda value: msgspec.json.encode(value).decode()),
)


@pytest.mark.parametrize(("text", "sig"), VECTORS)
def test_the_vectors_of_the_page_hold(text: str, sig: str) -> None:
    assert signature(decode(text), TOKEN) == sig


def test_the_page_shows_the_canonical_form_of_its_first_vector() -> None:
    assert len(VECTORS) == 3
    assert canonical(decode(VECTORS[0][0])).decode().replace("\n", "\n    ") in PAGE


@given(made)
def test_an_event_is_genuine_as_it_was_signed_however_it_has_travelled(event: Event) -> None:
    assert is_genuine(decode(msgspec.json.encode(signed(event, TOKEN))), TOKEN)


@given(made, made)
def test_no_event_has_the_signature_of_another(one: Event, other: Event) -> None:
    forged = msgspec.structs.replace(other, hmac_sig=signature(one, TOKEN))
    assert is_genuine(forged, TOKEN) == (one == other)


@given(made, st.integers(0), st.integers(0, 7))
def test_no_bit_can_be_flipped(event: Event, place: int, bit: int) -> None:
    data = bytearray(msgspec.json.encode(signed(event, TOKEN)))
    data[place % len(data)] ^= 1 << bit
    try:
        changed = decode(bytes(data))
    except BadEvent:
        return
    assert not is_genuine(changed, TOKEN) or changed == signed(event, TOKEN)


@given(made, st.integers(0))
def test_a_truncated_event_is_refused(event: Event, length: int) -> None:
    data = msgspec.json.encode(event)
    with pytest.raises(BadEvent, match="malformed"):
        decode(data[: length % len(data)])


@pytest.mark.parametrize("body", ["x" * (LONGEST_BODY + 1), "☃" * (LONGEST_BODY // 3 + 1)], ids=["letters", "bytes"])
def test_a_body_is_no_longer_than_it_may_be_in_bytes(body: str) -> None:
    text = msgspec.json.encode({**msgspec.json.decode(VECTORS[0][0]), "body": body})
    with pytest.raises(BadEvent, match="longer than"):
        decode(text)


def test_another_token_signs_otherwise() -> None:
    event = decode(VECTORS[0][0])
    assert not is_genuine(signed(event, TOKEN), TOKEN[::-1])


@pytest.mark.parametrize("seq", [0, -1, 2**63, 1.5, "7", None])
def test_a_seq_is_a_whole_number_that_fits(seq: object) -> None:
    text = msgspec.json.encode({**msgspec.json.decode(VECTORS[0][0]), "seq": seq})
    with pytest.raises(BadEvent):
        decode(text)


@pytest.mark.parametrize("job", ["hub", "hub-0", "../../etc-0011223344556677", "a/b-0011223344556677", ""])
def test_an_id_that_names_no_folder_is_refused(job: str) -> None:
    text = msgspec.json.encode({**msgspec.json.decode(VECTORS[0][0]), "job": job})
    with pytest.raises(BadEvent):
        decode(text)


@pytest.mark.parametrize("body", ["", "[]", "7", "{", "null", "[" * 60_000])
def test_a_body_is_an_object(body: str) -> None:
    event = msgspec.structs.replace(decode(VECTORS[0][0]), body=body)
    with pytest.raises(BadEvent):
        content(event)
