"""The host and the virtual card through the machine's own smart card service: both protocols, channels, losses."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from card_io import globalplatform as gp
from card_io.applets.piv import AdminAlgorithm, KeyAlgorithm, PivSession, Slot
from card_io.channel import SecurityDomain
from card_io.errors import AttemptsSpent, WrongCryptogram
from card_io.keyset import KeySet
from card_io.pcsc import CardMute, CardRemoved, CardReset, PcscConnection, ReaderError, open_reader
from card_io.pcscd import READERS, reader_ports
from card_io.secret import Secret
from card_io.trace import TracedConnection, TraceEntry
from card_io.virtual import keysets
from card_io.virtual.atr import Protocols
from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import FaultPlan
from card_io.virtual.vpcd import InsertedCard
from tests.integration.opensc.conftest import card_is_seen
from tests.support.caps import PACKAGE, cap, components
from tests.support.key_port import TestVault
from tests.support.pcsc import PcscService, wait_until

pytestmark = pytest.mark.pcsc

CHALLENGE = bytes(range(8))
STATIC = KeySet(*(Secret(bytes(range(start, start + 16))) for start in (0x40, 0x50, 0x60)))
WRONG = KeySet(*(Secret(bytes(16)) for _ in range(3)))


def chip(protocols: Protocols = Protocols.T1, *, key_type: int = keysets.TYPE_AES, profile: str = "uec") -> VirtualCard:
    keys = keysets.KeySet(STATIC.enc, STATIC.mac, STATIC.dek, 0x30, key_type)
    return VirtualCard.blank(b"pcsc", initial_keys=keys, protocols=protocols, profile=profile)


@contextmanager
def in_reader(card: VirtualCard) -> Iterator[PcscConnection]:
    with InsertedCard(card, port=reader_ports()[0]):
        wait_until(card_is_seen, "the smart card service never saw the card")
        with open_reader(READERS[0]) as connection:
            yield connection
    wait_until(lambda: not card_is_seen(), "the smart card service never saw the reader empty")


@pytest.mark.parametrize(
    ("protocols", "name"), [(Protocols.T0, "T=0"), (Protocols.T1, "T=1"), (Protocols.T0_T1, "T=0")]
)
def test_the_protocol_is_what_card_and_reader_agree_on(pcsc: PcscService, protocols: Protocols, name: str) -> None:
    card = chip(protocols)
    with in_reader(card) as connection:
        assert connection.atr == card.atr
        if protocols is not Protocols.T0_T1:  # the service may take either of two
            assert connection.protocol == name
        assert SecurityDomain(connection).select().aid == gp.ISD_AID


@pytest.mark.parametrize("protocols", [Protocols.T0, Protocols.T1])
@pytest.mark.parametrize("level", [0x01, 0x03, 0x33])
def test_a_channel_over_both_protocols(pcsc: PcscService, protocols: Protocols, level: int) -> None:
    with in_reader(chip(protocols)) as connection:
        domain = SecurityDomain(connection)
        domain.select()
        assert len(domain.cplc().chip_id) == 10
        channel = domain.open_channel(TestVault({0x30: STATIC}), level=level, host_challenge=CHALLENGE)
        code = gp.parse_cap(cap(components(method_size=900)))
        channel.load(code)
        assert PACKAGE in [entry.aid for entry in channel.registry(gp.Subset.LOAD_FILES_AND_MODULES)]
        channel.send(gp.delete(PACKAGE))
        assert channel.transmit(gp.get_data(0x5F5E)).sw == 0x6A88


@pytest.mark.parametrize("protocols", [Protocols.T0, Protocols.T1])
def test_scp02_over_both_protocols(pcsc: PcscService, protocols: Protocols) -> None:
    with in_reader(chip(protocols, key_type=keysets.TYPE_DES)) as connection:
        domain = SecurityDomain(connection)
        domain.select()
        channel = domain.open_channel(TestVault({0x30: STATIC}), level=0x03, host_challenge=CHALLENGE)
        assert channel.registry(gp.Subset.ISSUER_SECURITY_DOMAIN)[0].aid == gp.ISD_AID


@pytest.mark.parametrize("protocols", [Protocols.T0, Protocols.T1])
def test_piv_over_both_protocols(pcsc: PcscService, protocols: Protocols) -> None:
    with in_reader(chip(protocols, profile="piv")) as connection:
        session = PivSession(connection)
        factory = Secret(bytes.fromhex("010203040506070801020304050607080102030405060708"))
        session.authenticate_admin(factory, AdminAlgorithm.TDES, CHALLENGE)
        public = session.generate_key(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256)
        session.put_object(0x5FC105, bytes(range(256)) * 6)
        assert session.get_object(0x5FC105) == bytes(range(256)) * 6
        session.verify_pin(Secret(b"123456"))
        signature = session.sign(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256, bytes(32))
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, bytes(32), ec.ECDSA(Prehashed(hashes.SHA256())))


def test_unknown_keys_stop_after_one_attempt_and_the_card_still_works(pcsc: PcscService) -> None:
    card = chip()
    with in_reader(card) as connection:
        domain = SecurityDomain(connection)
        domain.select()
        with pytest.raises(WrongCryptogram):
            domain.open_channel(TestVault({0x30: WRONG}), level=1, host_challenge=CHALLENGE)
        with pytest.raises(AttemptsSpent):
            domain.open_channel(TestVault({0x30: STATIC}), level=1, host_challenge=CHALLENGE)
        again = SecurityDomain(connection)
        again.select()
        assert again.open_channel(TestVault({0x30: STATIC}), level=1, host_challenge=CHALLENGE).kvn == 0x30
    assert card.platform.keys.tries_left(0x30) == 10


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        (FaultPlan(remove_at=3), (CardRemoved, CardReset)),
        (FaultPlan(tear_after=3), (CardRemoved, CardReset, CardMute, ReaderError)),
    ],
)
def test_a_card_lost_in_a_channel_is_one_reader_error(
    pcsc: PcscService, plan: FaultPlan, error: tuple[type[ReaderError], ...]
) -> None:
    card = chip()
    with in_reader(card) as connection:
        domain = SecurityDomain(connection)
        domain.select()
        card.faults = FaultPlan(remove_at=plan.remove_at, tear_after=plan.tear_after)
        channel = domain.open_channel(TestVault({0x30: STATIC}), level=3, host_challenge=CHALLENGE)
        with pytest.raises(error) as caught:
            channel.send(gp.get_data(gp.TAG_CPLC))
        assert READERS[0] in str(caught.value) or caught.value.code.startswith("reader")
    card.faults = FaultPlan()
    card.put_back()
    with in_reader(card) as connection:
        assert SecurityDomain(connection).select().aid == gp.ISD_AID


def test_a_trace_through_a_reader_masks_what_is_secret(pcsc: PcscService) -> None:
    lines: list[TraceEntry] = []
    with in_reader(chip(profile="piv")) as connection:
        session = PivSession(TracedConnection(connection, lines.append))
        session.verify_pin(Secret(b"123456"))
    text = "\n".join(map(str, lines))
    assert b"123456".hex() not in text.casefold()
    assert "***" in text
    assert "00 20 00 80" in text
