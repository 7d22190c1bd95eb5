"""A key proves before it is certified that the card holds it: PROVE KEY, in personalisation only."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from card_io import tlv
from card_io.applets.uec import personalisation
from card_io.applets.uec.layout import KeyAlgorithm, KeySlot, KeyUse, Rule
from card_io.virtual.card import VirtualCard
from tests.unit.virtual.cards import HostSession, begin_personalisation, blank, install_uec, open_session, personalise
from tests.unit.virtual.test_uec_keys import point

CHALLENGE = bytes(range(32))


def begun(card: VirtualCard) -> HostSession:
    host = open_session(card)
    install_uec(host)
    assert begin_personalisation(host).ok
    return host


@pytest.mark.parametrize("slot", [KeySlot.AUTHENTICATION, KeySlot.AGREEMENT, KeySlot.CARD])
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384])
def test_every_kind_of_key_proves_itself(slot: KeySlot, algorithm: KeyAlgorithm) -> None:
    host = begun(blank())
    use = KeyUse.AGREE if slot is KeySlot.AGREEMENT else KeyUse.SIGN
    spec = personalisation.KeySpec(slot, algorithm, Rule.PIN1, use)
    public = host.send("80E20900", personalisation.generate_key(spec), 256)
    proof = host.send("80E28901", personalisation.prove_key(slot, CHALLENGE), 256)
    assert proof.ok
    point(public.data).verify(proof.data, CHALLENGE, ec.ECDSA(hashes.SHA256()))


def test_no_key_no_proof() -> None:
    host = begun(blank())
    assert host.send("80E28900", personalisation.prove_key(KeySlot.CARD, CHALLENGE), 256).sw == 0x6A88


def test_a_proof_stands_alone_and_has_its_length() -> None:
    host = begun(blank())
    spec = personalisation.DEFAULT_KEYS[0]
    assert host.send("80E20900", personalisation.generate_key(spec), 256).ok
    good = personalisation.prove_key(spec.slot, CHALLENGE)
    for number, wrong in enumerate((good + good, good + personalisation.finish())):
        assert host.send(f"80E209{number + 1:02X}", wrong, 256).sw in {0x6A80, 0x6A86}
    short = tlv.encode_dgi(personalisation.DGI_PROVE_KEY, bytes([spec.slot]) + CHALLENGE[:-1])
    assert host.send("80E20901", short, 256).sw in {0x6A80, 0x6A86}
    with pytest.raises(ValueError, match="32 bytes"):
        personalisation.prove_key(spec.slot, b"short")


def test_a_finished_card_proves_nothing_that_way() -> None:
    card = blank()
    personalise(card)
    card.reset()
    assert not begin_personalisation(open_session(card)).ok
