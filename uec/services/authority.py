"""The office's certification authority: made once, kept in the database, opened with the vault's keys.

Certificates of authorities and of the document signer lie in the table of certificates without a card; private keys
never leave the vault.
"""

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from issuance.errors import BadSettings
from issuance.keys.port import KeyPurpose, Vault
from issuance.pki.ca import CertificateAuthority, CertificateRequest, new_serial
from issuance.pki.config import CaConfig
from issuance.pki.hierarchy import create_hierarchy
from issuance.pki.hygiene import WeakKeyList, check_public_key, public_key_digest
from issuance.pki.signing import Signer
from uec.domain.actors import Actor
from uec.domain.errors import UecError
from uec.domain.lifecycle import CertificateState
from uec.services import publication, revocation, vault_memory
from uec.services.applicant_secret import RandomBytes
from uec.settings import Settings
from uec.store import audit
from uec.store.tables import Certificate

_log = logging.getLogger(__name__)
ROOT, ISSUING, DOCUMENT_SIGNER = "root-ca", "issuing-ca", "document-signer"


class NoAuthority(UecError):
    """The certification authority has not been made yet, or its key is no longer the vault's active one."""

    code = "uec.no_authority"


class AuthorityExists(UecError):
    """There is an authority for the vault's active keys already."""

    code = "uec.authority_exists"


@dataclass(frozen=True)
class AuthorityCertificates:
    """The certificates (DER) anybody may have."""

    root: bytes
    issuing: bytes
    document_signer: bytes


def ca_config(settings: Settings) -> CaConfig:
    """What the authority is called and where its lists lie, from the settings."""
    return CaConfig(
        organization=settings.pki.organisation,
        country=settings.pki.country,
        root_common_name=settings.pki.root_name,
        issuing_common_name=settings.pki.issuing_name,
        base_url=(settings.pki.lists_url or settings.base_url).rstrip("/"),
        ocsp=settings.pki.ocsp,
        ocsp_address=settings.ocsp_url.rstrip("/"),
        crl_part_entries=settings.pki.crl_part_entries,
    )


def create(
    session: Session, vault: Vault, *, settings: Settings, actor: Actor, now: datetime, random: RandomBytes
) -> AuthorityCertificates:
    """Make root, issuing authority and document signer of the vault's active keys; raises `AuthorityExists`."""
    if ROOT in _own(session):
        raise AuthorityExists("The certification authority is there already: `uec ca show` tells about it.")
    config = ca_config(settings)
    hierarchy = create_hierarchy(vault, config, now=now, random=random)
    ca = CertificateAuthority(vault, root=hierarchy.root, issuing=hierarchy.issuing, config=config)
    start = now.replace(microsecond=0)
    request = CertificateRequest(
        profile=DOCUMENT_SIGNER,
        public_key=vault.public_key(vault.active(KeyPurpose.DOCUMENT_SIGNER)),
        subject=config.subject(common_name=settings.pki.document_signer_name),
        serial=new_serial(random),
        not_before=start,
        not_after=min(start + timedelta(days=ca.profiles[DOCUMENT_SIGNER].max_days), ca.signer.not_after),
    )
    (signer,) = ca.sign([ca.prepare(request)], now=now)
    for profile, der in ((ROOT, hierarchy.root), (ISSUING, hierarchy.issuing), (DOCUMENT_SIGNER, signer)):
        _store(session, profile, der, actor, now)
    publication.publish_root_crl(session, Signer.find(vault, KeyPurpose.CA_ROOT, hierarchy.root), now=now)
    session.commit()
    return AuthorityCertificates(hierarchy.root, hierarchy.issuing, signer)


def renew_root_crl(session: Session, vault: Vault, *, now: datetime) -> int:
    """Sign the root's revocation list anew, once a year; returns its number."""
    signer = Signer.find(vault, KeyPurpose.CA_ROOT, certificates(session).root)
    number = publication.publish_root_crl(session, signer, now=now)
    session.commit()
    return number


def certificates(session: Session) -> AuthorityCertificates:
    """The authority's certificates; raises `NoAuthority` before there is one."""
    found = _own(session)
    root, issuing, signer = (found.get(profile) for profile in (ROOT, ISSUING, DOCUMENT_SIGNER))
    if root is None or issuing is None or signer is None:
        raise NoAuthority("There is no certification authority yet: run `uec ca init`.")
    return AuthorityCertificates(root, issuing, signer)


