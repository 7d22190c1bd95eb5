"""A card whose keys need no answer takes one round trip: every command computed before the card is in the reader."""

import pytest

from card_io import globalplatform as gp
from card_io import scp03
from card_io.applets.uec import layout
from card_io.applets.uec.session import UecSession
from card_io.diversification import kdf3
from card_io.keyset import KeySet as HostKeys
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import cplc_for, diversification_data
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.keysets import KeySet
from issuance.production import writing
from issuance.production.ahead import write_ahead
from issuance.production.asking import Talk
from issuance.production.bundle import Answers, Send
from issuance.production.datagroups import build_data_groups
from issuance.production.errors import CardRefused, UnknownKeys
from issuance.production.profile import load_profile
from issuance.production.relay import play
from tests.support.line import UEC_PROFILE, card_number, facts_for, slot_of

SEED = b"one trip"
MASTER = Secret(bytes(range(0x40, 0x50)))
HOST_CHALLENGE = bytes(range(0xA0, 0xA8))
PSEUDO_RANDOM_I = 0x70
KVN = 0xFF


def static_keys(master: Secret = MASTER) -> HostKeys:
    return kdf3(master, diversification_data(cplc_for(SEED)))


def card() -> VirtualCard:
    keys = static_keys()
    initial = KeySet(keys.enc, keys.mac, keys.dek, version=KVN)
    return VirtualCard.blank(SEED, initial_keys=initial, scp03_i=PSEUDO_RANDOM_I)


def foretell(counter: int, master: Secret = MASTER) -> tuple[scp03.InitializeUpdateResponse, scp03.SessionKeys]:
    """What a keeper of the keys knows of the card's next session, without the card."""
    keys = static_keys(master)
    challenge = scp03.calculate_card_challenge(keys.enc, counter, gp.ISD_AID)
    session = scp03.derive_session_keys(keys, HOST_CHALLENGE, challenge)
    proof = scp03.card_cryptogram(session, HOST_CHALLENGE, challenge)
    kdd = diversification_data(cplc_for(SEED))
    return scp03.InitializeUpdateResponse(kdd, KVN, 3, PSEUDO_RANDOM_I, challenge, proof, counter), session


def talk_of(counter: int, master: Secret = MASTER) -> tuple[Talk[list[bytes]], dict[int, bytes]]:
    profile = load_profile(UEC_PROFILE)
    groups = build_data_groups(profile, facts_for(card_number(1)))
    foretold, keys = foretell(counter, master)
    block = scp03.Scp03Session(
        keys, profile.secure_channel.level, host_challenge=HOST_CHALLENGE, card=foretold
    ).data_max
    files = writing.file_groupings(writing.data_files(profile, groups), block)
    writes = [writing.install(profile), *writing.sessions(profile, files, block_bytes=block, label="write_data")]
    talk = write_ahead(
        writes,
        keys=keys,
        foretold=foretold,
        host_challenge=HOST_CHALLENGE,
        profile=profile.secure_channel,
        chip_id="00",
    )
    return talk, {group.fid: groups[group.number] for group in profile.data_groups}


def run(talk: Talk[list[bytes]], chip: VirtualCard) -> tuple[list[bytes], int]:
    """The result and how many round trips it took."""
    trips, slot = 0, slot_of(chip)
    answer: Answers | None = None
    try:
        while True:
            request = talk.send(answer)
            assert isinstance(request, Send)
            answer = play(slot, request)
            trips += 1
    except StopIteration as stop:
        answers: list[bytes] = stop.value
        return answers, trips


def next_counter(chip: VirtualCard) -> int:
    """Where the card's counter stands, seen by a session that is never opened."""
    connection = InProcessConnection(chip)
    connection.transmit(gp.select(gp.ISD_AID).encode())
    update = scp03.parse_initialize_update(connection.transmit(gp.initialize_update(KVN, bytes(8)).encode())[:-2])
    assert update.sequence_counter is not None
    return update.sequence_counter + 1


def test_a_whole_card_in_one_round_trip() -> None:
    chip = card()
    talk, files = talk_of(next_counter(chip))
    answers, trips = run(talk, chip)
    assert trips == 1 and len(answers) > 8
    chip.power_on()
    session = UecSession(InProcessConnection(chip))
    assert session.read_file(layout.Fid.DG1) == files[layout.Fid.DG1]


def test_a_counter_that_moved_on_writes_nothing() -> None:
    chip = card()
    talk, _ = talk_of(next_counter(chip) + 1)
    with pytest.raises(CardRefused) as caught:
        run(talk, chip)
    assert caught.value.label == "open_channel"
    again, _ = talk_of(next_counter(chip))
    assert run(again, chip)[1] == 1, "the card is none the worse for it"


def test_other_keys_are_refused() -> None:
    chip = card()
    talk, _ = talk_of(next_counter(chip), Secret(bytes(16)))
    with pytest.raises((CardRefused, UnknownKeys)):
        run(talk, chip)
