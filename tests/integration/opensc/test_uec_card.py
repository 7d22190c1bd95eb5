"""Stock software, which no one here wrote, reads a `uec` card, logs in to it and signs with it, through pcscd."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509

from card_io.pcscd import reader_ports
from card_io.virtual.card import VirtualCard
from card_io.virtual.vpcd import InsertedCard
from tests.integration.opensc.conftest import Run, card_is_seen
from tests.support.line import HOLDER_PINS, LETTER
from tests.support.pcsc import wait_until

pytestmark = pytest.mark.pcsc

PIN1 = HOLDER_PINS["pin1"].reveal().decode()
PIN2 = HOLDER_PINS["pin2"].reveal().decode()


def test_a_plain_iso_7816_15_reader_lists_everything(uec_card: VirtualCard, run: Run) -> None:
    result = run("pkcs15-tool", "--dump", OPENSC_DRIVER="default")
    assert result.returncode == 0, result.stderr
    for line in (
        "PIN [PIN1 (identification)]",
        "PIN [PIN2 (signature)]",
        "Private EC Key [Authentication]",
        "Private EC Key [Signature]",
        "Private EC Key [Key agreement]",
        "X.509 Certificate [Card authentication]",
        "Data object 'Security object'",
    ):
        assert line in result.stdout


def test_the_isoapplet_driver_takes_the_card(uec_card: VirtualCard, run: Run) -> None:
    assert "Javacard with IsoApplet" in run("opensc-tool", "--name").stdout


@pytest.mark.parametrize("identifier", ["01", "02", "03", "04"])
def test_certificates_are_read(uec_card: VirtualCard, run: Run, identifier: str) -> None:
    result = run("pkcs15-tool", "--read-certificate", identifier)
    assert result.returncode == 0, result.stderr
    certificate = x509.load_pem_x509_certificate(result.stdout.encode())
    assert certificate.subject.rfc4514_string()


@pytest.mark.parametrize(("slot", "pin"), [("0", PIN1), ("1", PIN2)])
def test_login_and_the_programs_own_tests(uec_card: VirtualCard, run: Run, slot: str, pin: str) -> None:
    result = run("pkcs11-tool", "--slot-index", slot, "--login", "--pin", pin, "--test")
    assert result.returncode == 0, result.stderr
    assert "No errors" in result.stdout


@pytest.mark.parametrize(("slot", "pin", "identifier"), [("0", PIN1, "01"), ("1", PIN2, "02")])
def test_a_signature_holds(
    uec_card: VirtualCard, run: Run, tmp_path: Path, slot: str, pin: str, identifier: str
) -> None:
    (tmp_path / "message").write_bytes(b"what is signed " * 20)
    sign = ["--sign", "--id", identifier, "-m", "ECDSA-SHA1", "-f", "openssl", "-i", "message", "-o", "signature"]
    result = run("pkcs11-tool", "--slot-index", slot, "--login", "--pin", pin, *sign)
    assert result.returncode == 0, result.stderr
    (tmp_path / "certificate").write_text(run("pkcs15-tool", "--read-certificate", identifier).stdout)
    assert run("openssl", "x509", "-in", "certificate", "-pubkey", "-noout", "-out", "key").returncode == 0
    verified = run("openssl", "dgst", "-sha1", "-verify", "key", "-signature", "signature", "message")
    assert verified.stdout.strip() == "Verified OK"
    (tmp_path / "message").write_bytes(b"something else")
    assert run("openssl", "dgst", "-sha1", "-verify", "key", "-signature", "signature", "message").returncode != 0


def test_one_pin_gives_one_signature(uec_card: VirtualCard, run: Run, tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(b"m")
    sign = ["--sign", "--id", "02", "-m", "ECDSA-SHA1", "-i", "message", "-o", "signature"]
    result = run("pkcs11-tool", "--slot-index", "1", *sign)
    assert result.returncode != 0
    assert not (tmp_path / "signature").exists()


def test_wrong_pins_are_counted_and_the_unblocking_code_helps(uec_card: VirtualCard, run: Run) -> None:
    for _ in range(3):
        assert run("pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", "0000").returncode != 0
    assert run("pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", PIN1).returncode != 0
    refused = run("pkcs15-tool", "--unblock-pin", "--auth-id", "01", "--puk", "00000000", "--new-pin", "1111")
    assert "tries left: 9" in refused.stderr


@pytest.mark.parametrize(("identifier", "new"), [("01", "730264"), ("02", "7302648")])
def test_the_code_of_the_holders_letter_unblocks_without_any_office(
    uec_card: VirtualCard, run: Run, identifier: str, new: str
) -> None:
    """Where the profile prints the code, its holder needs no window: any program of ISO/IEC 7816-15 does."""
    for _ in range(3):
        assert run("pkcs15-tool", "--verify-pin", "--auth-id", identifier, "--pin", "000000").returncode != 0
    blocked = run("pkcs15-tool", "--verify-pin", "--auth-id", identifier, "--pin", new)
    assert blocked.returncode != 0
    code = LETTER.reveal().decode()
    unblocked = run("pkcs15-tool", "--unblock-pin", "--auth-id", identifier, "--puk", code, "--new-pin", new)
    assert unblocked.returncode == 0, unblocked.stderr
    assert run("pkcs15-tool", "--verify-pin", "--auth-id", identifier, "--pin", new).returncode == 0


def test_a_pin_is_changed(uec_card: VirtualCard, run: Run) -> None:
    changed = run("pkcs15-tool", "--change-pin", "--auth-id", "01", "--pin", PIN1, "--new-pin", "77777")
    assert changed.returncode == 0, changed.stderr
    assert run("pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", "77777").returncode == 0


def test_protected_data_want_the_pin(uec_card: VirtualCard, run: Run) -> None:
    person = ("pkcs15-tool", "--read-data-object", "Person", "--raw")
    assert run(*person).returncode != 0
    listed = run("pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", PIN1, "--read-data-object", "Person")
    assert listed.returncode == 0, listed.stderr
    assert "Data object" in listed.stdout or len(listed.stdout) > 20


def test_two_cards_in_two_readers_at_once(
    uec_card: VirtualCard, made_card: VirtualCard, run: Run, tmp_path: Path
) -> None:
    made_card.save(tmp_path / "second.json")
    with (
        InsertedCard(VirtualCard.load(tmp_path / "second.json"), port=reader_ports()[1]),
        ThreadPoolExecutor(2) as pool,
    ):
        wait_until(lambda: card_is_seen(1), "the smart card service never saw the second card")
        reading = [
            pool.submit(run, "pkcs15-tool", "--reader", reader, "--read-certificate", "01") for reader in ("0", "1") * 2
        ]
        answers = {future.result().stdout for future in reading}
    assert len(answers) == 1
    assert "BEGIN CERTIFICATE" in answers.pop()
