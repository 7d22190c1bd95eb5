"""The audit: chained with the change, exported, and checked by the public key only."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session, sessionmaker

from card_io.secret import Secret
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose, Vault
from tests.support.full_disk import fill_the_disk
from uec.domain.actors import Actor
from uec.domain.errors import DiskFull, InvalidFile, NotAllowed
from uec.domain.permissions import Role, permissions_of
from uec.services.audit import export, export_file, search, sign_head
from uec.services.audit_verify import AuditReport, verify_file
from uec.store.audit import GENESIS, Note, chain_of, record, record_many
from uec.store.tables import AuditChain, AuditEntry, Municipality

NOW = datetime(2014, 6, 2, 9, 30, 15, 123456, tzinfo=UTC)
AUDITOR = Actor("staff", 9, "Аудитор", permissions_of([Role.AUDITOR]))


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    folder = tmp_path_factory.mktemp("vault")
    made = FileVault.create(folder / "vault", passphrases=(Secret(b"custodian one"), Secret(b"custodian two")))
    made.generate(KeyPurpose.AUDIT, KeyAlgorithm.EC_P256, now=NOW)
    yield made
    made.close()


@pytest.fixture
def public_key(vault: Vault) -> bytes:
    return vault.public_key(vault.active(KeyPurpose.AUDIT))


def fill(session: Session, count: int, *, start: int = 0) -> None:
    notes = [
        Note("staff:7", "card.suspend", "card", str(n), NOW + timedelta(seconds=n), n, {"причина": "утеря", "n": n})
        for n in range(start, start + count)
    ]
    record_many(session, notes)
    session.commit()


def exported(session: Session, path: Path) -> list[str]:
    with path.open("w", encoding="utf-8") as out:
        export(session, out)
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


def checked(path: Path, lines: list[str], public_key: bytes) -> AuditReport:
    path.write_text("".join(lines), encoding="utf-8")
    return verify_file(path, public_key)


def test_an_entry_lives_and_dies_with_its_change(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        session.add(Municipality(oktmo="71701000", name_ru="Тюмень", name_en="Tyumen"))
        record(session, actor="staff:1", action="x", subject_kind="municipality", subject_id="71701000", now=NOW)
        session.rollback()
        session.commit()
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 0
        record(session, actor="staff:1", action="x", subject_kind="municipality", subject_id="71701000", now=NOW)
        session.commit()
        entry = session.scalars(select(AuditEntry)).one()
        assert (entry.seq, entry.previous_hash, entry.at) == (1, GENESIS, NOW)
        assert entry.chain == chain_of("municipality", "71701000")
        head = session.get_one(AuditChain, entry.chain)
        assert (head.seq, head.hash) == (1, entry.hash)


def test_a_savepoint_taken_back_takes_its_entries_along(session: Session) -> None:
    def note(action: str) -> None:
        record(session, actor="staff:1", action=action, subject_kind="card", subject_id=5, now=NOW)

    note("kept")
    with session.begin_nested() as outer:
        note("dropped")
        with session.begin_nested():
            note("dropped too")
        outer.rollback()
    with session.begin_nested():
        note("kept too")
    session.commit()
    assert session.scalars(select(AuditEntry.action).order_by(AuditEntry.seq)).all() == ["kept", "kept too"]


def test_a_change_is_written_before_the_chains_are_locked(session: Session) -> None:
    """Locks of rows first, of chains last, in every transaction: so two of them never wait for each other."""
    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement.split(maxsplit=1)[0] + (" chains" if "audit_chain" in statement else ""))

    event.listen(session.get_bind(), "before_cursor_execute", note)
    session.add(Municipality(oktmo="71701000", name_ru="Тюмень", name_en="Tyumen"))
    record(session, actor="staff:1", action="x", subject_kind="municipality", subject_id="71701000", now=NOW)
    session.commit()
    # SQLite begins by a statement of ours, PostgreSQL by none; there entries and chains go in one trip past this event.
    whole = ["INSERT", "SELECT chains", "INSERT", "UPDATE chains"]
    assert [one for one in said if one != "BEGIN"] in (whole, whole[:2])
    assert session.scalar(select(func.sum(AuditChain.seq))) == 1


def test_details_must_be_plain_json(session: Session) -> None:
    for details in ({"x": b"bytes"}, {"x": float("nan")}, {"x": NOW}):
        with pytest.raises((TypeError, ValueError)):
            record(session, actor="a", action="x", subject_kind="card", subject_id=1, now=NOW, details=details)


def test_writers_side_by_side_keep_the_chains_whole(
    sessions: sessionmaker[Session], vault: Vault, public_key: bytes, tmp_path: Path
) -> None:
    finished: list[int] = []

    def work(number: int) -> None:
        for turn in range(12):
            with sessions() as session:
                subjects = range(20) if (number + turn) % 2 else reversed(range(20))
                for subject in subjects:
                    record(session, actor=f"staff:{number}", action="look", subject_kind="card",
                           subject_id=subject, now=NOW)  # fmt: skip
                session.commit()
        finished.append(number)

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(finished) == [0, 1, 2, 3]
    with sessions() as session:
        sign_head(session, vault, now=NOW)
        exported(session, tmp_path / "audit")
    report = verify_file(tmp_path / "audit", public_key)
    assert (report.ok, report.entries, report.unsigned) == (True, 4 * 12 * 20, 0)


@pytest.fixture
def lines(session: Session, vault: Vault, tmp_path: Path) -> list[str]:
    fill(session, 60)
    assert sign_head(session, vault, now=NOW) is not None
    assert sign_head(session, vault, now=NOW + timedelta(hours=1)) is None
    fill(session, 40, start=60)
    assert sign_head(session, vault, now=NOW + timedelta(hours=2)) is not None
    fill(session, 5, start=100)
    return exported(session, tmp_path / "audit")


def test_a_whole_export_is_good(lines: list[str], tmp_path: Path, public_key: bytes) -> None:
    report = verify_file(tmp_path / "audit", public_key)
    assert (report.findings, report.entries, report.heads, report.unsigned) == ([], 105, 2, 5)
    assert report.last_head_at == "2014-06-02T11:30:15.123456Z"
    assert "причина" in "".join(lines)


def position(lines: list[str], offset: int = 10) -> int:
    """Return the index of an entry in the middle of a chain: its neighbours are of the same chain."""
    parsed = [json.loads(line) for line in lines]
    for index in range(offset, len(lines) - 2):
        around = parsed[index - 1 : index + 3]
        if all(item["kind"] == "entry" for item in around) and len({item["chain"] for item in around}) == 1:
            return index
    raise AssertionError("no chain is long enough")


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda item: item.update(actor="staff:8"),
        lambda item: item["details"].update(n=-1),
        lambda item: item.update(at="2014-06-02T09:30:15.123457Z"),
        lambda item: item.update(hash="00" * 32),
        lambda item: item.update(previous_hash="00" * 32),
        lambda item: item.update(person_id=None),
    ],
)
def test_an_altered_entry_is_named(lines: list[str], tmp_path: Path, public_key: bytes, change: Change) -> None:
    at = position(lines)
    item = json.loads(lines[at])
    change(item)
    report = checked(tmp_path / "audit", [*lines[:at], json.dumps(item) + "\n", *lines[at + 1 :]], public_key)
    assert not report.ok
    first = report.findings[0]
    assert (first.kind, first.line, first.chain, first.seq) == ("altered", at + 1, item["chain"], item["seq"])
    assert len(report.findings) <= 2


def test_a_chain_forged_from_a_place_on_is_caught_by_the_head(
    lines: list[str], tmp_path: Path, public_key: bytes
) -> None:
    from uec.store.audit import FIELDS, entry_hash

    at = position(lines)
    parsed = [json.loads(line) for line in lines]
    parsed[at]["actor"] = "staff:666"
    last = bytes.fromhex(parsed[at]["previous_hash"])
    for item in parsed[at:]:
        if item["kind"] == "entry" and item["chain"] == parsed[at]["chain"]:
            item["previous_hash"] = last.hex()
            last = entry_hash({name: item[name] for name in FIELDS}, last)
            item["hash"] = last.hex()
    report = checked(tmp_path / "audit", [json.dumps(item) + "\n" for item in parsed], public_key)
    assert {finding.kind for finding in report.findings} == {"altered"}
    assert {finding.chain for finding in report.findings} == {parsed[at]["chain"]}


def test_a_missing_entry_is_named(lines: list[str], tmp_path: Path, public_key: bytes) -> None:
    at = position(lines)
    item = json.loads(lines[at])
    report = checked(tmp_path / "audit", lines[:at] + lines[at + 1 :], public_key)
    first = report.findings[0]
    assert (first.kind, first.line, first.chain, first.seq) == ("missing", at + 1, item["chain"], item["seq"])
    assert {finding.kind for finding in report.findings} == {"missing"}


def test_swapped_entries_are_named(lines: list[str], tmp_path: Path, public_key: bytes) -> None:
    at = position(lines)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    report = checked(tmp_path / "audit", lines, public_key)
    assert {"missing", "out-of-place"} <= {finding.kind for finding in report.findings}


def test_a_file_cut_off_is_named_with_what_is_gone(lines: list[str], tmp_path: Path, public_key: bytes) -> None:
    at = position(lines)
    item = json.loads(lines[at])
    report = checked(tmp_path / "audit", lines[:at], public_key)
    assert {finding.kind for finding in report.findings} == {"cut-off"}
    assert any((found.chain, found.seq) == (item["chain"], item["seq"]) for found in report.findings)
    half = checked(tmp_path / "audit", [*lines[:at], lines[at][: len(lines[at]) // 2]], public_key)
    assert half.findings[0].kind == "unreadable"
    assert half.findings[0].line == at + 1


def test_a_chain_cut_off_inside_a_mended_file_is_named(lines: list[str], tmp_path: Path, public_key: bytes) -> None:
    """Somebody removes the newest entries of a chain, and mends the announced counts, but cannot sign a head."""
    parsed = [json.loads(line) for line in lines]
    promised = parsed[2]["heads"]
    target = max(promised, key=lambda end: end["seq"])
    kept = [
        p for p in parsed if not (p["kind"] == "entry" and p["chain"] == target["chain"] and p["seq"] >= target["seq"])
    ]
    kept[0]["ends"][target["chain"]]["seq"] = target["seq"] - 1
    kept[-1]["entries"] = sum(item["kind"] == "entry" for item in kept)
    report = checked(tmp_path / "audit", [json.dumps(item) + "\n" for item in kept], public_key)
    assert [(f.kind, f.chain, f.seq) for f in report.findings] == [("cut-off", target["chain"], target["seq"])]


def test_heads_removed_or_forged_are_named(lines: list[str], tmp_path: Path, public_key: bytes) -> None:
    report = checked(tmp_path / "audit", [lines[0], *lines[2:]], public_key)
    assert [finding.kind for finding in report.findings] == ["missing"]
    head = json.loads(lines[2])
    head["heads"][0]["hash"] = "11" * 32
    report = checked(tmp_path / "audit", [*lines[:2], json.dumps(head) + "\n", *lines[3:]], public_key)
    assert [(finding.kind, finding.line) for finding in report.findings] == [("unsigned-head", 3)]


def test_every_line_gone_doubled_or_swapped_is_found(lines: list[str], tmp_path: Path, public_key: bytes) -> None:
    path = tmp_path / "audit"
    for at in range(len(lines)):
        gone = checked(path, lines[:at] + lines[at + 1 :], public_key)
        twice = checked(path, lines[: at + 1] + lines[at:], public_key)
        assert gone.findings and twice.findings, lines[at]
    parsed = [json.loads(line) for line in lines]
    for at in range(len(lines) - 1):
        if parsed[at].get("chain") == parsed[at + 1].get("chain"):  # chains may stand in any order
            swapped = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
            assert checked(path, swapped, public_key).findings, (lines[at], lines[at + 1])


def test_a_file_cut_at_any_byte_is_found(lines: list[str], tmp_path: Path, public_key: bytes) -> None:
    whole = "".join(lines)
    for at in range(0, len(whole) - 2, 397):
        assert checked(tmp_path / "audit", [whole[:at]], public_key).findings


def test_an_audit_forged_as_a_whole_is_no_audit(session: Session, tmp_path: Path, public_key: bytes) -> None:
    fill(session, 20)  # true chains, and nobody's signature
    lines = exported(session, tmp_path / "audit")
    assert '"heads":0' in lines[0]
    report = verify_file(tmp_path / "audit", public_key)
    assert [finding.kind for finding in report.findings] == ["unsigned-head"]


def test_what_the_hash_does_not_cover_may_not_stand_there(lines: list[str], tmp_path: Path, public_key: bytes) -> None:
    at = position(lines)
    more = lines[at].replace('{"kind"', '{"note":"in order, the chief","kind"')
    twice = lines[at].replace('{"kind"', '{"actor":"staff:1","kind"')
    for line, kind in ((more, "altered"), (twice, "unreadable")):
        report = checked(tmp_path / "audit", [*lines[:at], line, *lines[at + 1 :]], public_key)
        assert (report.findings[0].kind, report.findings[0].line) == (kind, at + 1)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 200_000,
        '{"kind":"entry","chain":Infinity,"seq":1}',
        '{"kind":"entry","chain":9,"seq":1}',
        '{"kind":"entry","chain":0,"seq":' + "9" * 5000 + "}",
        '{"kind":"head"}',
        "null",
        '"\\ud800"',
        "x" * 3_000_000,
    ],
    ids=lambda line: line[:30],
)
def test_a_line_no_export_has_is_one_finding(lines: list[str], tmp_path: Path, public_key: bytes, line: str) -> None:
    report = checked(tmp_path / "audit", [*lines[:5], line + "\n", *lines[5:]], public_key)
    assert (report.findings[0].kind, report.findings[0].line) == ("unreadable", 6)
    assert report.entries == 105
    assert [finding.kind for finding in report.findings[1:]] == ["missing"] * ("head" in line)


def test_another_key_opens_nothing(lines: list[str], tmp_path: Path, public_key: bytes) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    der = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert {finding.kind for finding in verify_file(tmp_path / "audit", der).findings} == {"unsigned-head"}
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    mine = load_der_public_key(public_key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert verify_file(tmp_path / "audit", pem + mine).ok


def test_what_is_no_export_is_one_sentence(tmp_path: Path, public_key: bytes) -> None:
    path = tmp_path / "audit"
    with pytest.raises(InvalidFile, match="cannot be read"):
        verify_file(path, public_key)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidFile, match="no UTF-8"):
        verify_file(path, public_key)
    with pytest.raises(InvalidFile, match="PEM or DER"):
        verify_file(path, b"nonsense")
    assert not checked(path, [], public_key).ok
    assert not checked(path, ["nonsense\n"] * 300, public_key).ok


def test_a_full_disk_leaves_the_old_export(session: Session, tmp_path: Path) -> None:
    fill(session, 3)
    path = tmp_path / "audit"
    assert export_file(session, path) == 3
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        fill_the_disk(patch)
        with pytest.raises(DiskFull, match="No space left"):
            export_file(session, path)
    assert not [item.name for item in tmp_path.iterdir() if item.suffix == ".part"]
    with pytest.raises(DiskFull, match="another folder"):
        export_file(session, tmp_path / "nowhere" / "audit")
    assert path.read_bytes() == before


def test_search_needs_the_permission_and_finds(session: Session) -> None:
    fill(session, 12)
    page = search(session, actor=AUDITOR, subject_kind="card", limit=5)
    assert (page.total, len(page.rows)) == (12, 5)
    assert page.rows[0].at > page.rows[-1].at or page.rows[0].seq >= 1
    one = search(session, actor=AUDITOR, subject_kind="card", subject_id="3", actor_reference="staff:7")
    assert [(row.person_id, row.details["n"]) for row in one.rows] == [(3, 3)]
    assert search(session, actor=AUDITOR, person_id=4).total == 1
    with pytest.raises(NotAllowed):
        search(session, actor=Actor("staff", 1, "x"))


def test_export_to_a_stream_counts(session: Session) -> None:
    fill(session, 7)
    out = io.StringIO()
    assert export(session, out) == 7
    assert len(out.getvalue().splitlines()) == 9
