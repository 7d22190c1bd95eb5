"""3DES masters for cards of SCP02: EMV's and VISA's derivations for thousands, in both vaults and over the socket."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from card_io import scp02
from card_io.ciphers import des3_ecb_decrypt, kcv_des3
from card_io.diversification import diversify
from card_io.keyset import KeySet
from card_io.secret import Secret
from issuance.errors import BadComponent, UnusableKey, VaultError, WrongCardKeys
from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.keys.engine import VaultEngine
from issuance.keys.file_vault import FileVault
from issuance.keys.pkcs11_vault import Pkcs11Vault
from issuance.keys.port import CardSessionRequest, KeyAlgorithm, KeyPurpose, KeyRef, PutKeyRequest, Vault
from issuance.keys.service import VaultService
from tests.support.keys import CHEAP, HOST_CHALLENGE, KDD, NOW, PASSPHRASES, des_initialize_update_response
from tests.support.tokens import PIN_HALVES, new_token

MASTER = bytes(range(0x20, 0x30))
COMPONENTS = (Secret(b"\x55" * 16), Secret(bytes(byte ^ 0x55 for byte in MASTER)))
CHECK_VALUE = kcv_des3(MASTER).hex().upper()
BLANK = KeyRef(KeyPurpose.BLANK_TRANSPORT, 2)
DERIVATIONS = ["emv", "visa2"]


@pytest.fixture(params=["file_vault", "token_vault"])
def engine(request: pytest.FixtureRequest) -> VaultEngine:
    """A vault whose second transport master is a known 3DES key."""
    vault: VaultEngine = request.getfixturevalue(request.param)
    ref = vault.import_key(
        KeyPurpose.BLANK_TRANSPORT, KeyAlgorithm.DES3, COMPONENTS, check_value=CHECK_VALUE, now=NOW + timedelta(days=1)
    )
    assert ref == BLANK
    return vault


@pytest.fixture(params=["direct", "socket"])
def hub(request: pytest.FixtureRequest, engine: VaultEngine, run_folder: Path) -> Iterator[Vault]:
    """The vault as the hub sees it."""
    if request.param == "direct":
        yield engine
        return
    with VaultService(engine, run_folder / "v.sock"), VaultClient(run_folder / "v.sock", ClientKind.HUB) as client:
        yield client


def request_of(derivation: str, kdd: bytes, *, counter: int = 1) -> CardSessionRequest:
    keys = diversify(derivation, KeySet.same(Secret(MASTER)), kdd)
    response = des_initialize_update_response(keys, kdd=kdd, counter=counter)
    return CardSessionRequest(BLANK, kdd, HOST_CHALLENGE, response, i=0x15, derivation=derivation, scp="02")


@pytest.mark.parametrize("derivation", DERIVATIONS)
def test_a_thousand_cards_are_opened_in_one_call(hub: Vault, derivation: str) -> None:
    kdds = [number.to_bytes(10, "big") for number in range(1 << 40, (1 << 40) + 1000)]
    requests = [request_of(derivation, kdd, counter=at) for at, kdd in enumerate(kdds)]
    sessions = hub.card_sessions(requests)
    assert len(sessions) == 1000
    for at in (0, 1, 500, 999):
        static = diversify(derivation, KeySet.same(Secret(MASTER)), kdds[at])
        expected = scp02.derive_session_keys(static, at)
        assert (sessions[at].enc, sessions[at].mac, sessions[at].rmac) == (expected.enc, expected.mac, expected.rmac)
        assert sessions[at].dek is None
    uses = {info.ref: info.uses for info in hub.describe(KeyPurpose.BLANK_TRANSPORT)}
    assert uses[BLANK] == 1000


def test_one_stranger_among_them_stops_the_call(hub: Vault) -> None:
    good, other = request_of("emv", KDD), request_of("emv", bytes(10))
    with pytest.raises(WrongCardKeys) as caught:
        hub.card_sessions([good, replace(other, kdd=KDD)])
    assert caught.value.facts == {"purpose": "blank-transport", "version": 2, "kvn": 1}
    with pytest.raises(VaultError):
        hub.card_session(replace(good, derivation="kdf3", scp="03"))
    with pytest.raises(VaultError):
        hub.card_session(replace(good, master=KeyRef(KeyPurpose.BLANK_TRANSPORT, 1)))


@pytest.mark.parametrize("derivation", DERIVATIONS)
def test_new_keys_go_to_the_card_under_its_sessions_dek(hub: Vault, engine: VaultEngine, derivation: str) -> None:
    new = engine.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.DES3, now=NOW + timedelta(days=1))
    asked = PutKeyRequest(BLANK, new, KDD, 0x21, derivation, sequence_counter=3)
    first, second = hub.put_key_data([asked, replace(asked, kdd=bytes(10))])
    assert first.check_values != second.check_values and first == hub.put_key_data([asked])[0]
    dek = scp02.derive_session_keys(diversify(derivation, KeySet.same(Secret(MASTER)), KDD), 3).dek
    assert dek is not None
    for at, kcv in enumerate(first.check_values):
        block = first.key_data[1 + 22 * at : 23 + 22 * at]
        assert kcv_des3(des3_ecb_decrypt(dek.reveal(), block[2:18])) == kcv == block[19:]
    with pytest.raises(VaultError):
        hub.put_key_data([replace(asked, sequence_counter=None)])


def test_a_3des_master_serves_cards_only_and_derives_no_aes_keys(hub: Vault, engine: VaultEngine) -> None:
    (told,) = [info for info in hub.describe() if info.ref == BLANK]
    assert (told.algorithm, told.check_value) == (KeyAlgorithm.DES3, CHECK_VALUE)
    master = engine.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.DES3, now=NOW)
    with pytest.raises(VaultError):
        hub.admin_key(master, "4790d321", 16)
    for purpose in (KeyPurpose.PIN_MASTER, KeyPurpose.CA_ISSUING, KeyPurpose.BUREAU_TRANSPORT):
        with pytest.raises(UnusableKey):
            engine.generate(purpose, KeyAlgorithm.DES3, now=NOW)
    with pytest.raises(BadComponent, match=CHECK_VALUE):
        engine.import_key(KeyPurpose.BLANK_TRANSPORT, KeyAlgorithm.DES3, COMPONENTS, check_value="000000", now=NOW)


def test_a_3des_master_moves_from_file_to_token_to_token(tmp_path: Path) -> None:
    transport, asked = Secret(bytes(range(32))), replace(request_of("visa2", KDD), master=replace(BLANK, version=1))
    with FileVault.create(tmp_path / "vault", PASSPHRASES, cost=CHEAP) as origin:
        origin.import_key(KeyPurpose.BLANK_TRANSPORT, KeyAlgorithm.DES3, COMPONENTS, check_value=CHECK_VALUE, now=NOW)
        expected, data = origin.card_session(asked), origin.back_up(transport)
    for name in ("first", "second"):
        token = replace(new_token(tmp_path / name), extractable=True)
        with Pkcs11Vault.create(token, PIN_HALVES) as vault:
            vault.restore(data, transport)
            assert vault.card_session(asked) == expected
            data = vault.back_up(transport)
