"""Cards of strangers, as they answer to questions that need no key: each is described, none makes the survey fail."""

from collections.abc import Callable

import pytest

from card_io import globalplatform as gp
from card_io import tlv
from card_io.applets.piv import PIV_AID, NotPivCard, PivSession
from card_io.applets.uec import layout
from card_io.applets.uec.session import NotUecCard, UecSession
from card_io.channel import SecurityDomain
from card_io.errors import CardError
from card_io.status import StatusWordError
from card_io.survey import survey
from card_io.virtual.atr import Protocols
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from tests.unit.virtual.cards import aes_keys, finished, open_session

CLASSIC = bytes.fromhex("A000000003000000")
CPLC = bytes(range(42))


class Stranger:
    """A card that answers by a table: the command's first bytes, longest first; 6D00 otherwise."""

    atr = bytes.fromhex("3B80800101")

    def __init__(self, answers: dict[str, str]) -> None:
        self._answers = {bytes.fromhex(head): bytes.fromhex(answer) for head, answer in answers.items()}
        self.asked: list[bytes] = []

    def transmit(self, command: bytes) -> bytes:
        self.asked.append(command)
        heads = sorted((head for head in self._answers if command.startswith(head)), key=len, reverse=True)
        return self._answers[heads[0]] if heads else b"\x6d\x00"

    def close(self) -> None:
        """Nothing to let go."""


def fci(aid: bytes) -> str:
    return tlv.encode(0x6F, tlv.encode(0x84, aid) + tlv.encode(0xA5, b"")).hex()


def selection(aid: bytes) -> str:
    return "00A40400" + (f"{len(aid):02x}{aid.hex()}" if aid else "00")


def test_a_blank_of_ours_tells_everything() -> None:
    found = survey(InProcessConnection(VirtualCard.blank(b"seed", initial_keys=aes_keys())))
    assert found.issuer_domain == gp.ISD_AID and found.version == "2.3.1" and found.protocols == ((3, 0x70),)
    assert {key.kvn for key in found.keys} == {0xFF} and len(found.keys) == 3
    assert found.chip is not None and len(found.chip) == 10 and found.applets == ()


@pytest.mark.parametrize("protocols", [Protocols.T0, Protocols.T1])
def test_a_piv_card(protocols: Protocols) -> None:
    card = VirtualCard.blank(b"seed", initial_keys=aes_keys(), profile="piv", protocols=protocols)
    assert survey(InProcessConnection(card)).applets == ("PIV (SP 800-73)",)


def test_a_finished_card_of_ours() -> None:
    found = survey(InProcessConnection(finished()))
    assert found.applets == ("uec", "ISO 7816-15") and found.issuer_domain == gp.ISD_AID


def test_a_domain_with_a_name_of_its_own() -> None:
    """SELECT without a name finds it, whatever the maker or the issuer called it."""
    card = VirtualCard.blank(b"seed", initial_keys=aes_keys())
    card.power_on()
    name = bytes.fromhex("A00000000300000001")
    assert open_session(card).send("80E29000", tlv.encode(0x4F, name)).ok
    connection = InProcessConnection(card)
    domain = SecurityDomain(connection)
    assert domain.select_issuer().aid == domain.aid == name
    assert survey(connection).issuer_domain == name


@pytest.mark.parametrize("nameless", ["6A82", "6999", "6D00", "6E00", "9000", "67009000", "6283"])
def test_a_card_that_knows_its_domain_by_name_only(nameless: str) -> None:
    """SELECT without a name refused, or answered with nothing that could be read: the names in use come next."""
    found = survey(
        Stranger(
            {
                selection(b""): nameless,
                "00A40400": "6A82",
                selection(CLASSIC): fci(CLASSIC) + "9000",
                "80CA9F7F": tlv.encode(0x9F7F, CPLC).hex() + "9000",
            }
        )
    )
    assert found.issuer_domain == CLASSIC and found.version is None and found.keys == ()
    assert found.chip == gp.parse_cplc(CPLC).chip_id


def test_a_locked_card_is_described_too() -> None:
    found = survey(Stranger({"00A40400": "6A82", selection(b""): fci(gp.ISD_AID) + "6283"}))
    assert found.issuer_domain == gp.ISD_AID and found.chip is None


@pytest.mark.parametrize(
    "answer",
    ["9000", "00" * 41 + "9000", "9F7F80" + "00" * 42 + "9000", "E0FF9000", "E003C001019000", "6688FFFF9000", "6A88"],
)
def test_nonsense_leaves_the_line_empty(answer: str) -> None:
    found = survey(Stranger({"00A40400": fci(gp.ISD_AID) + "9000", "80CA": answer}))
    assert (found.chip, found.version, found.keys) == (None, None, ())


def test_a_card_without_any_domain() -> None:
    card = Stranger({"00A40400": "6999", selection(PIV_AID): "61009000"})
    found = survey(card)
    assert (found.issuer_domain, found.chip, found.keys) == (None, None, ())
    assert found.applets == ("PIV (SP 800-73)",)
    assert {command[1] for command in card.asked} == {0xA4}, "nothing is asked of a domain that is not there"


def test_a_lost_card_ends_the_survey() -> None:
    class Gone(CardError):
        pass

    class Lost(Stranger):
        def transmit(self, command: bytes) -> bytes:
            raise Gone

    with pytest.raises(Gone):
        survey(Lost({}))


@pytest.mark.parametrize("sw", ["6A82", "6999", "6D00", "6E00"])
@pytest.mark.parametrize(
    ("opened", "missing"),
    [(PivSession, NotPivCard), (lambda connection: UecSession(connection).select(), NotUecCard)],
    ids=["piv", "uec"],
)
def test_an_applet_that_is_not_there(opened: Callable[[Stranger], object], missing: type[CardError], sw: str) -> None:
    """Java Cards answer 6999, simple cards 6D00 or 6E00: it is the same sentence."""
    with pytest.raises(missing, match=r"no (PIV|uec) applet on this card"):
        opened(Stranger({"00A404": sw}))


@pytest.mark.parametrize("sw", ["6982", "6A86", "6F00"])
def test_any_other_refusal_is_told_as_it_is(sw: str) -> None:
    for opened in (PivSession, lambda connection: UecSession(connection).select()):
        with pytest.raises(StatusWordError) as refused:
            opened(Stranger({"00A404": sw}))
        assert refused.value.sw == int(sw, 16)


def test_the_names_do_not_contain_one_another() -> None:
    """A name that begins another would select it: no card would be told for what it is."""
    names = [layout.APPLET_AID, layout.CIA_AID, PIV_AID]
    assert not any(one != other and one.startswith(other) for one in names for other in names)
