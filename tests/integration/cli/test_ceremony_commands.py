"""`uec keys ceremony` and `divide` as custodians meet them: broken off, mistyped, a full disk, an older protocol."""

import errno
import os
from pathlib import Path

import click
import click.testing
import pytest

from card_io.ciphers import kcv_aes
from card_io.secret import Secret
from issuance.keys import shares
from issuance.keys.custodians import Place, Scheme
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyPurpose
from tests.support.key_office import (
    FIRST,
    OPEN,
    SECOND,
    actions_of,
    ask,
    entry,
    history_of,
    said,
    share_entry,
    store_of,
)
from tests.support.keys import PASSPHRASES
from uec.cli import run

ANNA, BORIS = entry("Anna", FIRST), entry("Boris", SECOND)


def masters(key_office: Path) -> int:
    with FileVault.unlock(key_office / "state" / "vault.json", PASSPHRASES) as vault:
        return len(vault.describe(KeyPurpose.CARD_MASTER))


def test_a_ceremony_broken_off_makes_no_key_but_its_custodians_are_known(key_office: Path) -> None:
    broken = ask("ceremony", typed=ANNA)  # and then nobody types any more
    assert broken.exit_code == 1 and masters(key_office) == 1
    assert not Path("key-ceremony.pdf").exists()
    assert history_of(key_office) == {"anna": Place(Scheme.COMPONENT, 1)}
    # Begun anew, Anna may not have the other component: she knows the first one.
    swapped = entry("Boris", SECOND) + entry("anna", FIRST) + entry("Vera", FIRST) + "y\n"
    again = ask("ceremony", typed=swapped)
    assert again.exit_code == 0 and again.output.count("must not see it") == 1
    assert masters(key_office) == 2
    assert actions_of(key_office)[-4:] == ["key.part"] * 3 + ["key.ceremony"]


def test_a_division_broken_off_is_remembered_from_the_moment_words_are_shown(key_office: Path) -> None:
    broken = ask("divide", "--shares", "3", "--needed", "2", typed="Anna\nyes\nBoris\n")
    assert broken.exit_code == 1
    assert history_of(key_office) == {"anna": Place(Scheme.SHARE, 1), "boris": Place(Scheme.SHARE, 2)}
    assert not Path("key-ceremony.pdf").exists()


def test_a_key_with_another_check_value_than_the_papers_is_not_taken(key_office: Path) -> None:
    refused = ask("ceremony", typed=ANNA + BORIS + "n\n")
    assert refused.exit_code == 1 and masters(key_office) == 1
    assert not Path("key-ceremony.pdf").exists()
    assert ask("ceremony", typed=ANNA + BORIS + "y\n").exit_code == 0  # the same people, the same components


@pytest.mark.parametrize("command", ["ceremony", "divide"])
def test_a_protocol_is_never_written_over_another(key_office: Path, command: str) -> None:
    Path("key-ceremony.pdf").write_bytes(b"signed by all")
    refused = ask(command, typed=ANNA + BORIS + "y\n")
    assert refused.exit_code == 1 and "is there already" in said(refused)
    assert "Name" not in refused.output, "nobody has typed anything yet"
    assert Path("key-ceremony.pdf").read_bytes() == b"signed by all"
    assert history_of(key_office) == {}


@pytest.mark.parametrize("command", ["ceremony", "divide"])
def test_a_place_without_room_for_the_protocol_is_told_before_anybody_types(
    key_office: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = ask(command, "--protocol", "nowhere/p.pdf", typed=ANNA)
    assert away.exit_code == 1 and "No such file" in said(away) and "Name" not in away.output

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    refused = ask(command, typed=ANNA)
    assert refused.exit_code == 1 and "No space left" in said(refused) and "Name" not in refused.output
    assert not Path("key-ceremony.pdf").exists()


def test_the_protocol_is_its_owners_only_and_as_long_as_its_pdf(key_office: Path) -> None:
    assert ask("ceremony", typed=ANNA + BORIS + "y\n").exit_code == 0
    file = Path("key-ceremony.pdf")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes().startswith(b"%PDF-") and file.read_bytes().rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("Anna\n11 22 zz\n000000\n", "hexadecimal"),
        (f"Anna\n{FIRST.hex()[:-1]}\n000000\n", "hexadecimal"),
        (f"Anna\n{FIRST.hex()}00\n000000\n", "17 bytes"),
        (f"Anna\n{FIRST.hex()}\n000000\n", "mistyped"),
        (f"Anna\n{FIRST.hex()}\nnothing\n", "mistyped"),
        (f"   \n{FIRST.hex()}\n{kcv_aes(FIRST).hex()}\n", "nobody may not have"),
    ],
    ids=["no hex", "odd hex", "too long", "wrong check value", "check value of letters", "no name"],
)
def test_what_is_mistyped_is_told_and_asked_for_again(key_office: Path, typed: str, told: str) -> None:
    done = ask("ceremony", typed=typed + ANNA + BORIS + "y\n")
    assert done.exit_code == 0, said(done)
    assert told in done.output
    assert FIRST.hex() not in done.output
    assert history_of(key_office) == {"anna": Place(Scheme.COMPONENT, 1), "boris": Place(Scheme.COMPONENT, 2)}


