"""A certificate's to-be-signed bytes from parts that were encoded once for all certificates of a profile.

RFC 5280 section 4.1. The order of fields and extensions is fixed, so that the same request always gives the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from issuance.keys.port import KeyAlgorithm
from issuance.pki import der
from issuance.pki import extensions as ext
from issuance.pki.config import CaConfig
from issuance.pki.names import FASC_N_BYTES, CardNames
from issuance.pki.profiles import Profile
from issuance.pki.signing import Signer, algorithm_identifier

_VERSION_3 = der.explicit(0, der.integer(2))
_IDENTIFIER_BYTES = 20
_NO_NAMES = CardNames(bytes(FASC_N_BYTES), UUID(int=0))
"""As long as any others."""


@lru_cache(maxsize=1024)
def validity(not_before: datetime, not_after: datetime) -> bytes:
    """Encode a certificate's period."""
    return der.sequence(der.time(not_before), der.time(not_after))


@dataclass(frozen=True)
class Template:
    """The constant parts, encoded: `head` (signature algorithm, issuer), and the extensions around the key identifier.

    The identifier has 20 bytes in every certificate, and the card's other names (`named`, the last extension of those
    profiles that have them) one length, so the extensions' length is constant too; `fixed` is the length of all that
    is constant.
    """

    head: bytes
    before: bytes
    after: bytes
    fixed: int
    named: tuple[str, ...] = ()

    @classmethod
    def make(
        cls,
        algorithm: KeyAlgorithm,
        issuer: bytes,
        before: Sequence[bytes],
        after: Sequence[bytes],
        *,
        named: tuple[str, ...] = (),
    ) -> "Template":
        """Encode the constant parts; `algorithm` is the issuer's."""
        blank = ext.subject_key_identifier(bytes(_IDENTIFIER_BYTES))
        names = ext.card_names(_NO_NAMES, named) if named else b""
        extensions = der.explicit(3, der.sequence(*before, blank, *after, names))
        tail = b"".join(after)
        cut = len(extensions) - len(tail) - len(names)
        head = algorithm_identifier(algorithm) + issuer
        fixed = len(_VERSION_3) + len(head) + len(extensions)
        return cls(head, extensions[: cut - _IDENTIFIER_BYTES], tail, fixed, named)

    def fill(
        self,
        serial: int,
        period: bytes,
        subject: bytes,
        spki: bytes,
        key_digest: bytes,
        *,
        names: CardNames | None = None,
    ) -> bytes:
        """Encode the to-be-signed bytes of one certificate; `key_digest` is the SHA-256 of `spki`.

        `names` are those of the card, for a template that has them.
        """
        number = der.integer(serial)
        size = self.fixed + len(number) + len(period) + len(subject) + len(spki)
        head = der.SEQUENCE_HEADS[size] if size < len(der.SEQUENCE_HEADS) else der.head(der.SEQUENCE, size)
        return b"".join(
            (
                head,
                _VERSION_3,
                number,
                self.head,
                period,
                subject,
                spki,
                self.before,
                ext.key_identifier(key_digest),
                self.after,
                ext.card_names(names, self.named) if names is not None and self.named else b"",
            )
        )


def for_profile(profile: Profile, issuer: Signer, config: CaConfig, partition: int | None) -> Template:
    """Make the template of a profile under an issuer; `partition` chooses the list that certificates point at."""
    after = [ext.key_usage(profile.key_usage)]
    if profile.extended:
        usage = ext.sole_usage if profile.critical else ext.extended_key_usage
        after.append(usage(profile.extended))
    after.append(ext.policies([f"{config.policy_arc}.{profile.policy}"]))
    if profile.no_check:
        after.append(ext.no_check())
    else:
        after.append(ext.distribution_points(config.crl_url(partition)))
    after.append(ext.information_access(config.issuing_certificate_url, None if profile.no_check else config.ocsp_url))
    before = [ext.authority_key_identifier(issuer.key_identifier)]
    return Template.make(issuer.algorithm, issuer.name, before, after, named=profile.alternative)
