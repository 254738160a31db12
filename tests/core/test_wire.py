"""Frames to bytes and back, however they are cut, and whatever comes."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmesh.core.identity import Seal
from agentmesh.core.wire import (
    LARGEST_FRAME,
    MOST_HOSTS,
    Bye,
    Chunk,
    Decoder,
    Deliver,
    Frame,
    Hello,
    JobRequest,
    Offer,
    Ready,
    Report,
    Reported,
    SliceNews,
    Summary,
    encode,
)
from agentmesh.errors import ProtocolError
from tests.core.examples import a_message, every_frame, frames, texts
from tests.fuzz.decoder import framed, try_decoder


def raw(kind: int, body: object) -> bytes:
    """Return the bytes of a frame with a body of JSON, whatever it is."""
    return framed(kind, json.dumps(body).encode())


@given(st.lists(frames, max_size=4), st.lists(st.integers(0, 2000)))
def test_frames_come_out_as_they_went_in_however_they_are_cut(sent: list[Frame], cuts: list[int]) -> None:
    data = b"".join(map(encode, sent))
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder = Decoder()
    heard = [frame for first, last in pairwise(places) for frame in decoder.feed(data[first:last])]
    assert heard == sent
    assert decoder.pending == b""


@given(frames, st.integers(1))
def test_a_cut_frame_is_kept_until_the_rest_comes(frame: Frame, cut: int) -> None:
    data = encode(frame)
    first = data[: cut % len(data)]
    decoder = Decoder()
    assert decoder.feed(first) == []
    assert decoder.pending == first


@pytest.mark.parametrize("kind", [0, 98, 99, 255])
def test_an_unknown_kind_is_passed_over(kind: int) -> None:
    assert Decoder().feed(raw(kind, "whatever") + encode(Ready(7))) == [Ready(7)]


def test_an_unknown_field_is_ignored() -> None:
    assert Decoder().feed(raw(Ready.KIND, {"offset": 7, "colour": "red"})) == [Ready(7)]


def test_a_signed_slice_is_passed_on_as_it_was_written() -> None:
    text = b'{ "host":"h", "colour":"red", "version":{"epoch":1,"counter":1,"digest":""},"time":0 }'
    body = b'{"signature":"c2ln","slice":' + text + b',"key":"ssh-ed25519 A"}'
    (news,) = Decoder().feed(framed(SliceNews.KIND, body))
    assert isinstance(news, SliceNews)
    assert news.slice.host == "h"
    assert news.seal == Seal(text, "ssh-ed25519 A", "c2ln")
    (again,) = Decoder().feed(encode(news))
    assert again == news


def test_a_field_that_an_older_version_does_not_send_has_its_default() -> None:
    old = {"host": "hub", "version": "0.1"}
    assert Decoder().feed(raw(Hello.KIND, old)) == [Hello(host="hub", version="0.1")]


MESSAGE = {"id": "0" * 32, "sender": "s", "to": "a", "host": "h", "body": "b", "sent": 0}
OFFER = {"sender": "s", "name": "n", "size": 1, "sha256": "0" * 64}
EVENT = {"job": "hub-00112233aabbccdd", "seq": 1, "type": "progress", "time": 0, "from": "w", "body": "{}"}
VERSION = {"epoch": 1, "counter": 1, "digest": ""}
SLICE = {"host": "h", "version": VERSION, "time": 0}


@pytest.mark.parametrize(
    "data",
    [
        (LARGEST_FRAME + 1).to_bytes(4, "big"),
        b"\xff\xff\xff\xff",
        bytes(4),
        framed(Ready.KIND, b"{]"),
        framed(Ready.KIND, b""),
        framed(Bye.KIND, b'{"reason": "\xff"}'),
        framed(Bye.KIND, b'{"reason": "\\ud800"}'),
        raw(Ready.KIND, {}),
        raw(Ready.KIND, {"offset": "7"}),
        raw(Ready.KIND, {"offset": -1}),
        raw(Ready.KIND, None),
        raw(Bye.KIND, {"reason": 10**400}),
        raw(Deliver.KIND, {"message": {**MESSAGE, "id": "../../.ssh/authorized_keys"}}),
        raw(Deliver.KIND, {"message": {**MESSAGE, "id": "x; run-shell 'touch harm'"}}),
        raw(Deliver.KIND, {"message": {**MESSAGE, "id": "0" * 32 + "\n"}}),
        raw(Deliver.KIND, {"message": {**MESSAGE, "sent": 10**18}}),
        raw(Deliver.KIND, {"message": {**MESSAGE, "sent": -(10**18)}}),
        raw(Offer.KIND, {**OFFER, "size": -1}),
        raw(Offer.KIND, {**OFFER, "sha256": "/../../../harm"}),
        raw(SliceNews.KIND, {"slice": {**SLICE, "time": 10**18}}),
        raw(SliceNews.KIND, {"slice": {**SLICE, "version": {**VERSION, "epoch": 2**53}}}),
        raw(SliceNews.KIND, {"slice": {**SLICE, "version": {**VERSION, "counter": -1}}}),
        raw(Summary.KIND, {"slices": {"h": {**VERSION, "epoch": 10**30}}}),
        raw(Summary.KIND, {"links": "h"}),
        raw(Summary.KIND, {"links": ["h"] * (MOST_HOSTS + 1)}),
        raw(Summary.KIND, {"slices": {str(number): VERSION for number in range(MOST_HOSTS + 1)}}),
        raw(Hello.KIND, {"host": "", "version": "1"}),
        raw(Hello.KIND, {"host": "hub\u001b[31m", "version": "1"}),
        raw(Hello.KIND, {"host": "h" * 256, "version": "1"}),
        raw(Hello.KIND, {"host": "hub", "version": "1" * 10_000}),
        raw(Hello.KIND, {"host": "hub", "version": "1", "newest": 10**100}),
        raw(Deliver.KIND, {"message": MESSAGE, "patience": 10**100}),
        raw(Offer.KIND, {**OFFER, "size": 10**100}),
        raw(JobRequest.KIND, {"ticket": "1", "job": "../../etc-0011223344556677"}),
        raw(JobRequest.KIND, {"ticket": "1", "job": "hub-00112233aabbccdd", "patience": 61}),
        raw(JobRequest.KIND, {"ticket": "1", "job": "hub-00112233aabbccdd", "beyond": -1}),
        raw(Report.KIND, {"event": {**EVENT, "seq": 2**63}}),
        raw(Report.KIND, {"event": {**EVENT, "seq": 0}}),
        raw(Report.KIND, {"event": {**EVENT, "type": "finished"}}),
        raw(Report.KIND, {"event": {**EVENT, "hmac_sig": "0" * 63}}),
        raw(Report.KIND, {"event": {**EVENT, "body": "x" * 65_537}}),
        raw(Report.KIND, {"event": {**EVENT, "body": "☃" * 30_000}}),
        raw(Reported.KIND, {"job": "hub-00112233aabbccdd", "emitter": "w", "seq": -1}),
    ],
)
def test_a_frame_that_no_agent_sends_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(data)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Deliver.KIND, {"message": MESSAGE}),
        (Offer.KIND, OFFER),
        (SliceNews.KIND, {"slice": SLICE}),
        (Report.KIND, {"event": EVENT}),
    ],
)
def test_the_values_that_others_are_made_from_are_well_formed(kind: int, body: object) -> None:
    assert len(Decoder().feed(raw(kind, body))) == 1


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_protocol_errors(data: bytes) -> None:
    try:
        heard = Decoder().feed(data)
    except ProtocolError:
        return
    assert all(isinstance(frame, Frame) for frame in heard)


@given(st.integers(1, 20), st.recursive(st.none() | st.integers() | texts, st.lists, max_leaves=5))
def test_random_json_raises_nothing_but_protocol_errors(kind: int, body: object) -> None:
    try:
        heard = Decoder().feed(raw(kind, body))
    except ProtocolError:
        return
    assert [type(frame) for frame in heard] == [Chunk]


@given(st.sampled_from(every_frame()), st.data())
def test_a_frame_with_some_bytes_changed_raises_nothing_but_protocol_errors(frame: Frame, data: st.DataObject) -> None:
    whole = bytearray(encode(frame))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    try_decoder(bytes([data.draw(st.sampled_from([0, 2, 4, 6]))]) + whole)
    try_decoder(b"\x01" + whole[4:])


def test_deeply_nested_json_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(framed(Ready.KIND, b'{"offset":1,"new":' + b"[" * 100_000 + b"]" * 100_000 + b"}"))


@pytest.mark.parametrize("frame", [Chunk(b"x" * LARGEST_FRAME), Deliver(a_message(body="x" * LARGEST_FRAME))])
def test_a_frame_that_is_too_large_is_not_sent(frame: Frame) -> None:
    with pytest.raises(ProtocolError):
        encode(frame)


def test_the_largest_frame_is_sent_and_heard() -> None:
    frame = Chunk(b"x" * (LARGEST_FRAME - 1))
    assert Decoder().feed(encode(frame)) == [frame]


def test_the_numbers_of_the_kinds_stay() -> None:
    assert [frame.KIND for frame in every_frame()] == list(range(1, 21))
    assert [encode(frame)[4] for frame in every_frame()] == list(range(1, 21))
