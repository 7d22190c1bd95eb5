"""Two authorities: a root that signs itself, and an issuing one below it (RFC 5280 section 6)."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from issuance.keys.port import KeyPurpose, Vault
from issuance.pki import extensions as ext
from issuance.pki.config import CaConfig
from issuance.pki.signing import Signer, key_algorithm, signed
from issuance.pki.template import Template, validity

Random = Callable[[int], bytes]
_SERIAL_BYTES = 16
_AUTHORITY_USAGE = ("key_cert_sign", "crl_sign")


@dataclass(frozen=True)
class Hierarchy:
    """Both authorities' certificates in DER."""

    root: bytes
    issuing: bytes


def new_serial(random: Random) -> int:
    """Draw a serial number of 128 random bits, never zero."""
    while (serial := int.from_bytes(random(_SERIAL_BYTES), "big")) == 0:
        pass
    return serial


def create_hierarchy(vault: Vault, config: CaConfig, *, now: datetime, random: Random) -> Hierarchy:
    """Make the certificates of the vault's active root and issuing keys.

    The issuing authority may have no other below it, and names only subjects of this operator. Raises `UnknownKey` when
    the vault has no key for one of them yet.
    """
    start = now.replace(microsecond=0)
    root = _root(vault, config, start, new_serial(random))
    signer = Signer.find(vault, KeyPurpose.CA_ROOT, root)
    return Hierarchy(root, _issuing(vault, config, signer, start, new_serial(random)))


def _root(vault: Vault, config: CaConfig, start: datetime, serial: int) -> bytes:
    ref = vault.active(KeyPurpose.CA_ROOT)
    spki, algorithm = vault.public_key(ref), key_algorithm(vault, ref)
    name = config.authority_name(config.root_common_name)
    template = Template.make(
        algorithm, name, before=[], after=[ext.authority_constraints(None), ext.key_usage(_AUTHORITY_USAGE)]
    )
    tbs = template.fill(serial, validity(start, start + timedelta(days=config.root_days)), name, spki, _digest(spki))
    return signed(tbs, algorithm, vault.sign(ref, [tbs])[0])


def _issuing(vault: Vault, config: CaConfig, root: Signer, start: datetime, serial: int) -> bytes:
    after = [
        ext.authority_constraints(0),
        ext.key_usage(_AUTHORITY_USAGE),
        ext.policies([ext.ANY_POLICY]),
        ext.permitted_names(config.permitted_subtree()),
        ext.distribution_points(config.root_crl_url),
        ext.information_access(config.root_certificate_url, None),
    ]
    template = Template.make(root.algorithm, root.name, [ext.authority_key_identifier(root.key_identifier)], after)
    spki = vault.public_key(vault.active(KeyPurpose.CA_ISSUING))
    period = validity(start, min(start + timedelta(days=config.issuing_days), root.not_after))
    tbs = template.fill(serial, period, config.authority_name(config.issuing_common_name), spki, _digest(spki))
    return signed(tbs, root.algorithm, root.sign([tbs])[0])


def _digest(spki: bytes) -> bytes:
    return hashlib.sha256(spki).digest()
