"""The words between hub and station: each survives the wire; nothing else is taken for one."""

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io.pinpad import PinEntry, PinFormat, Typed
from issuance.production.bundle import Answers, Fault, Send, Step
from issuance.station import wire
from issuance.station.wire import BadMessage, decode, encode, to_sign

FORMATS = st.builds(
    PinFormat,
    minimum=st.integers(1, 6),
    maximum=st.integers(6, 8),
    block=st.sampled_from((0, 8, 15)),
    fill=st.integers(0, 0xFF),
    timeout_s=st.integers(1, 255),
    language=st.sampled_from(("ru", "en")),
)
STEPS = st.builds(
    Step,
    command=st.binary(max_size=300),
    expect=st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=4).map(tuple),
    label=st.text(max_size=20),
    answer=st.none() | st.binary(max_size=60),
    pad=st.none() | st.builds(PinEntry, typed=st.sampled_from(Typed), format=FORMATS),
)
BUNDLES = st.builds(Send, steps=st.lists(STEPS, max_size=5).map(tuple), fresh=st.booleans())
ANSWERS = st.builds(
    Answers,
    responses=st.lists(st.binary(max_size=300), max_size=5).map(tuple),
    complete=st.booleans(),
    fault=st.none() | st.sampled_from(Fault),
    detail=st.text(max_size=20),
    atr=st.binary(max_size=33),
    elapsed_ms=st.lists(st.integers(0, 10_000), max_size=5).map(tuple),
)
NUMBERS = st.integers(0, 2**53)
TEXTS = st.text(max_size=40)
ABILITIES = st.lists(st.sampled_from(("verify", "modify")), max_size=2).map(tuple)
READERS = st.lists(
    st.builds(wire.Reader, name=TEXTS, card=st.booleans(), insertion=NUMBERS, pad=ABILITIES), max_size=4
).map(tuple)
MESSAGES = st.one_of(
    st.builds(wire.Challenge, nonce=TEXTS, protocol=NUMBERS),
    st.builds(wire.Enrol, code=TEXTS, public_key=TEXTS, signature=TEXTS),
    st.builds(wire.Enrolled, station_id=NUMBERS, name=TEXTS),
    st.builds(wire.SignIn, station_id=NUMBERS, nonce=TEXTS, signature=TEXTS),
    st.builds(wire.Welcome, name=TEXTS),
    st.builds(wire.Refused, code=TEXTS, reason=TEXTS),
    st.builds(wire.Readers, readers=READERS),
    st.builds(wire.Play, id=NUMBERS, reader=TEXTS, bundle=BUNDLES),
    st.builds(wire.Heard, id=NUMBERS, step=NUMBERS),
    st.builds(wire.Played, id=NUMBERS, answers=ANSWERS),
    st.builds(wire.Release, reader=TEXTS),
    st.builds(wire.Attest, id=NUMBERS, digest=TEXTS),
    st.builds(wire.Attested, id=NUMBERS, signature=TEXTS),
)


@given(MESSAGES)
def test_every_message_survives(message: wire.Message) -> None:
    assert decode(encode(message)) == message


@given(st.text() | st.binary())
def test_noise_is_refused(text: str | bytes) -> None:
    with pytest.raises(BadMessage):
        decode(text)


@given(MESSAGES, st.data())
def test_a_missing_or_unknown_key_is_refused(message: wire.Message, data: st.DataObject) -> None:
    content = json.loads(encode(message))
    gone = data.draw(st.sampled_from([field.name for field in fields(message)]))
    with pytest.raises(BadMessage):
        decode(json.dumps({name: value for name, value in content.items() if name != gone}))
    with pytest.raises(BadMessage, match="unknown key"):
        decode(json.dumps(content | {"more": 1}))


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"heard","id":"1","step":2}',
        '{"type":"heard","id":true,"step":2}',
        '{"type":"release","reader":5}',
        '{"type":"nothing"}',
        '{"type":"readers","readers":[{"name":"a","card":true,"insertion":0}]}',
        '{"type":"readers","readers":[{"name":"a","card":1,"insertion":0,"pad":[],"seen":[]}]}',
        '{"type":"readers","readers":[{"name":"a","card":true,"insertion":0,"pad":"modify","seen":[]}]}',
        '{"type":"readers","readers":[{"name":"a","card":true,"insertion":0,"pad":[6],"seen":[]}]}',
        '{"type":"readers","readers":[{"name":"a","card":true,"insertion":0,"pad":[],"seen":[],"more":1}]}',
        '{"type":"play","id":1,"reader":"a","bundle":{"steps":[["zz",[36864],"",null,null]],"fresh":false}}',
        '{"type":"play","id":1,"reader":"a","bundle":{"steps":[["00",[36864],"",null]],"fresh":false}}',
        '{"type":"play","id":1,"reader":"a","bundle":{"steps":[["00",[],"",null,["new",4]]],"fresh":false}}',
        '{"type":"play","id":1,"reader":"a","bundle":{"steps":[["00",[],"",null,["old",4,8,8,255,30,"ru"]]],"fresh":false}}',
        '{"type":"play","id":1,"reader":"a","bundle":{"steps":[["00",[],"",null,["new",4,8,8,255,900,"ru"]]],"fresh":false}}',
        '{"type":"play","id":1,"reader":"a","bundle":{"steps":[["00",[],"",null,["new","4",8,8,255,30,"ru"]]],"fresh":false}}',
        '{"type":"play","id":1,"reader":"a","bundle":{"steps":[],"fresh":"yes"}}',
        '{"type":"played","id":1,"answers":{"responses":[],"complete":true,"fault":"tired","detail":"","atr":"","elapsed_ms":[]}}',
        "[]",
        "null",
    ],
)
def test_wrong_types_are_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        decode(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (encode(wire.Challenge("00", 7)), 7),
        ('{"type":"challenge","protocol":9,"more":{}}', 9),
        ('{"type":"challenge","protocol":"9"}', None),
        ('{"type":"challenge","protocol":true}', None),
        ('{"type":"challenge"}', None),
        ("[]", None),
        ("[1]", None),
        ("7", None),
        ("null", None),
        ("nonsense", None),
        (b"\xff\x00", None),
        ("[" * 100_000, None),
    ],
)
def test_the_version_is_read_from_whatever_a_hub_says_first(text: str | bytes, told: int | None) -> None:
    assert wire.protocol_told(text) == told


def test_what_is_signed_cannot_be_shifted() -> None:
    assert to_sign("enrol", b"ab", b"c") != to_sign("enrol", b"a", b"bc")
    assert to_sign("enrol", b"ab") != to_sign("sign-in", b"ab")


@pytest.mark.parametrize("deep", ["[", '{"type":', '{"type":"hello","random":['])
def test_a_message_of_endless_depth_is_none(deep: str) -> None:
    with pytest.raises(BadMessage):
        decode(deep * 100_000)
