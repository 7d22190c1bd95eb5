"""yubikit, an SCP03 host and PIV client of other people, works with the virtual card."""

import pytest
from yubikit.core import TRANSPORT, Tlv
from yubikit.core.smartcard import AID, ApduError, SmartCardConnection, SmartCardProtocol
from yubikit.core.smartcard.scp import KeyRef, Scp03KeyParams, StaticKeys
from yubikit.securitydomain import SecurityDomainSession

from card_io.virtual.card import VirtualCard
from tests.unit.virtual.cards import KEYS, aes_keys, blank, open_session, personalise

NEW = (bytes(range(0x10, 0x20)), bytes(range(0x20, 0x30)), bytes(range(0x30, 0x40)))


class Link(SmartCardConnection):
    """yubikit's view of a virtual card in this process."""

    def __init__(self, card: VirtualCard) -> None:
        self._card = card
        card.power_on()

    @property
    def transport(self) -> TRANSPORT:
        return TRANSPORT.USB

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        answer = self._card.process(apdu)
        return answer[:-2], int.from_bytes(answer[-2:], "big")

    def close(self) -> None:
        self._card.power_off()


def parameters(keys: tuple[bytes, bytes, bytes] = KEYS, kvn: int = 0xFF) -> Scp03KeyParams:
    return Scp03KeyParams(KeyRef(0x01, kvn), StaticKeys(*keys))


def versions(session: SecurityDomainSession) -> set[int]:
    """Key versions as the client reads them: by an ISO class, which gets the value alone (GlobalPlatform 11.3.3.1)."""
    return {reference.kvn for reference in session.get_key_information()}


@pytest.mark.parametrize("i", [0x60, 0x70])
def test_a_session_at_level_33(i: int) -> None:
    card = blank(i=i)
    session = SecurityDomainSession(Link(card))
    session.authenticate(parameters())
    assert versions(session) == {0xFF}
    assert session.get_card_recognition_data().startswith(bytes.fromhex("06072A864886FC6B01"))
    assert session.get_data(0x9F7F) == card.platform.cplc
    with pytest.raises(ApduError) as refused:
        session.get_data(0x5F50)
    assert refused.value.sw == 0x6A88
    assert len(session.get_data(0xCF)) == 10  # the session goes on after an error


def test_keys_are_changed_and_deleted() -> None:
    card = blank()
    session = SecurityDomainSession(Link(card))
    session.authenticate(parameters())
    session.put_key(KeyRef(0x01, 0x30), StaticKeys(*NEW))
    session.authenticate(parameters(NEW, 0x30))
    session.put_key(KeyRef(0x01, 0x31), StaticKeys(*KEYS))
    session.authenticate(parameters(KEYS, 0x31))
    session.delete_key(kvn=0x30)
    assert versions(session) == {0x31}
    open_session(card, kvn=0x31)


def test_wrong_keys_are_noticed_before_a_try_is_spent() -> None:
    card = blank()
    with pytest.raises(ValueError, match="SCP"):
        SecurityDomainSession(Link(card)).authenticate(parameters(NEW))
    assert card.platform.keys.tries_left(0xFF) == 10


def test_a_host_of_other_people_personalises_nothing_twice() -> None:
    card = blank()
    personalise(card)
    protocol = SmartCardProtocol(Link(card))
    protocol.select(AID.SECURE_DOMAIN)
    protocol.init_scp(parameters())
    entry = protocol.send_apdu(0x80, 0xF2, 0x40, 0x02, b"\x4f\x00")
    assert Tlv.unpack(0xE3, entry)[2:11] == bytes.fromhex("F05545430001000101")
    with pytest.raises(ApduError) as refused:
        protocol.send_apdu(0x80, 0xE6, 0x20, 0x00, bytes.fromhex("000009F05545430001000101000000"))
    assert refused.value.sw == 0x6985


def piv_card() -> VirtualCard:
    return VirtualCard.blank(b"piv", initial_keys=aes_keys(), profile="piv")


def test_piv_pins_of_other_peoples_client() -> None:
    card = piv_card()
    protocol = SmartCardProtocol(Link(card))
    protocol.select(AID.PIV)
    protocol.send_apdu(0, 0x20, 0, 0x80, b"123456\xff\xff")
    with pytest.raises(ApduError) as refused:
        protocol.send_apdu(0, 0x20, 0, 0x80, b"000000\xff\xff")
    assert refused.value.sw == 0x63C2
