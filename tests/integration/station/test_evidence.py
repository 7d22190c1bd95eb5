"""Evidence of a card's sessions: signed where the card lay, given out, and judged by openssl and by us, offline."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from issuance.keys.port import KeyPurpose
from issuance.production.bundle import RecordKind
from issuance.station.evidence import NoEvidence, judge
from issuance.station.identity import StationKey
from tests.integration.station.conftest import Network
from tests.integration.station.test_hub import PINS, done, request_hand_over
from uec.cli import run
from uec.domain.lifecycle import OperationKind
from uec.services import evidence
from uec.services.audit import export_file
from uec.store.tables import JournalEntry


def give(network: Network, tmp_path: Path) -> Path:
    """The evidence of a card that was made and handed over at a station; beside it an export of the audit."""
    folder = tmp_path / "evidence"
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    network.start_station("window-1")
    network.insert("window-1", "left", 1)
    done(network, network.request(OperationKind.PERSONALISE, card_id, station_id, None))
    done(network, request_hand_over(network, card_id, station_id))
    office = network.office
    with office.sessions() as session:
        kept = evidence.transcripts(session, card_id, actor=office.staff.officer)
        assert [(one.work, one.signed_by, one.doubtful) for one in kept] == [
            ("PERSONALISE", "window-1", False),
            ("HAND_OVER", "window-1", False),
        ]
        assert evidence.export(session, card_id, folder, actor=office.staff.officer, now=office.clock()) == 2
        export_file(session, tmp_path / "audit.jsonl")
        kept_as = select(JournalEntry).where(JournalEntry.kind == RecordKind.TRANSCRIPT.value)
        for entry in session.scalars(kept_as):
            content = json.loads((folder / f"{entry.seq:04d}.json").read_bytes())
            assert content["about"] == entry.facts["about"] and content["about"]["reader"] == "left"
    return folder


def openssl(folder: Path, *words: str) -> str:
    return subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False).stdout.strip()


def test_an_auditor_judges_it_with_openssl_and_with_one_command(
    network_on_either: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, folder = network_on_either, give(network_on_either, tmp_path)
    stems = sorted(file.stem for file in folder.glob("*.json"))
    assert len(stems) == 2
    for stem in stems:
        signature = ("-signature", f"{stem}.sig", f"{stem}.tbs")
        assert openssl(folder, "dgst", "-sha256", "-verify", f"{stem}.pem", *signature) == "Verified OK"
        digest = openssl(folder, "dgst", "-sha256", "-r", f"{stem}.json").split()[0]
        assert (folder / f"{stem}.tbs").read_bytes()[-32:].hex() == digest
    judged = judge(folder)
    assert [(one.signed, one.wrong, one.work, one.station) for one in judged] == [
        (True, "", "PERSONALISE", "window-1"),
        (True, "", "HAND_OVER", "window-1"),
    ]
    assert {one.card for one in judged} == {network.office.card(1).number} and judged[0].commands > 30
    assert run(["card", "evidence", str(folder), "--audit", str(folder.parent / "audit.jsonl")]) == 0
    assert capsys.readouterr().out.count("signed") == 2


def holds_key_versions_and_digests_and_no_secret(network: Network, folder: Path) -> None:
    made = json.loads(sorted(folder.glob("*.json"))[0].read_bytes())
    records = {record["kind"]: record["facts"] for record in made["records"]}
    assert records["key_changed"]["kvn"] == 0x30 and len(records["key_changed"]["check_values"]) == 3
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in records["inspected"]["files"].values())
    vault, number = network.office.desk.bench.vault, network.office.card(1).number
    transport = vault.transport_pins(vault.active(KeyPurpose.PIN_MASTER), number, {"pin1": 8, "pin2": 8, "krp": 8})
    text = "\n".join(file.read_text("utf-8") for file in folder.glob("*.json"))
    for secret in (*PINS.values(), *transport.values()):
        for shape in (secret.reveal().decode("ascii"), secret.reveal().hex()):
            # Digits inside a digest are no PIN.
            assert not re.search(f"(?<![0-9a-f]){shape}(?![0-9a-f])", text)


def drop(folder: Path) -> None:
    sorted(folder.glob("*.pem"))[0].unlink()


def edit(folder: Path) -> None:
    file = sorted(folder.glob("*.json"))[0]
    file.write_bytes(file.read_bytes().replace(b'"sw":"9000"', b'"sw":"6982"', 1))


def exchange(folder: Path) -> None:
    one, other = sorted(folder.glob("*.json"))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def spoil(folder: Path) -> None:
    file = sorted(folder.glob("*.sig"))[0]
    file.write_bytes(b"\x30\x03\x02\x01\x00")


def take_key(folder: Path) -> None:
    """Signed anew, whole and well, by a key that is no station's."""
    from cryptography.hazmat.primitives import serialization

    key = StationKey.generate()
    public = serialization.load_der_public_key(key.public_key)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    stem = sorted(folder.glob("*.json"))[0].with_suffix("")
    stem.with_suffix(".sig").write_bytes(key.sign(stem.with_suffix(".tbs").read_bytes()))
    stem.with_suffix(".pem").write_bytes(pem)


def add_another_cards(folder: Path) -> None:
    content = json.loads(sorted(folder.glob("*.json"))[0].read_bytes())
    (folder / "9999.json").write_text(json.dumps({**content, "about": {"card": "9643600000000142"}}))


CHANGES: tuple[tuple[Callable[[Path], None], str], ...] = (
    (drop, "the station's key is not there"),
    (edit, "the transcript is not the one that was signed"),
    (exchange, "the transcript is not the one that was signed"),
    (spoil, "the signature does not hold"),
    (take_key, "no station was enrolled with this key"),
    (add_another_cards, "sessions of 2 cards"),
)


def test_it_holds_no_secret_and_every_change_of_it_is_told(
    network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = give(network, tmp_path)
    holds_key_versions_and_digests_and_no_secret(network, folder)
    for change, said in CHANGES:
        copy = tmp_path / change.__name__
        shutil.copytree(folder, copy)
        change(copy)
        assert run(["card", "evidence", str(copy), "--audit", str(tmp_path / "audit.jsonl")]) == 1
        assert said in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 9000, b'{"trips": 3}'])
def test_what_is_no_transcript_breaks_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "0001.json").write_bytes(content)
    (one,) = judge(tmp_path)
    assert (one.signed, one.commands, one.card) == (False, 0, "")


def test_an_empty_folder_holds_no_evidence(tmp_path: Path) -> None:
    with pytest.raises(NoEvidence):
        judge(tmp_path)
    assert run(["card", "evidence", str(tmp_path)]) == 1


@pytest.mark.parametrize("line", ["no json", "[]", '{"action": "station.enrol"}', "3"])
def test_a_file_that_is_no_audit_is_refused(tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "0001.json").write_text("{}")
    (tmp_path / "audit.jsonl").write_text(f"{line}\n")
    assert run(["card", "evidence", str(tmp_path), "--audit", str(tmp_path / "audit.jsonl")]) == 2
    assert "line 1" in capsys.readouterr().err
