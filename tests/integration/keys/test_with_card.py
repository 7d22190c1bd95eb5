"""The vault against a card of the project: open, rotate, open again; nothing but session keys leaves the vault."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from card_io import scp03
from card_io.apdu import CommandAPDU
from card_io.connection import send
from card_io.diversification import kdf3
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import cplc_for, diversification_data
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.keysets import KeySet
from issuance.errors import WrongCardKeys
from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.keys.file_vault import FileVault
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.port import AesForm, CardSessionRequest, KeyAlgorithm, KeyPurpose, KeyRef, PutKeyRequest, Vault
from issuance.keys.service import VaultService
from tests.support.keys import HOST_CHALLENGE, NOW, TRANSPORT_MASTER

LEVEL = 0x33
NEW_KVN = 0x20
ISD = bytes.fromhex("A000000151000000")


@dataclass
class Chip:
    """A blank with keys from the transport master, and a connection to it."""

    kdd: bytes
    connection: InProcessConnection

    def channel(self, vault: Vault, master: KeyRef) -> scp03.Scp03Session:
        """Open a secure channel with session keys from the vault."""
        send(self.connection, CommandAPDU(0x00, 0xA4, 0x04, 0x00, ISD, le=256)).require()
        update = CommandAPDU(0x80, 0x50, 0x00, 0x00, HOST_CHALLENGE, le=256)
        answer = send(self.connection, update).require()
        card = scp03.parse_initialize_update(answer)
        keys = vault.card_session(CardSessionRequest(master, self.kdd, HOST_CHALLENGE, answer, card.i, card.s_mode))
        session = scp03.Scp03Session(keys, LEVEL, host_challenge=HOST_CHALLENGE, card=card)
        assert self.connection.transmit(session.external_authenticate()) == b"\x90\x00"
        return session


def make_chip(number: int) -> Chip:
    seed = b"vault test" + bytes([number])
    kdd = diversification_data(cplc_for(seed))
    keys = kdf3(Secret(TRANSPORT_MASTER), kdd)
    card = VirtualCard.blank(seed, initial_keys=KeySet(keys.enc, keys.mac, keys.dek))
    return Chip(kdd, InProcessConnection(card))


@pytest.fixture
def hub(file_vault: FileVault, run_folder: Path) -> Iterator[Vault]:
    """The vault as the hub sees it."""
    service = VaultService(file_vault, run_folder / "vault.sock", [ClientKind.HUB])
    service.start()
    client = VaultClient(run_folder / "vault.sock", ClientKind.HUB)
    yield client
    client.close()
    service.stop()


@pytest.mark.parametrize("form", list(AesForm))
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.AES_128, KeyAlgorithm.AES_256])
def test_a_blank_is_opened_rotated_and_opened_again(
    file_vault: FileVault, hub: Vault, algorithm: KeyAlgorithm, form: AesForm
) -> None:
    file_vault.generate(KeyPurpose.CARD_MASTER, algorithm, now=NOW)
    blank, master = hub.active(KeyPurpose.BLANK_TRANSPORT), hub.active(KeyPurpose.CARD_MASTER)
    chip = make_chip(1)
    session = chip.channel(hub, blank)
    (data,) = hub.put_key_data([PutKeyRequest(blank, master, chip.kdd, NEW_KVN, aes_form=form)])
    put_key = CommandAPDU(0x80, 0xD8, 0x00, 0x81, data.key_data, le=256)
    answer = session.unwrap(chip.connection.transmit(session.wrap(put_key)))
    assert answer == bytes([NEW_KVN]) + b"".join(data.check_values) + b"\x90\x00"
    assert chip.channel(hub, master)
    with pytest.raises(WrongCardKeys) as caught:
        chip.channel(hub, blank)
    assert caught.value.kvn == NEW_KVN


def test_a_card_moves_from_one_master_version_to_the_next_even_from_a_compromised_one(
    file_vault: FileVault, hub: Vault
) -> None:
    blank, first = hub.active(KeyPurpose.BLANK_TRANSPORT), hub.active(KeyPurpose.CARD_MASTER)
    chip = make_chip(2)
    second = None
    for current, kvn in ((blank, NEW_KVN), (first, NEW_KVN + 1)):
        if current == first:
            file_vault.move(first, KeyEvent.COMPROMISE)
            second = file_vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)
        new = hub.active(KeyPurpose.CARD_MASTER)
        session = chip.channel(hub, current)
        (data,) = hub.put_key_data([PutKeyRequest(current, new, chip.kdd, kvn)])
        replaced = 0x00 if current == blank else NEW_KVN
        put_key = CommandAPDU(0x80, 0xD8, replaced, 0x81, data.key_data, le=256)
        assert session.unwrap(chip.connection.transmit(session.wrap(put_key)))[-2:] == b"\x90\x00"
    assert second is not None
    assert chip.channel(hub, second)
    with pytest.raises(WrongCardKeys):
        chip.channel(hub, first)


def test_a_wrong_vault_leaves_the_card_as_it_was(file_vault: FileVault, hub: Vault) -> None:
    chip = make_chip(3)
    for _ in range(3):
        with pytest.raises(WrongCardKeys):
            chip.channel(hub, hub.active(KeyPurpose.CARD_MASTER))
    assert chip.channel(hub, hub.active(KeyPurpose.BLANK_TRANSPORT))
    assert file_vault.describe(KeyPurpose.CARD_MASTER)[0].uses == 3


def test_two_cards_of_one_master_have_different_keys(hub: Vault) -> None:
    blank = hub.active(KeyPurpose.BLANK_TRANSPORT)
    one, other = make_chip(4), make_chip(5)
    assert one.kdd != other.kdd
    one.kdd, other.kdd = other.kdd, one.kdd
    for chip in (one, other):
        with pytest.raises(WrongCardKeys):
            chip.channel(hub, blank)
