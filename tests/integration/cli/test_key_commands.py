"""`uec keys`: a ceremony with its protocol, states of keys, and a vault carried to another place."""

import re
from datetime import UTC, datetime
from pathlib import Path

import click
import click.testing
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pypdf import PdfReader

from card_io.ciphers import kcv_aes
from card_io.secret import Secret
from issuance.errors import VaultUnlockError
from issuance.keys import sealing, shares, storage
from issuance.keys.ceremony import Ceremony
from issuance.keys.custodians import Place, Scheme
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from tests.support.key_office import (
    FIRST,
    OPEN,
    SECOND,
    actions_of,
    ask,
    entry,
    history_of,
    share_entry,
    store_of,
)
from tests.support.keys import NOW, PASSPHRASES
from uec.cli import run
from uec.cli.keys import keys
from uec.services import key_ceremonies
from uec.store.tables import KeyVersion

COMPONENTS = "\n".join(("11" * 32, "22" * 31 + "23")) + "\n"


def test_a_ceremony_makes_a_key_and_a_signed_protocol_and_remembers_who_held_what(key_office: Path) -> None:
    whole = bytes(a ^ b for a, b in zip(FIRST, SECOND, strict=True))
    mistyped = f"Анна Ким\n{SECOND.hex()}\n000000\n"
    typed = mistyped + entry("Анна Ким", FIRST) + entry("Анна Ким", SECOND) + entry("Boris", SECOND) + "y\n"
    done = ask("ceremony", "--protocol", "protocol.pdf", typed=typed)
    assert done.exit_code == 0, done.output
    assert "mistyped" in done.output and "must not see it" in done.output
    assert kcv_aes(whole).hex().upper() in done.output
    assert FIRST.hex() not in done.output and whole.hex() not in done.output
    assert Path("protocol.pdf").read_bytes().startswith(b"%PDF-")
    with FileVault.unlock(key_office / "state" / "vault.json", PASSPHRASES) as vault:
        newest = vault.describe(KeyPurpose.CARD_MASTER)[-1]
        assert (newest.ref.version, newest.state, newest.check_value) == (2, "active", kcv_aes(whole).hex().upper())
    # In the next ceremony the two may not change places.
    swapped = entry("boris", FIRST) + entry("Anna", FIRST) + entry("Анна Ким", SECOND) + entry("Boris", SECOND) + "y\n"
    again = ask("ceremony", "--purpose", "pin-master", "--algorithm", "aes-128", "--protocol", "2.pdf", typed=swapped)
    assert again.exit_code == 0, again.output
    assert again.output.count("must not see it") == 2


def test_the_protocols_signature_is_the_audit_keys(key_office: Path) -> None:
    held = Ceremony(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, 2, {})
    for place, (name, component) in enumerate((("Щукина, Анна №1", FIRST), ("Boris", SECOND)), 1):
        held = held.enter(name, place, Secret(component), kcv_aes(component).hex())
    with FileVault.unlock(key_office / "state" / "vault.json", PASSPHRASES) as vault:
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


def test_a_key_made_ahead_waits_until_it_is_moved(key_office: Path) -> None:
    made = ask("rotate", "card-master", "--ahead")
    assert made.exit_code == 0 and "waits for `uec keys move card-master 2 activate`" in made.output
    with FileVault.unlock(key_office / "state" / "vault.json", PASSPHRASES) as vault:
        assert vault.active(KeyPurpose.CARD_MASTER).version == 1
        assert [info.state for info in vault.describe(KeyPurpose.CARD_MASTER)] == ["active", "pre-active"]
    with store_of(key_office) as session:
        assert session.get_one(KeyVersion, ("card-master", 2)).state == "pre-active"
    assert "is active" in ask("move", "card-master", "2", "activate").output
    with FileVault.unlock(key_office / "state" / "vault.json", PASSPHRASES) as vault:
        assert [info.state for info in vault.describe(KeyPurpose.CARD_MASTER)] == ["retired", "active"]


def test_a_key_goes_through_its_states(key_office: Path) -> None:
    assert ask("rotate").exit_code == 0
    assert "is compromised" in ask("move", "card-master", "1", "compromise").output
    refused = ask("move", "card-master", "2", "destroy", typed="y\n")
    assert refused.exit_code != 0
    assert "is destroyed" in ask("move", "card-master", "1", "destroy", typed="y\n").output
    told = ask("list").output
    assert "destroyed" in told and "compromised" not in told
    assert run(["keys", "move", "card-master", "7", "retire", *OPEN]) != 0
    assert run(["keys", "move", "nothing", "1", "retire", *OPEN]) == 2


