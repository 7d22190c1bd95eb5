"""Judging what a card showed: the checks a terminal makes offline, from the card and the issuer's certificates alone.

Pure: an `Observation` and trust anchors in, findings out; every check is made even when an earlier one fails, so that
the one who looks sees all that is wrong. RFC 5280 section 6 as far as these short chains need it; the security object
is CMS (RFC 5652), checked by `issuance.pki`.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ParamSpec

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from card_io.applets.piv import ObjectId, parse_chuid
from card_io.applets.uec import layout
from card_io.errors import CardError
from issuance.errors import InvalidSecurityObject, UnfitKey
from issuance.pki.possession import check_proof
from issuance.pki.trust import Untrusted
from issuance.production.anchors import Anchors
from issuance.production.datagroups import Fact, read_data_group
from issuance.production.errors import InvalidCardData
from issuance.production.foreign import CARD_LOCK
from issuance.production.observation import Observation
from issuance.production.piv import objects
from issuance.production.profile import CardProfile, KeySlot

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name (stable, for translation), whether it held, and if not, why."""

    check: str
    ok: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CardReport:
    """What is known of a card after the checks. `facts` are those of the data groups that could be read."""

    chip_id: str
    facts: Mapping[str, Fact]
    findings: tuple[Finding, ...]

    @property
    def genuine(self) -> bool:
        """Every check held."""
        return all(finding.ok for finding in self.findings)

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The checks that did not hold."""
        return tuple(finding for finding in self.findings if not finding.ok)


class _Doubt(Exception):
    """Why a check does not hold."""


def judge(observation: Observation, profile: CardProfile, anchors: Anchors, *, now: datetime) -> CardReport:
    """Make every check that what was read allows: applet, PINs, security object, data, certificates, proofs."""
    facts: dict[str, Fact] = {}
    findings = [
        Finding(CARD_LOCK, ok=True),  # a locked card shows nothing that could be judged: `observe` ends with CardLocked
        _finding("applet", _applet, observation),
        _finding("pins", _pins, observation, profile),
        _finding("security_object", _security_object, observation, profile, anchors, facts),
    ]
    findings += [
        _finding(f"certificate:{key.name}", _certificate, observation, key, anchors, now) for key in profile.keys
    ]
    findings += [
        _finding(f"proof:{key.name}", _proof, observation, key)
        for key in profile.keys
        if key.name in observation.proofs
    ]
    if profile.piv is not None:
        findings.append(_finding("card_identifier", _card_identifier, observation, anchors))
    findings.append(_finding("card_number", _card_number, observation, profile, facts))
    return CardReport(observation.chip_id, facts, tuple(findings))


def _finding(name: str, check: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> Finding:
    try:
        check(*args, **kwargs)
    except _Doubt as doubt:
        return Finding(name, ok=False, reason=str(doubt))
    return Finding(name, ok=True)


def _applet(observation: Observation) -> None:
    if observation.life_cycle != layout.AppletState.PERSONALISED:
        raise _Doubt("the applet is not finished, or locked")
    if not observation.closed:
        raise _Doubt("the card still makes keys on request")


def _pins(observation: Observation, profile: CardProfile) -> None:
    for pin in profile.pins:
        if not pin.tries_told:
            continue
        state = observation.pins.get(pin.reference)
        if state is None:
            raise _Doubt(f"{pin.name} is not there")
        if state.blocked:
            raise _Doubt(f"{pin.name} is blocked")
        if state.tries != pin.tries:
            raise _Doubt(f"{pin.name} allows {state.tries} tries instead of {pin.tries}")


def _security_object(observation: Observation, profile: CardProfile, anchors: Anchors, facts: dict[str, Fact]) -> None:
    """The signature, then every data group against it; the facts are taken from groups that agree."""
    content = observation.files.get(profile.security_object_fid)
    if not content:
        raise _Doubt("there is none")
    try:
        signed = anchors.open(content).digests
    except InvalidSecurityObject as error:
        raise _Doubt(str(error)) from error
    present = {group.number: group.fid for group in profile.data_groups if observation.sizes.get(group.fid)}
    if profile.piv is not None:
        present = objects.covered(profile, present)
    if set(signed) != set(present):
        raise _Doubt(f"it signs data groups {sorted(signed)}, the card holds {sorted(present)}")
    for number, fid in present.items():
        file = observation.files.get(fid)
        if file is None and fid in objects.OWN.values():
            raise _Doubt(f"{_name_of(profile, fid)} is not there")
        if file is not None and _digest(profile, fid, file) != signed[number]:
            raise _Doubt(f"{_name_of(profile, fid)} is not what was signed")
    for group in profile.data_groups:
        file = observation.files.get(group.fid)
        if file is None:
            continue
        try:
            facts |= read_data_group(group, file)
        except InvalidCardData as error:
            raise _Doubt(str(error)) from error


def _digest(profile: CardProfile, fid: int, file: bytes) -> bytes:
    return hashlib.sha256(file).digest() if profile.piv is None else objects.digest_of(profile, fid, file)


def _name_of(profile: CardProfile, fid: int) -> str:
    names = {group.fid: f"data group {group.name}" for group in profile.data_groups}
    return names.get(fid, f"object {fid:X}")


def _certificate(observation: Observation, key: KeySlot, anchors: Anchors, now: datetime) -> None:
    certificate = _load(observation, key).public_bytes(serialization.Encoding.DER)
    try:
        anchors.require(key.certificate_profile, certificate, now)
    except Untrusted as error:
        raise _Doubt(str(error)) from error


def _proof(observation: Observation, key: KeySlot) -> None:
    public_key = _load(observation, key).public_key()
    spki = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        check_proof(spki, observation.proofs[key.name])
    except UnfitKey as error:
        raise _Doubt("the key on the card is not the certificate's") from error


def _card_identifier(observation: Observation, anchors: Anchors) -> None:
    """The CHUID is signed by the issuer as it stands."""
    content = observation.files.get(ObjectId.CHUID, b"")
    try:
        signature = parse_chuid(content).signature
        anchors.require_identifier(signature, objects.signed_part(content))
    except (CardError, InvalidSecurityObject) as error:
        raise _Doubt(str(error)) from error


def _card_number(observation: Observation, profile: CardProfile, facts: Mapping[str, Fact]) -> None:
    """The card key's certificate names the same card as the signed data: no file was moved from another card."""
    if not profile.keys:
        if "card_number" not in facts:
            raise _Doubt("it does not say which card it is")
        return
    certificate = _load(observation, profile.card_key)
    named = [str(item.value) for item in certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)]
    if profile.piv is not None and not objects.names(observation.files.get(ObjectId.CHUID, b""), "".join(named)):
        raise _Doubt("certificate and card identifier name different cards")
    if profile.piv is not None and "card_number" not in facts:
        return  # it stands behind the PIN; the card identifier is public
    if named != [facts.get("card_number")]:
        raise _Doubt("certificate and data name different cards")


def _load(observation: Observation, key: KeySlot) -> x509.Certificate:
    content = observation.files.get(key.certificate_fid)
    if not content:
        raise _Doubt("there is no certificate")
    try:
        certificate = x509.load_der_x509_certificate(content)
        _ = certificate.public_key(), certificate.subject  # read when asked for: a point off its curve shows here
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _Doubt("the certificate cannot be read") from error
    return certificate