def test_shares_of_another_key_of_another_length_or_entered_twice_are_told(key_office: Path) -> None:
    parts = shares.split(Secret(FIRST), threshold=2, count=3)
    other = shares.split(Secret(SECOND), threshold=2, count=3)
    longer = shares.split(Secret(bytes(32)), threshold=2, count=2)
    typed = (
        share_entry("Vera", longer[0])
        + share_entry("Vera", parts[0])
        + share_entry("Gleb", parts[0])
        + share_entry("Gleb", other[1])
        + share_entry("Vera", parts[1])
        + share_entry("Gleb", parts[1])
    )
    done = ask("ceremony", "--shares", typed=typed + "y\n")
    assert done.exit_code == 0, said(done)
    for told in ("key of 32 bytes", "not needed any more", "of another key than the first", "must not see it"):
        assert told in done.output, told
    assert kcv_aes(FIRST).hex().upper() in done.output
    assert history_of(key_office) == {"vera": Place(Scheme.SHARE, 1), "gleb": Place(Scheme.SHARE, 2)}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--purpose", "nothing"], 2),
        (["--purpose", "ca-root"], 1),
        (["--algorithm", "rot13"], 2),
        (["--algorithm", "ec-p256"], 1),
        (["--purpose", "pin-master", "--algorithm", "3des"], 1),
        (["--components", "4"], 2),
        (["--components", "1"], 2),
    ],
    ids=str,
)
def test_what_no_ceremony_makes_is_refused_before_anybody_types(
    key_office: Path, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "ceremony", *arguments, *OPEN]) == code
    told = capsys.readouterr()
    assert "Name of" not in told.out and len(told.err.strip().splitlines()) == 1, told.err
    assert not Path("key-ceremony.pdf").exists()


def test_nobody_else_waits_for_the_database_while_custodians_type(
    key_office: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    prompt = click.prompt

    def typing(text: str, **options: object) -> object:
        asked.append(text)
        with store_of(key_office) as session:  # SQLite would refuse it while the ceremony holds a transaction
            session.connection().exec_driver_sql("UPDATE number_series SET next = next")
            session.commit()
        return prompt(text, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(click, "prompt", typing)
    assert ask("ceremony", typed=ANNA + BORIS + "y\n").exit_code == 0
    assert len(asked) == 6


WHOLE = kcv_aes(bytes(a ^ b for a, b in zip(FIRST, SECOND, strict=True))).hex().upper()
"""Check value of the key whose components they are."""


def transport_keys(key_office: Path) -> list[int]:
    with FileVault.unlock(key_office / "state" / "vault.json", PASSPHRASES) as vault:
        return [info.ref.version for info in vault.describe(KeyPurpose.BLANK_TRANSPORT)]


def test_a_makers_transport_key_has_custodians_with_names(key_office: Path) -> None:
    """The letter for Anna has no check value, the one for Boris has; both are noted, and there is a protocol."""
    done = ask("import-transport", "--check-value", WHOLE.lower(), typed=f"Anna\n{FIRST.hex()}\n\n" + BORIS)
    assert done.exit_code == 0, said(done)
    assert "transport key version 1 is active; print and sign key-ceremony.pdf" in done.output
    assert FIRST.hex() not in done.output and transport_keys(key_office) == [1]
    assert history_of(key_office) == {"anna": Place(Scheme.COMPONENT, 1), "boris": Place(Scheme.COMPONENT, 2)}
    assert actions_of(key_office)[-3:] == ["key.part", "key.part", "key.ceremony"]
    assert Path("key-ceremony.pdf").read_bytes().startswith(b"%PDF-")
    # The next delivery: nobody gets the part that somebody else has held.
    swapped = ask(
        "import-transport", "--check-value", WHOLE, "--protocol", "second.pdf", typed=entry("Boris", FIRST) + ANNA
    )
    assert swapped.exit_code == 1 and "Boris may not have component 1" in swapped.output
    assert transport_keys(key_office) == [1] and not Path("second.pdf").exists()


def test_one_person_does_not_hold_a_whole_transport_key(key_office: Path) -> None:
    refused = ask("import-transport", "--check-value", WHOLE, typed=ANNA + entry(" ANNA ", SECOND))
    assert refused.exit_code == 1 and "must not see it" in refused.output
    assert transport_keys(key_office) == [] and not Path("key-ceremony.pdf").exists()
    for name, component in (("a.hex", FIRST), ("b.hex", SECOND)):
        Path(name).write_text(f"{component.hex()}\n")
    by_anna = ["--component-file", "Anna", "a.hex", "--component-file", "anna", "b.hex"]
    refused = ask("import-transport", "--check-value", WHOLE, *by_anna)
    assert refused.exit_code == 1 and "must not see it" in said(refused)
    assert transport_keys(key_office) == []
    by_two = ["--component-file", "Anna", "a.hex", "--component-file", "Boris", "b.hex"]
    assert ask("import-transport", "--check-value", WHOLE, *by_two).exit_code == 0
    assert transport_keys(key_office) == [1]


@pytest.mark.parametrize(
    ("value", "typed", "told"),
    [
        ("000000", ANNA + BORIS, f"give check value {WHOLE}, not 000000"),
        (WHOLE, f"Anna\n{FIRST.hex()}\nABCDEF\n" + BORIS, "it was mistyped, enter it again"),
        (WHOLE, ANNA + entry("Boris", FIRST), "the same"),
        (WHOLE, f"Anna\n{FIRST.hex()}zz\n\n", "hexadecimal digits"),
    ],
    ids=["another key's value", "mistyped component", "one component twice", "no hex"],
)
def test_a_transport_key_that_is_not_the_letters_is_not_taken(
    key_office: Path, value: str, typed: str, told: str
) -> None:
    refused = ask("import-transport", "--check-value", value, typed=typed)
    assert refused.exit_code == 1 and told in said(refused)
    assert transport_keys(key_office) == [] and not Path("key-ceremony.pdf").exists()
