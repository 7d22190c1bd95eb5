"""Stock PIV software manages and uses the virtual `piv` card through pcscd."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from card_io.pcscd import reader_ports
from card_io.virtual.card import VirtualCard
from card_io.virtual.vpcd import InsertedCard
from tests.integration.opensc.conftest import Run, card_is_seen
from tests.support.pcsc import PcscService, wait_until
from tests.unit.virtual.cards import aes_keys

pytestmark = pytest.mark.pcsc

TOOL = ("yubico-piv-tool", "--reader", "Virtual PCD 00 00")
PIN = "123456"


@pytest.fixture
def piv_card(pcsc: PcscService) -> Iterator[VirtualCard]:
    """A PIV card in factory state in the first virtual reader."""
    card = VirtualCard.blank(b"piv", initial_keys=aes_keys(), profile="piv")
    with InsertedCard(card, port=reader_ports()[0]):
        wait_until(card_is_seen, "the smart card service never saw the card")
        yield card


def certify(folder: Path, name: str = "public.pem") -> None:
    """A certificate for the key in the file, by an authority of this test."""
    public = load_pem_public_key((folder / name).read_bytes())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "piv")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .public_key(public)  # type: ignore[arg-type]
    )
    certificate = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def test_status_and_pin(piv_card: VirtualCard, run: Run) -> None:
    status = run(*TOOL, "-a", "status")
    assert status.returncode == 0, status.stderr
    assert "PIN tries left:	3" in status.stdout
    assert run(*TOOL, "-a", "verify-pin", "-P", PIN).returncode == 0
    wrong = run(*TOOL, "-a", "verify-pin", "-P", "000000")
    assert wrong.returncode != 0
    assert "2 tries left" in wrong.stderr
    changed = run(*TOOL, "-a", "change-pin", "-P", PIN, "-N", "654321")
    assert changed.returncode == 0, changed.stderr
    assert run(*TOOL, "-a", "verify-pin", "-P", "654321").returncode == 0
    unblocked = run(*TOOL, "-a", "unblock-pin", "-P", "12345678", "-N", "111111")
    assert unblocked.returncode == 0, unblocked.stderr


@pytest.mark.parametrize(
    ("slot", "identifier", "algorithm"), [("9a", "01", "ECCP256"), ("9a", "01", "RSA2048"), ("9c", "02", "ECCP384")]
)
def test_key_generation_certificate_and_signature(
    piv_card: VirtualCard, run: Run, tmp_path: Path, slot: str, identifier: str, algorithm: str
) -> None:
    prepared = run(
        *TOOL, "-a", "set-chuid", "-a", "set-ccc", "-a", "generate", "-s", slot, "-A", algorithm, "-o", "public.pem"
    )
    assert prepared.returncode == 0, prepared.stderr
    certify(tmp_path)
    imported = run(*TOOL, "-a", "import-certificate", "-s", slot, "-i", "certificate.pem")
    assert imported.returncode == 0, imported.stderr
    assert f"Slot {slot}" in run(*TOOL, "-a", "status").stdout
    tested = run("pkcs11-tool", "--login", "--pin", PIN, "--test")
    assert tested.returncode == 0, tested.stderr
    assert "No errors" in tested.stdout
    (tmp_path / "message").write_bytes(b"what is signed")
    mechanism = "SHA256-RSA-PKCS" if algorithm == "RSA2048" else "ECDSA-SHA256"
    how = [
        "-m",
        mechanism,
        "-i",
        "message",
        "-o",
        "signature",
        *(["-f", "openssl"] if mechanism.startswith("E") else []),
    ]
    # With a key that wants its PIN each time the program asks again, on its standard input.
    signed = run("pkcs11-tool", "--login", "--pin", PIN, "--sign", "--id", identifier, *how)
    assert signed.returncode == 0, signed.stderr
    verified = run("openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "message")
    assert verified.stdout.strip() == "Verified OK"


def test_management_key_can_be_changed(piv_card: VirtualCard, run: Run) -> None:
    new = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEE"
    changed = run(*TOOL, "-a", "set-mgm-key", "-n", new)
    assert changed.returncode == 0, changed.stderr
    assert run(*TOOL, "-a", "set-chuid").returncode != 0
    assert run(*TOOL, f"--key={new}", "-a", "set-chuid").returncode == 0


def test_opensc_takes_it_for_what_it_is(piv_card: VirtualCard, run: Run) -> None:
    run(*TOOL, "-a", "set-chuid", "-a", "set-ccc")
    assert "Personal Identity Verification Card" in run("opensc-tool", "--name").stdout