def test_keys_are_backed_up_and_restored_in_another_office(key_office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ask("list").output
    made = ask("back-up", "keys.backup", typed=COMPONENTS)
    assert made.exit_code == 0 and "check value" in made.output, made.output
    taken = ask("restore", "keys.backup")
    assert taken.exit_code != 0 and "has keys already" in str(taken.exception), "nobody had to type a component"
    other = key_office / "other"
    other.mkdir()
    for name in ("first", "second", "keys.backup"):
        (other / name).write_bytes((key_office / name).read_bytes())
    (other / "uec.toml").write_text('state_dir = "state"\n')
    monkeypatch.chdir(other)
    wrong = ask("restore", "keys.backup", typed="\n".join(("11" * 32, "33" * 32)) + "\n")
    assert wrong.exit_code != 0
    done = ask("restore", "keys.backup", typed=COMPONENTS)
    assert done.exit_code == 0, done.output
    assert keys_of(ask("list").output) == keys_of(told)  # this vault has no office, so no cards are counted
    assert (other / "state" / "vault.json").stat().st_mode & 0o077 == 0


def keys_of(told: str) -> list[list[str]]:
    """The lines of `uec keys list` without their last column, the cards."""
    return [line.split("\t")[:8] for line in told.splitlines() if "\t" in line]


def test_three_of_five_custodians_make_a_key_and_one_who_held_a_component_does_not(key_office: Path) -> None:
    typed = entry("Анна Ким", FIRST) + entry("Boris", SECOND) + "y\n"
    assert ask("ceremony", "--protocol", "1.pdf", typed=typed).exit_code == 0
    parts = shares.split(Secret(FIRST), threshold=3, count=5)
    mistyped = f"Вера\n{parts[0].words.reveal().decode().replace(' ', ' academic ', 1)}\n{parts[0].check_value}\n"
    typed = (
        mistyped
        + share_entry("Анна  КИМ", parts[0])
        + share_entry("Вера", parts[4])
        + share_entry("вера", parts[1])
        + share_entry("Глеб", parts[1])
        + share_entry("Дина", parts[3])
        + "y\n"
    )
    done = ask("ceremony", "--shares", "--purpose", "pin-master", "--protocol", "2.pdf", typed=typed)
    assert done.exit_code == 0, done.output
    assert done.output.count("must not see it") == 2 and "mistyped" in done.output
    assert kcv_aes(FIRST).hex().upper() in done.output
    assert FIRST.hex() not in done.output
    assert not any(" ".join(part.words.reveal().decode().split()[5:8]) in done.output for part in parts)
    assert history_of(key_office) == {
        "анна ким": Place(Scheme.COMPONENT, 1),
        "boris": Place(Scheme.COMPONENT, 2),
        "вера": Place(Scheme.SHARE, 5),
        "глеб": Place(Scheme.SHARE, 2),
        "дина": Place(Scheme.SHARE, 4),
    }
    with FileVault.unlock(key_office / "state" / "vault.json", PASSPHRASES) as vault:
        assert vault.describe(KeyPurpose.PIN_MASTER)[-1].check_value == kcv_aes(FIRST).hex().upper()
    printed = " ".join(page.extract_text() for page in PdfReader("2.pdf").pages)
    for fact in (
        "pin-master version 2",
        "VERA",
        "Share 5",
        parts[4].check_value,
        "Signed by audit key version 1",
        "____",
    ):
        assert fact.upper() in printed.upper(), fact


def test_a_divided_key_guards_a_backup_and_a_lost_custodian_is_not_missed(
    key_office: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = ("Анна", "Boris", "Вера")
    divided = ask(
        "divide", "--shares", "3", "--needed", "2", "--protocol", "d.pdf",
        typed="".join(f"{name}\nyes\n" for name in people),
    )  # fmt: skip
    assert divided.exit_code == 0, divided.output
    shown = divided.output.split("Name of the custodian")[1:]
    words = [" ".join(re.findall(r"\d ([a-z]{4,})\b", screen.partition("check value")[0])) for screen in shown]
    assert [len(line.split()) for line in words] == [33] * 3
    assert max(map(len, divided.output.splitlines())) <= 80
    assert history_of(key_office)["boris"] == Place(Scheme.SHARE, 2)
    taken = ask("back-up", "keys.backup", "--shares", typed=f"{words[0]}\n{words[1]}\n")
    assert taken.exit_code == 0, taken.output
    assert (key_office / "keys.backup").stat().st_mode & 0o077 == 0
    # The first custodian is gone, with share and passphrase; the others choose new passphrases for a new vault.
    other = key_office / "other"
    other.mkdir()
    (other / "keys.backup").write_bytes((key_office / "keys.backup").read_bytes())
    (other / "first").write_text("a successor of the first")
    (other / "second").write_bytes((key_office / "second").read_bytes())
    (other / "uec.toml").write_text('state_dir = "state"\n')
    told = ask("list").output
    monkeypatch.chdir(other)
    assert ask("restore", "keys.backup", "--shares", typed=f"{words[2]}\n{words[2]}\n").exit_code != 0
    done = ask("restore", "keys.backup", "--shares", typed=f"{words[2]}\n{words[1]}\n")
    assert done.exit_code == 0, done.output
    assert keys_of(ask("list").output) == keys_of(told)


def test_one_person_is_given_one_share(key_office: Path) -> None:
    typed = "Анна\nyes\nанна\nBoris\nyes\n"
    done = ask("divide", "--shares", "2", "--needed", "2", "--algorithm", "aes-128", "--protocol", "d.pdf", typed=typed)
    assert done.exit_code == 0 and done.output.count("must not see it") == 1, done.output


def test_a_period_is_set_and_shown(key_office: Path) -> None:
    assert ask("period", "card-master", "1", "--until", "2001-01-01").exit_code == 0
    line = next(line for line in ask("list").output.splitlines() if line.startswith("card-master"))
    assert "2001-01-01\tover" in line
    assert run(["keys", "period", "card-master", "9", "--until", "2030-01-01", *OPEN]) != 0
    with store_of(key_office) as session:
        row = session.get(KeyVersion, ("card-master", 1))
        assert row is not None and row.expires_at == datetime(2001, 1, 1, tzinfo=UTC)


def test_a_damaged_vault_goes_back_to_its_previous_copy_by_a_command_and_an_entry(key_office: Path) -> None:
    vault = key_office / "state" / "vault.json"
    assert ask("rotate", "pin-master").exit_code == 0
    vault.write_bytes(vault.read_bytes()[:-40])
    refused = ask("list")
    assert refused.exit_code != 0 and "restore-previous" in str(refused.exception)
    done = click.testing.CliRunner().invoke(keys, ["restore-previous"])
    assert done.exit_code == 0, done.output
    assert (key_office / "state" / "vault.json.damaged").exists()
    assert "key.restore-previous" in actions_of(key_office)
    # The rotation is in the office's memory and not in the copy: nothing is changed before custodians have looked.
    assert ask("rotate", "audit").exit_code != 0
    assert ask("agree").exit_code == 0
    assert ask("rotate", "audit").exit_code == 0
    assert click.testing.CliRunner().invoke(keys, ["restore-previous"]).exit_code != 0  # whole again


def test_new_passphrases_open_the_vault_and_the_old_ones_no_copy_of_it(key_office: Path) -> None:
    for name in ("third", "fourth"):
        Path(name).write_text(f"the {name} custodian")
    done = ask("passphrases", "--new-passphrase-file", "third", "--new-passphrase-file", "fourth")
    assert done.exit_code == 0, done.output
    fresh = (Secret(b"the third custodian"), Secret(b"the fourth custodian"))
    vault = key_office / "state" / "vault.json"
    for path in (vault, storage.previous_of(vault)):
        with pytest.raises(VaultUnlockError):
            sealing.unseal(path.read_bytes(), PASSPHRASES)
        assert sealing.unseal(path.read_bytes(), fresh)
    assert ask("list").exit_code != 0
    assert "key.passphrases" in actions_of(key_office)


def test_every_command_of_keys_explains_itself_with_an_example() -> None:
    for name, command in keys.commands.items():
        told = click.testing.CliRunner().invoke(keys, [name, "--help"]).output
        assert f"uec keys {name}" in told, name
        assert len(told.splitlines()) > 8, name
        assert all(parameter.help for parameter in command.params if isinstance(parameter, click.Option)), name
    assert "uec keys list" in click.testing.CliRunner().invoke(keys, ["--help"]).output
