"""DAP: security domains vouch for code before it comes onto the card.

GlobalPlatform Card Specification 2.3.1: 9.2.1 and 9.3.5 (when a DAP block is wanted), C.3 (what it signs).
"""

from typing import Protocol, runtime_checkable

from card_io.virtual.platform import Platform
from card_io.virtual.refusal import CONDITIONS, REFERENCE_NOT_FOUND, SECURITY_STATUS, WRONG_DATA, Refused
from card_io.virtual.registry import DAP_VERIFICATION, Instance


@runtime_checkable
class Vouching(Protocol):
    """A security domain with keys to check signatures over code."""

    def accept(self, signature: bytes, digest: bytes) -> bool:
        """Whether `signature` is good over that load file data block hash."""


def check_daps(platform: Platform, domain: bytes, digest: bytes, daps: list[tuple[bytes, bytes]]) -> None:
    """Check every DAP block, and that none is missing that the card asks for.

    `domain` is the one the load file will belong to, `digest` the hash of INSTALL [for load]. `Refused`: 6A80 for a
    block without that hash, 6A88 for one of a domain that verifies none, 6982 for a wrong signature, 6985 for a
    missing one.
    """
    if daps and not digest:
        raise Refused(WRONG_DATA)
    for aid, signature in daps:
        if not _vouching(platform, aid).accept(signature, digest):
            raise Refused(SECURITY_STATUS)
    if _wanted(platform, domain) - {aid for aid, _ in daps}:
        raise Refused(CONDITIONS)


def _vouching(platform: Platform, aid: bytes) -> Vouching:
    instance = platform.registry.instance(aid)
    if instance is None or not _verifies(instance):
        raise Refused(REFERENCE_NOT_FOUND)
    code = platform.applet(instance)
    if not isinstance(code, Vouching):
        raise Refused(REFERENCE_NOT_FOUND)
    return code


def _verifies(instance: Instance) -> bool:
    return instance.is_domain and bool(instance.privileges[0] & DAP_VERIFICATION)


def _wanted(platform: Platform, domain: bytes) -> set[bytes]:
    """Names of the domains whose DAP the load file must have: its own, and every one with the mandated privilege."""
    instances = platform.registry.instances()
    return {item.aid for item in instances if item.wants_every_dap or (item.aid == domain and _verifies(item))}
