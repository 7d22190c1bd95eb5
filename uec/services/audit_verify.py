"""Hides how an export of the audit is checked without the database and without any secret: file and public key only.

It reads the file once, in constant memory, and names the place of everything that is wrong: an altered entry, a
missing one, one out of place, a chain or a file that is cut off, a head whose signature does not hold.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from uec.domain.errors import InvalidFile
from uec.services.audit import FORMAT, head_message
from uec.store.audit import CHAINS, FIELDS, GENESIS, entry_hash

FINDINGS_LIMIT = 100
_ENTRY_KEYS = {"kind", *FIELDS, "previous_hash", "hash"}
# Characters; an entry's details are a few hundred.
LINE_LIMIT = 1 << 20


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `kind`: altered, missing, out-of-place, cut-off, unsigned-head, unreadable."""

    kind: str
    line: int
    chain: int | None
    seq: int | None
    text: str


@dataclass
class AuditReport:
    """What a check found. `unsigned` entries lie behind the last head: chained, but not yet signed off."""

    entries: int = 0
    heads: int = 0
    unsigned: int = 0
    last_head_at: str | None = None
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0

    @property
    def ok(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.findings

    def found(self, kind: str, line: int, text: str, *, chain: int | None = None, seq: int | None = None) -> None:
        """Add a finding; past the limit they are only counted."""
        if len(self.findings) < FINDINGS_LIMIT:
            self.findings.append(Finding(kind, line, chain, seq, text))
        else:
            self.more_findings += 1


@dataclass
class _Chain:
    seq: int = 0
    last: bytes = GENESIS


class _Check:
    """One pass over an export."""

    def __init__(self, keys: list[ec.EllipticCurvePublicKey]) -> None:
        self.keys = keys
        self.report = AuditReport()
        self.chains = {chain: _Chain() for chain in range(CHAINS)}
        self.promised: dict[tuple[int, int], str] = {}
        self.signed_up_to = dict.fromkeys(range(CHAINS), 0)
        self.started = False
        self.ended = False
        self.announced_heads = 0
        self.ends: dict[int, int] = {}
        self.line = 0

    def take(self, item: dict[str, Any]) -> None:
        """Check one line of the export."""
        if self.ended:
            self.report.found("out-of-place", self.line, "There are lines behind the end of the export.")
        kind = item.get("kind")
        if not self.started and kind != "start":
            self.report.found("cut-off", self.line, "The beginning of the export is missing.")
            self.started = True
        handlers = {"start": self._start, "head": self._head, "entry": self._entry, "end": self._end}
        handler = handlers.get(str(kind))
        if handler is None:
            self.report.found("unreadable", self.line, f"A line of the unknown kind {kind!r}.")
        else:
            handler(item)

    def _start(self, item: dict[str, Any]) -> None:
        if self.started:
            self.report.found("out-of-place", self.line, "A second beginning of the export.")
        self.started = True
        if item["format"] != FORMAT:
            raise InvalidFile(
                f"The export has the format {item['format']!r}, not {FORMAT}; use the program that made it.", line=1
            )
        self.announced_heads = int(item["heads"])
        self.ends = {int(end["chain"]): int(end["seq"]) for end in item["ends"]}

    def _head(self, item: dict[str, Any]) -> None:
        self.report.heads += 1
        number, heads = int(item["number"]), item["heads"]
        if not _signed_by(self.keys, bytes.fromhex(item["signature"]), head_message(item["at"], heads)):
            text = f"The signature of head {number} does not hold: it was altered, or made by another key."
            self.report.found("unsigned-head", self.line, text)
            return
        if item["at"] <= (self.report.last_head_at or ""):
            self.report.found("out-of-place", self.line, f"Head {number} stands behind a later one, or twice.")
        self.report.last_head_at = max(item["at"], self.report.last_head_at or "")
        for end in heads:
            chain, seq = int(end["chain"]), int(end["seq"])
            self.signed_up_to[chain] = max(self.signed_up_to[chain], seq)
            if seq and self.promised.setdefault((chain, seq), end["hash"]) != end["hash"]:
                text = f"Head {number} contradicts an earlier head about entry {seq} of chain {chain}."
                self.report.found("altered", self.line, text, chain=chain, seq=seq)

    def _entry(self, item: dict[str, Any]) -> None:
        chain, seq = int(item["chain"]), int(item["seq"])
        state = self.chains[chain]
        self.report.entries += 1
        where = {"chain": chain, "seq": seq}
        expected = state.seq + 1
        if seq > expected:
            gone = f"entry {expected}" if seq == expected + 1 else f"entries {expected} to {seq - 1}"
            self.report.found("missing", self.line, f"Chain {chain}: {gone} missing before this line.",
                              chain=chain, seq=expected)  # fmt: skip
        elif seq < expected:
            self.report.found(
                "out-of-place", self.line, f"Chain {chain}: entry {seq} stands after {state.seq}.", **where
            )
            return
        stored, previous = bytes.fromhex(item["hash"]), bytes.fromhex(item["previous_hash"])
        linked = seq != expected or previous == state.last
        surplus = item.keys() - _ENTRY_KEYS
        true = entry_hash({name: item[name] for name in FIELDS}, previous)
        promise = self.promised.pop((chain, seq), None)
        if surplus or true != stored or not linked or (promise is not None and promise != stored.hex()):
            self.report.found("altered", self.line, f"Chain {chain}: entry {seq} was altered.", **where)
        # Go on from what is written, so that one altered entry is one finding and not a thousand.
        state.seq, state.last = seq, stored
        if seq > self.signed_up_to[chain]:
            self.report.unsigned += 1

    def _end(self, item: dict[str, Any]) -> None:
        self.ended = True
        if int(item["entries"]) != self.report.entries:
            self.report.found(
                "missing", self.line, f"The export announces {item['entries']} entries and has {self.report.entries}."
            )

    def finish(self) -> AuditReport:
        """Report what is missing at the end and return the report."""
        if not self.ended:
            self.report.found("cut-off", self.line, "The file is cut off: its last line is missing.")
        if self.report.heads != self.announced_heads:
            self.report.found(
                "missing", self.line, f"{self.announced_heads} heads are announced, {self.report.heads} are there."
            )
        if self.report.entries and not self.report.heads:
            # Without a signature anyone could have written the whole file anew, chains and all.
            self.report.found("unsigned-head", self.line, "No signed head: nothing proves who wrote these entries.")
        for chain, state in self.chains.items():
            last = max(self.ends.get(chain, 0), self.signed_up_to[chain])
            if state.seq < last:
                self.report.found(
                    "cut-off", self.line, f"Chain {chain} is cut off: entries {state.seq + 1} to {last} are missing.",
                    chain=chain, seq=state.seq + 1,
                )  # fmt: skip
        return self.report


def load_public_keys(data: bytes) -> list[ec.EllipticCurvePublicKey]:
    """Return the audit's public keys from DER (one) or PEM (one after the other, as the audit key was renewed)."""
    blocks = [b"-----BEGIN" + block for block in data.split(b"-----BEGIN")[1:]]
    try:
        keys = [load_pem_public_key(block) for block in blocks] if blocks else [load_der_public_key(data)]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidFile("The public key cannot be read; give the audit key in PEM or DER.", line=None) from error
    checked = [key for key in keys if isinstance(key, ec.EllipticCurvePublicKey)]
    if len(checked) < len(keys):
        raise InvalidFile("The public key is not an elliptic-curve key; give the public key of the audit.", line=None)
    return checked


def _signed_by(keys: list[ec.EllipticCurvePublicKey], signature: bytes, message: bytes) -> bool:
    for key in keys:
        try:
            key.verify(signature, message, ec.ECDSA(SHA384() if key.curve.key_size > 256 else SHA256()))
        except InvalidSignature:
            continue
        return True
    return False


def verify_file(path: Path, public_key: bytes) -> AuditReport:
    """Check an export with the audit's public key (PEM or DER SPKI); needs no database and no secret.

    Raises `InvalidFile` when the file cannot be read at all or is no export; all else stands in the report.
    """
    check = _Check(load_public_keys(public_key))
    try:
        for check.line, text in _numbered(path):
            try:
                check.take(json.loads(text, object_pairs_hook=_once))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
                check.report.found("unreadable", check.line, "The line is not one of an export: damaged or cut off.")
    except OSError as error:
        raise InvalidFile(f"The export {path} cannot be read: {error.strerror}.", path=path, line=None) from error
    except UnicodeDecodeError as error:
        raise InvalidFile(f"The file {path} is not an export of the audit: no UTF-8.", path=path, line=None) from error
    return check.finish()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys stand once: of two, another program might show the one that is not checked here."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice")
    return made


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        number = 0
        while text := lines.readline(LINE_LIMIT):
            number += 1
            yield number, text
            # Of an endless line only the beginning is looked at: it is no entry, and memory stays small.
            while len(text) == LINE_LIMIT and not text.endswith("\n"):
                text = lines.readline(LINE_LIMIT)