def open_authority(session: Session, vault: Vault, *, settings: Settings) -> CertificateAuthority:
    """The authority ready to sign.

    Raises `NoAuthority`, `Disagreement` when the database or the vault was restored from an older copy, or what the
    vault raises.
    """
    vault_memory.require(session, vault)
    known = certificates(session)
    return CertificateAuthority(
        vault,
        root=known.root,
        issuing=known.issuing,
        config=ca_config(settings),
        hygiene=partial(check_public_key, weak_keys=weak_keys(settings)[0]),
    )


def weak_keys(settings: Settings) -> tuple[WeakKeyList, str]:
    """The keys of broken generators that no card may have, and a sentence about what is missing of the list, or ''.

    Lists that cannot be had stop nothing: what else is wrong with a key is still found, and the absence is told in the
    log, by `uec ca show` and in the audit of every sweep.
    """
    files = settings.pki.weak_rsa_key_files
    if not files:
        return (
            WeakKeyList(),
            "no list of weak RSA keys is named: set pki.weak_rsa_key_files (openssl-blacklist has them)",
        )
    try:
        return _weak_keys(files, tuple(file.stat().st_mtime_ns for file in files if file.exists())), ""
    except BadSettings as error:
        _log.warning("%s", error)
        return WeakKeyList(), str(error)


@lru_cache(maxsize=1)
def _weak_keys(files: tuple[Path, ...], _changed: tuple[int, ...]) -> WeakKeyList:
    return WeakKeyList.load(*files)


def issuing_in_use(session: Session, *, now: datetime) -> tuple[bytes, ...]:
    """The certificates (DER) of all issuing authorities that have not ended, newest first: cards of any may be met."""
    known = select(Certificate.der).where(
        Certificate.profile == ISSUING,
        Certificate.card_id.is_(None),
        Certificate.state == CertificateState.ISSUED,
        Certificate.not_after >= now,
    )
    return tuple(der for der in session.scalars(known.order_by(Certificate.id.desc())) if der is not None)


def _own(session: Session) -> dict[str, bytes | None]:
    """The newest certificate of each profile of the authority's own."""
    return dict(session.execute(_newest()).all())


@cache
def _newest() -> Select[str, bytes | None]:
    """Made once, as every job of every worker asks."""
    newest = select(func.max(Certificate.id)).where(
        Certificate.profile.in_((ROOT, ISSUING, DOCUMENT_SIGNER)),
        Certificate.card_id.is_(None),
        Certificate.der.is_not(None),
        Certificate.state == CertificateState.ISSUED,
    )
    return select(Certificate.profile, Certificate.der).where(Certificate.id.in_(newest.group_by(Certificate.profile)))


def _store(session: Session, profile: str, der: bytes, actor: Actor, now: datetime) -> None:
    parsed = x509.load_der_x509_certificate(der)
    key = parsed.public_key().public_bytes(
        encoding=serialization.Encoding.DER, format=serialization.PublicFormat.SubjectPublicKeyInfo
    )
    row = Certificate(
        profile=profile,
        serial=f"{parsed.serial_number:032x}",
        tbs_digest=hashlib.sha256(parsed.tbs_certificate_bytes).hexdigest(),
        public_key_digest=public_key_digest(key),
        subject=parsed.subject.rfc4514_string(),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        state=CertificateState.INTENDED,
        intended_at=now,
    )
    session.add(row)
    session.flush()
    row.state, row.der, row.issued_at = CertificateState.ISSUED, der, now
    if profile not in (ROOT, ISSUING):
        revocation.expect_answers(session, [row.id], now=now)
    audit.record(
        session,
        actor=actor.reference,
        action="certificate.issue",
        subject_kind="certificate",
        subject_id=row.id,
        details={"profile": profile, "serial": row.serial},
        now=now,
    )


def document_signer(session: Session, vault: Vault) -> Signer:
    """The key and certificate that security objects are signed with; raises `NoAuthority`."""
    keeper: Any = vault  # a protocol does not say that its objects can be keys of a cache
    return _signer(keeper, certificates(session).document_signer)


@lru_cache(maxsize=2)
def _signer(vault: Any, certificate: bytes) -> Signer:
    """Found once: each search asks the vault for all its keys of the kind."""
    return Signer.find(vault, KeyPurpose.DOCUMENT_SIGNER, certificate)
