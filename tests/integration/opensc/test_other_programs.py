"""More programs that no one here wrote, on finished cards: GnuTLS, OpenSSL, NSS, OpenSSH and GnuPG."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from card_io.pcscd import reader_ports
from card_io.virtual.card import VirtualCard
from card_io.virtual.vpcd import InsertedCard
from tests.integration.opensc import scdaemon
from tests.integration.opensc.conftest import Run, card_is_seen
from tests.support.line import HOLDER_PINS, blank_card
from tests.support.pcsc import PcscService, wait_until
from tests.unit.production.piv_line import open_line

pytestmark = pytest.mark.pcsc

PIN1 = HOLDER_PINS["pin1"].reveal().decode()
PIN2 = HOLDER_PINS["pin2"].reveal().decode()
TOKEN = quote("UEC (PIN1 (identification))")
NICKNAME = "UEC (PIN1 (identification))"


@pytest.fixture(scope="session")
def made_piv_card(tmp_path_factory: pytest.TempPathFactory) -> VirtualCard:
    """A PIV card personalised, inspected and handed over in this process."""
    with open_line(tmp_path_factory.mktemp("piv-line")) as line:
        number, card = line.order(1), blank_card(1, kind="piv")
        line.personalise(number, card)
        line.inspect(number, card)
        line.hand_over(number, card)
    return card


@pytest.fixture
def piv_card(pcsc: PcscService, made_piv_card: VirtualCard, tmp_path: Path) -> Iterator[VirtualCard]:
    """A copy of that card in the first virtual reader."""
    made_piv_card.save(tmp_path / "piv.json")
    with InsertedCard(card := VirtualCard.load(tmp_path / "piv.json"), port=reader_ports()[0]):
        wait_until(card_is_seen, "the smart card service never saw the card")
        yield card


@pytest.fixture(scope="session")
def module() -> str:
    """OpenSC's PKCS#11 module."""
    found = sorted(Path("/usr/lib").glob("**/opensc-pkcs11.so"))
    assert found, "run `apt-get install opensc-pkcs11`"
    return str(found[0])


def key_in_certificate(run: Run, identifier: str) -> bytes:
    """The public key (DER) of a certificate on the card."""
    text = run("pkcs15-tool", "--read-certificate", identifier).stdout
    public = x509.load_pem_x509_certificate(text.encode()).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("identifier", ["01", "02", "03"])
def test_public_keys_name_their_curve(uec_card: VirtualCard, run: Run, identifier: str) -> None:
    """As PEM that other libraries read: a bare point has no curve, and OpenSSL's engine crashed on it."""
    shown = run("pkcs15-tool", "--read-public-key", identifier).stdout
    public = load_pem_public_key(shown[shown.index("-----BEGIN") :].encode())
    assert public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == key_in_certificate(run, identifier)


def test_gnutls_lists_and_exports(uec_card: VirtualCard, run: Run, module: str) -> None:
    listed = run("p11tool", "--provider", module, "--list-all-certs", f"pkcs11:token={TOKEN}")
    assert listed.stdout.count("X.509 Certificate (EC/ECDSA-SECP256R1)") == 3, listed.stderr
    exported = run("p11tool", "--provider", module, "--export", f"pkcs11:token={TOKEN};id=%01;type=public")
    assert exported.returncode == 0, exported.stderr
    assert load_pem_public_key(exported.stdout.encode())


def test_openssl_reads_a_public_key_through_its_engine(uec_card: VirtualCard, run: Run) -> None:
    name = f"pkcs11:token={TOKEN};id=%01;type=public"
    shown = run("openssl", "pkey", "-engine", "pkcs11", "-inform", "engine", "-pubin", "-in", name, "-pubout")
    assert shown.returncode == 0, shown.stderr
    public = load_pem_public_key(shown.stdout.encode())
    assert public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == key_in_certificate(run, "01")


def test_openssh_lists_the_keys(uec_card: VirtualCard, run: Run, module: str) -> None:
    listed = run("ssh-keygen", "-D", module)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("ecdsa-sha2-nistp256 ") == 4
    assert "failed" not in listed.stderr


def add_to_nss(run: Run, module: str, pin: str, folder: Path) -> None:
    (folder / "nss").mkdir()
    (folder / "pin").write_text(pin)
    assert run("certutil", "-N", "-d", "sql:nss", "--empty-password").returncode == 0
    added = run("modutil", "-force", "-add", "card", "-libfile", module, "-dbdir", "sql:nss")
    assert added.returncode == 0, added.stderr


def test_nss_takes_certificates_and_keys(uec_card: VirtualCard, run: Run, module: str, tmp_path: Path) -> None:
    """As Firefox and Thunderbird see a card: `u` says that the private key is there too."""
    add_to_nss(run, module, PIN1, tmp_path)
    listed = run("certutil", "-L", "-d", "sql:nss", "-h", NICKNAME, "-f", "pin")
    assert f"{NICKNAME}:Authentication" in listed.stdout and listed.stdout.count("u,u,u") == 2, listed.stderr
    keys = run("certutil", "-K", "-d", "sql:nss", "-h", NICKNAME, "-f", "pin")
    assert keys.stdout.count(" ec ") == 2, keys.stderr


