"""`uec keys`: a ceremony with its protocol, states of keys, and a vault carried to another place."""

from pathlib import Path

import click.testing
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from card_io.ciphers import kcv_aes
from card_io.secret import Secret
from issuance.keys.ceremony import Ceremony
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from tests.integration.cli.test_office_commands import init
from tests.support.keys import NOW, PASSPHRASES
from uec.cli import run
from uec.cli.keys import keys
from uec.services import key_ceremonies

FIRST, SECOND = bytes(range(16)), bytes(range(100, 116))
OPEN = ["--passphrase-file", "first", "--passphrase-file", "second"]
COMPONENTS = "\n".join(("11" * 32, "22" * 31 + "23")) + "\n"


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `uec init` has run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UEC_SETTINGS", raising=False)
    for name, text in (("first", PASSPHRASES[0]), ("second", PASSPHRASES[1])):
        Path(name).write_bytes(text.reveal())
    Path("password").write_text("Korotkiy-put-7-dney\n")
    assert init(tmp_path) == 0
    return tmp_path


def ask(*arguments: str, typed: str = "") -> click.testing.Result:
    """Run a command of the group and type what it asks for."""
    return click.testing.CliRunner().invoke(keys, [*arguments, *OPEN], input=typed)


def entry(name: str, component: bytes) -> str:
    return f"{name}\n{component.hex()}\n{kcv_aes(component).hex()}\n"


def test_a_ceremony_makes_a_key_and_a_signed_protocol_and_remembers_who_held_what(office: Path) -> None:
    whole = bytes(a ^ b for a, b in zip(FIRST, SECOND, strict=True))
    mistyped = f"Анна Ким\n{SECOND.hex()}\n000000\n"
    typed = mistyped + entry("Анна Ким", FIRST) + entry("Анна Ким", SECOND) + entry("Boris", SECOND)
    done = ask("ceremony", "--protocol", "protocol.pdf", typed=typed)
    assert done.exit_code == 0, done.output
    assert "mistyped" in done.output and "must not see it" in done.output
    assert kcv_aes(whole).hex().upper() in done.output
    assert FIRST.hex() not in done.output and whole.hex() not in done.output
    assert Path("protocol.pdf").read_bytes().startswith(b"%PDF-")
    with FileVault.unlock(office / "state" / "vault.json", PASSPHRASES) as vault:
        newest = vault.describe(KeyPurpose.CARD_MASTER)[-1]
        assert (newest.ref.version, newest.state, newest.check_value) == (2, "active", kcv_aes(whole).hex().upper())
    # In the next ceremony the two may not change places.
    swapped = entry("boris", FIRST) + entry("Anna", FIRST) + entry("Анна Ким", SECOND) + entry("Boris", SECOND)
    again = ask("ceremony", "--purpose", "pin-master", "--algorithm", "aes-128", "--protocol", "2.pdf", typed=swapped)
    assert again.exit_code == 0, again.output
    assert again.output.count("must not see it") == 2


def test_the_protocols_signature_is_the_audit_keys(office: Path) -> None:
    held = Ceremony(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, 2, {})
    for place, (name, component) in enumerate((("Щукина, Анна №1", FIRST), ("Boris", SECOND)), 1):
        held = held.enter(name, place, Secret(component), kcv_aes(component).hex())
    with FileVault.unlock(office / "state" / "vault.json", PASSPHRASES) as vault:
        signed: list[bytes] = []
        real = vault.sign

        def sign(ref, messages):  # type: ignore[no-untyped-def]
            signed.extend(messages)
            return real(ref, messages)

        vault.sign = sign  # type: ignore[method-assign]
        pdf = key_ceremonies.signed_protocol(vault, held, vault.active(KeyPurpose.CARD_MASTER), now=NOW)
        public = serialization.load_der_public_key(vault.public_key(vault.active(KeyPurpose.AUDIT)))
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(real(vault.active(KeyPurpose.AUDIT), signed)[0], signed[0], ec.ECDSA(hashes.SHA256()))
    assert signed[0].isascii() and b"SHCHUKINA" in signed[0].upper()
    assert FIRST.hex().encode() not in signed[0] and len(pdf) > 800


def test_a_key_goes_through_its_states(office: Path) -> None:
    assert ask("rotate").exit_code == 0
    assert "is compromised" in ask("move", "card-master", "1", "compromise").output
    refused = ask("move", "card-master", "2", "destroy", typed="y\n")
    assert refused.exit_code != 0
    assert "is destroyed" in ask("move", "card-master", "1", "destroy", typed="y\n").output
    told = ask("list").output
    assert "destroyed" in told and "compromised" not in told
    assert run(["keys", "move", "card-master", "7", "retire", *OPEN]) != 0
    assert run(["keys", "move", "nothing", "1", "retire", *OPEN]) == 2


def test_keys_are_backed_up_and_restored_in_another_office(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ask("list").output
    made = ask("back-up", "keys.backup", typed=COMPONENTS)
    assert made.exit_code == 0 and "check value" in made.output, made.output
    taken = ask("restore", "keys.backup", typed=COMPONENTS)
    assert taken.exit_code != 0  # this vault has keys
    other = office / "other"
    other.mkdir()
    for name in ("first", "second", "keys.backup"):
        (other / name).write_bytes((office / name).read_bytes())
    (other / "uec.toml").write_text('state_dir = "state"\n')
    monkeypatch.chdir(other)
    wrong = ask("restore", "keys.backup", typed="\n".join(("11" * 32, "33" * 32)) + "\n")
    assert wrong.exit_code != 0
    done = ask("restore", "keys.backup", typed=COMPONENTS)
    assert done.exit_code == 0, done.output
    assert ask("list").output == told
    assert (other / "state" / "vault.json").stat().st_mode & 0o077 == 0
