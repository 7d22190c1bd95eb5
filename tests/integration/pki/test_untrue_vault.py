"""A vault that signs wrongly, counts, or is gone: the authority notices before anything leaves the house."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from issuance.errors import PkiError, UnusableKey, VaultLocked, VaultUnavailable
from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.keys.file_vault import FileVault
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.port import KeyRef
from issuance.keys.service import VaultService
from issuance.pki.ca import CertificateAuthority
from issuance.pki.crl import build_crl
from tests.support.keys import PASSPHRASES, make_vault
from tests.support.pki import CONFIG, TODAY, Authority, make_authority


@pytest.fixture
def vault(tmp_path: Path) -> FileVault:
    return make_vault(tmp_path / "vault")


def test_a_wrong_signature_does_not_leave_the_house(vault: FileVault, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_authority(vault)
    prepared = [authority.ca.prepare(authority.request())]
    real = vault.sign

    def swapped(ref: KeyRef, messages: Sequence[bytes]) -> list[bytes]:
        return real(ref, [message + b"\x00" for message in messages])

    monkeypatch.setattr(vault, "sign", swapped)
    with pytest.raises(PkiError) as caught:
        authority.ca.sign(prepared, now=TODAY)
    assert "stop issuing" in str(caught.value)
    vault.close()


def test_a_locked_vault_signs_nothing(vault: FileVault) -> None:
    authority = make_authority(vault)
    prepared = [authority.ca.prepare(authority.request())]
    vault.close()
    with pytest.raises(VaultLocked):
        authority.ca.sign(prepared, now=TODAY)
    with pytest.raises(VaultLocked):
        build_crl(authority.ca.signer, number=1, this_update=TODAY, next_update=TODAY + timedelta(days=1), entries=[])


def test_a_compromised_issuing_key_issues_no_more(vault: FileVault) -> None:
    with vault:
        authority = make_authority(vault)
        prepared = [authority.ca.prepare(authority.request())]
        vault.move(authority.ca.signer.ref, KeyEvent.COMPROMISE)
        with pytest.raises(UnusableKey) as caught:
            authority.ca.sign(prepared, now=TODAY)
        assert "compromised" in str(caught.value)


def test_the_authority_works_over_the_socket_and_says_when_the_vault_is_gone(vault: FileVault) -> None:
    with vault, TemporaryDirectory(prefix="uec-") as folder:
        local = make_authority(vault)
        base = Path(folder) / "vault.sock"
        with VaultService(vault, base), VaultClient(base, ClientKind.HUB) as hub:
            ca = CertificateAuthority(hub, root=local.ca.root, issuing=local.ca.issuing, config=CONFIG)
            over = Authority(hub, ca, local.document_signer, local.trust)
            prepared = [ca.prepare(over.request()) for _ in range(25)]
            assert len(ca.sign(prepared, now=TODAY)) == 25
            entries = [b"0" * 40] * 40_000  # longer than what is sent whole: only the digest crosses
            crl = build_crl(
                ca.signer, number=1, this_update=TODAY, next_update=TODAY + timedelta(days=1), entries=entries
            )
            assert len(crl) > 1_600_000
        with pytest.raises(VaultUnavailable):
            ca.sign(prepared, now=TODAY)


def test_what_was_prepared_is_signed_after_a_restart_just_as_well(tmp_path: Path) -> None:
    path = tmp_path / "vault"
    with make_vault(path) as vault:
        authority = make_authority(vault)
        prepared = authority.ca.prepare(authority.request())
    with FileVault.unlock(path, PASSPHRASES) as again:
        ca = CertificateAuthority(again, root=authority.ca.root, issuing=authority.ca.issuing, config=CONFIG)
        assert ca.prepare(prepared.request) == prepared
        assert prepared.tbs_der in ca.sign([prepared], now=TODAY)[0]