@pytest.mark.parametrize(("key", "identifier", "pin"), [("P15.01", "01", PIN1), ("P15.02", "02", PIN2)])
def test_gnupg_learns_the_card_and_signs(
    uec_card: VirtualCard, run: Run, tmp_path: Path, key: str, identifier: str, pin: str
) -> None:
    digest = hashlib.sha256(b"what is signed").digest()
    with scdaemon.running(tmp_path) as gnupg:
        gnupg.pin = pin
        assert gnupg.ask("SERIALNO")[0] == ["SERIALNO 9643600000000001"]
        learned = gnupg.ask("LEARN --force")[0]
        assert sum(line.startswith("CERTINFO") for line in learned) == 4
        assert sum(line.startswith("KEYPAIRINFO") for line in learned) == 3
        gnupg.ask(f"SETDATA {digest.hex()}")
        signature = gnupg.ask(f"PKSIGN --hash=sha256 {key}")[1]
    text = run("pkcs15-tool", "--read-certificate", identifier).stdout
    public = x509.load_pem_x509_certificate(text.encode()).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_tools_for_other_cards_refuse_politely(uec_card: VirtualCard, run: Run) -> None:
    """Each looks for a card of its own kind; ours stays usable, with every try of its PINs."""
    for tool in (
        ("cardos-tool", "--info"),
        ("piv-tool", "--name"),
        ("eidenv",),
        ("openpgp-tool", "--card-info"),
        ("dnie-tool", "--idesp"),
        ("yubico-piv-tool", "--reader", "Virtual", "-a", "status"),
    ):
        refused = run(*tool)
        assert refused.returncode > 0, f"{tool[0]} ended with {refused.returncode}: {refused.stdout}"
    assert run("pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", PIN1).returncode == 0


@pytest.mark.parametrize("action", ["test-signature", "test-decipher"])
def test_yubico_piv_tool_tests_a_key(piv_card: VirtualCard, run: Run, action: str) -> None:
    tool = ("yubico-piv-tool", "--reader", "Virtual PCD 00 00")
    slot = "9a" if action == "test-signature" else "9d"
    assert run(*tool, "-a", "read-certificate", "-s", slot, "-o", "certificate.pem").returncode == 0
    tested = run(*tool, "-a", "verify-pin", "-P", PIN2, "-a", action, "-s", slot, "-i", "certificate.pem")
    assert tested.returncode == 0 and "Success" in tested.stdout + tested.stderr, tested.stderr


@pytest.mark.parametrize("digest", ["sha1", "sha224", "sha256", "sha384", "sha512"])
def test_every_ecdsa_mechanism_of_opensc_on_a_piv_card(
    piv_card: VirtualCard, run: Run, tmp_path: Path, digest: str
) -> None:
    (tmp_path / "message").write_bytes(b"what is signed " * 20)
    (tmp_path / "key.der").write_bytes(key_in_certificate(run, "01"))
    how = ("-m", f"ECDSA-{digest.upper()}", "-f", "openssl", "-i", "message", "-o", "signature")
    signed = run("pkcs11-tool", "--login", "--pin", PIN2, "--sign", "--id", "01", *how)
    assert signed.returncode == 0, signed.stderr
    check = ("openssl", "dgst", f"-{digest}", "-verify", "key.der", "-keyform", "DER", "-signature", "signature")
    assert run(*check, "message").stdout.strip() == "Verified OK"


def test_two_parties_agree_on_a_secret(piv_card: VirtualCard, run: Run, tmp_path: Path) -> None:
    peer = ec.generate_private_key(ec.SECP256R1())
    info = peer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "peer.der").write_bytes(info)
    how = ("-m", "ECDH1-DERIVE", "--input-file", "peer.der", "--output-file", "secret")
    derived = run("pkcs11-tool", "--login", "--pin", PIN2, "--derive", "--id", "03", *how)
    assert derived.returncode == 0, derived.stderr
    text = run("pkcs15-tool", "--read-certificate", "03").stdout
    public = x509.load_pem_x509_certificate(text.encode()).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert (tmp_path / "secret").read_bytes() == peer.exchange(ec.ECDH(), public)


def test_gnutls_and_openssl_sign_with_a_piv_card(piv_card: VirtualCard, run: Run, module: str, tmp_path: Path) -> None:
    key = "pkcs11:id=%01;type=private"
    tested = run("p11tool", "--provider", module, "--login", "--set-pin", PIN2, "--test-sign", key)
    assert tested.returncode == 0, tested.stderr
    name = f"{key};pin-value={PIN2}"
    engine = ("-engine", "pkcs11", "-keyform", "engine")
    asked = run("openssl", "req", "-new", *engine, "-key", name, "-sha256", "-subj", "/CN=x", "-out", "request")
    assert asked.returncode == 0, asked.stderr
    assert run("openssl", "req", "-in", "request", "-verify", "-noout").returncode == 0


def test_nss_and_openssh_take_a_piv_card(piv_card: VirtualCard, run: Run, module: str, tmp_path: Path) -> None:
    add_to_nss(run, module, PIN2, tmp_path)
    listed = run("certutil", "-L", "-d", "sql:nss", "-h", "all", "-f", "pin")
    assert listed.stdout.count("u,u,u") == 4, listed.stderr
    assert run("ssh-keygen", "-D", module).stdout.count("ecdsa-sha2-nistp256 ") == 4
