"""A new installation: database, vault with every key, authority and the first administrator.

Done in this order, each step whole or not at all; running it again goes on where it stopped and overwrites nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from card_io.secret import Secret
from issuance.keys.port import KeyAlgorithm, KeyPurpose, Vault, VaultIdentity
from uec.domain.actors import system_actor
from uec.domain.errors import InvalidInput
from uec.domain.permissions import Role
from uec.services import authority, key_rotation, staff, vault_memory, vaults
from uec.services.applicant_secret import RandomBytes
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.store.migrate import revisions, upgrade
from uec.store.tables import StaffRole

INSTALLER = system_actor("installation")

ALGORITHMS = {
    KeyPurpose.CARD_MASTER: KeyAlgorithm.AES_128,
    KeyPurpose.PIN_MASTER: KeyAlgorithm.AES_256,
    KeyPurpose.CA_ROOT: KeyAlgorithm.EC_P384,
    KeyPurpose.CA_ISSUING: KeyAlgorithm.EC_P256,
    KeyPurpose.DOCUMENT_SIGNER: KeyAlgorithm.EC_P256,
    KeyPurpose.AUDIT: KeyAlgorithm.EC_P256,
    KeyPurpose.STATION: KeyAlgorithm.EC_P256,
    KeyPurpose.OCSP: KeyAlgorithm.EC_P256,
}


@dataclass(frozen=True)
class Administrator:
    """The first one who may add others."""

    login: str
    display_name: str
    password: str


@dataclass(frozen=True)
class TransportKey:
    """A maker's transport master as it comes: components of two custodians and the check value of the whole."""

    components: tuple[Secret, ...]
    check_value: str
    algorithm: KeyAlgorithm = KeyAlgorithm.AES_128


def has_administrator(settings: Settings) -> bool:
    """Whether somebody is there already who may add others; nobody is before there are tables."""
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if revisions(settings.database_url)[0] is None:
        return False
    engine = make_engine(settings.database_url)
    try:
        with session_factory(engine)() as session:
            return _has_administrator(session)
    finally:
        engine.dispose()


def install(
    settings: Settings,
    *,
    passphrases: tuple[Secret, Secret],
    administrator: Administrator | None,
    now: datetime,
    random: RandomBytes,
    transport: TransportKey | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> None:
    """Make what is not there yet; `say` hears one line a step. Without an `administrator` there must be one already.

    Raises what settings, vault, database and authority raise, each in a sentence; what was made before stays.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    _make_tables(settings, say)
    is_there = vaults.is_there(settings, passphrases)
    say(f"vault: {'opening it' if is_there else 'making it'} (the passphrases are stretched, this takes a few seconds)")
    with vaults.unlock(settings, passphrases) if is_there else vaults.create(settings, passphrases) as vault:
        found = vault.identity()
        made = make_keys(vault, now=now)
        say(f"vault: made the first key for {', '.join(made)}" if made else "vault: every key is there")
        if transport is not None and not vault.describe(KeyPurpose.BLANK_TRANSPORT):
            vault.import_key(
                KeyPurpose.BLANK_TRANSPORT,
                transport.algorithm,
                transport.components,
                check_value=transport.check_value,
                now=now,
            )
        _fill_database(settings, vault, found, administrator, now, random, say)


def _make_tables(settings: Settings, say: Callable[[str], None]) -> None:
    present, wanted = revisions(settings.database_url)
    if present == wanted:
        say("database: its tables are there")
        return
    say("database: creating the tables" if present is None else "database: bringing its tables up to this version")
    upgrade(settings.database_url)


def make_keys(vault: Vault, *, now: datetime) -> list[str]:
    """Generate a first version of every key that the vault does not have yet; returns what for."""
    missing = [purpose for purpose in ALGORITHMS if not vault.describe(purpose)]
    for purpose in missing:
        vault.generate(purpose, ALGORITHMS[purpose], now=now)
    return [purpose.value for purpose in missing]


def _remember(session: Session, vault: Vault, found: VaultIdentity, now: datetime) -> None:
    """Remember the vault with what was added now, unless it was another or an older one before."""
    memory = vault_memory.recall(session)
    if memory is None or memory.identity == found:
        vault_memory.note(session, vault)
        key_rotation.note(session, vault.describe(), now=now)
        session.commit()
    else:
        vault_memory.require(session, vault)


def _fill_database(
    settings: Settings,
    vault: Vault,
    found: VaultIdentity,
    administrator: Administrator | None,
    now: datetime,
    random: RandomBytes,
    say: Callable[[str], None],
) -> None:
    engine = make_engine(settings.database_url)
    try:
        with session_factory(engine)() as session:
            _remember(session, vault, found, now)
            try:
                authority.certificates(session)
                say("authority: it is there")
            except authority.NoAuthority:
                say("authority: signing root, issuing authority and document signer")
                authority.create(session, vault, settings=settings, actor=INSTALLER, now=now, random=random)
            if _has_administrator(session):
                say("staff: an administrator is there; `uec staff add` adds further people")
            elif administrator is None:
                raise InvalidInput("There is no administrator any more: run `uec init` again.", field="administrator")
            else:
                say(f"staff: adding the administrator {administrator.login}")
                staff.create(
                    session,
                    login=administrator.login,
                    display_name=administrator.display_name,
                    password=administrator.password,
                    roles=[Role.ADMIN],
                    actor=INSTALLER,
                    now=now,
                    random=random,
                )
    finally:
        engine.dispose()


def _has_administrator(session: Session) -> bool:
    return session.scalar(select(StaffRole.role).where(StaffRole.role == Role.ADMIN).limit(1)) is not None
