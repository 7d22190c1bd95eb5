"""The terminal's session with a uec card, over the virtual one."""

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from card_io import tlv
from card_io.apdu import StatusWordError
from card_io.applets.uec.layout import AppletState, Fid, KeyAlgorithm, KeySlot, KeyUse, PinRef, Rule
from card_io.applets.uec.session import KeyStatus, NotUecCard, PinStatus, TransportPin, UecSession, WrongPin
from card_io.errors import UnexpectedAnswer
from card_io.secret import Secret
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import FaultPlan
from tests.unit.virtual.cards import CONTENT, blank, finished

PIN1, PIN2, KRP = Secret(b"1234"), Secret(b"123456"), Secret(b"87654321")
DIGEST = bytes(range(32))


@pytest.fixture
def session() -> UecSession:
    made = UecSession(InProcessConnection(finished()))
    made.select()
    return made


def point(session: UecSession, slot: KeySlot) -> ec.EllipticCurvePublicKey:
    encoded = tlv.require(session.public_key(slot), 0x7F49, 0x86)
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded)


def test_what_the_card_says_of_itself(session: UecSession) -> None:
    assert session.applet_state() is AppletState.PERSONALISED
    assert session.pins() == [
        PinStatus(PinRef.PIN1, 3, 3, False),
        PinStatus(PinRef.PIN2, 3, 3, False),
        PinStatus(PinRef.KRP, 10, 10, False),
    ]
    assert session.keys()[1] == KeyStatus(KeySlot.SIGNATURE, KeyAlgorithm.EC_P256, Rule.PIN2, KeyUse.SIGN)


def test_files(session: UecSession) -> None:
    assert session.read_file(Fid.DG1) == CONTENT[Fid.DG1]
    with pytest.raises(StatusWordError) as refused:
        session.read_file(Fid.DG2)
    assert refused.value.sw == 0x6982
    session.verify_pin(PinRef.PIN1, PIN1)
    assert session.read_file(Fid.DG2) == CONTENT[Fid.DG2]
    with pytest.raises(StatusWordError):
        session.read_file(Fid.DG4)


def test_pins(session: UecSession) -> None:
    for left in (2, 1, 0):
        with pytest.raises(WrongPin) as wrong:
            session.verify_pin(PinRef.PIN1, Secret(b"0000"))
        assert (wrong.value.ref, wrong.value.tries_left) == (PinRef.PIN1, left)
    assert session.pins()[0].blocked
    with pytest.raises(WrongPin, match="KRP is wrong; 9 tries"):
        session.unblock_pin(PinRef.PIN1, Secret(b"00000000"), Secret(b"5555"))
    session.unblock_pin(PinRef.PIN1, KRP, Secret(b"5555"))
    session.change_pin(PinRef.PIN1, Secret(b"5555"), Secret(b"77777"))
    session.verify_pin(PinRef.PIN1, Secret(b"77777"))
    with pytest.raises(WrongPin):
        session.change_pin(PinRef.PIN1, Secret(b"5555"), Secret(b"1111"))
    with pytest.raises(StatusWordError):
        session.change_pin(PinRef.PIN2, PIN2, Secret(b"1"))


def test_a_transport_pin() -> None:
    session = UecSession(InProcessConnection(finished(transport=True)))
    assert session.pins()[0].transport
    with pytest.raises(TransportPin, match="let the holder choose"):
        session.verify_pin(PinRef.PIN1, PIN1)
    session.change_pin(PinRef.PIN1, PIN1, Secret(b"9999"))
    session.verify_pin(PinRef.PIN1, Secret(b"9999"))


def test_signature_agreement_and_proof(session: UecSession) -> None:
    session.verify_pin(PinRef.PIN2, PIN2)
    signature = session.sign(KeySlot.SIGNATURE, DIGEST)
    point(session, KeySlot.SIGNATURE).verify(signature, DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))
    with pytest.raises(StatusWordError):
        session.sign(KeySlot.SIGNATURE, DIGEST)
    session.verify_pin(PinRef.PIN1, PIN1)
    peer = ec.generate_private_key(ec.SECP256R1())
    encoded = peer.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    assert session.agree(KeySlot.AGREEMENT, encoded) == peer.exchange(ec.ECDH(), point(session, KeySlot.AGREEMENT))
    proof = session.internal_authenticate(DIGEST)
    point(session, KeySlot.CARD).verify(proof, DIGEST, ec.ECDSA(hashes.SHA256()))


def test_no_applet() -> None:
    with pytest.raises(NotUecCard, match="personalised"):
        UecSession(InProcessConnection(blank())).select()


def test_an_answer_that_is_not_this_layout() -> None:
    card = finished()
    session = UecSession(InProcessConnection(card))
    card.faults = FaultPlan(corrupt_at=1)
    with pytest.raises(UnexpectedAnswer, match="another layout"):
        session.applet_state()
