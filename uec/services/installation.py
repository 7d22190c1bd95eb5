"""A new installation: database, vault with every key, authority and the first administrator.

Done in this order, each step whole or not at all; running it again goes on where it stopped and overwrites nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from card_io.secret import Secret
from issuance.keys.port import KeyAlgorithm, KeyPurpose, Vault, VaultIdentity
from uec.domain.actors import system_actor
from uec.domain.permissions import Role
from uec.services import authority, key_rotation, staff, vault_memory, vaults
from uec.services.applicant_secret import RandomBytes
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.store.migrate import upgrade

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


def install(
    settings: Settings,
    *,
    passphrases: tuple[Secret, Secret],
    administrator: Administrator,
    now: datetime,
    random: RandomBytes,
    transport: TransportKey | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> None:
    """Make what is not there yet; `say` hears one line a step.

    Raises what settings, vault, database and authority raise, each in a sentence; what was made before stays.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    say("database: creating the tables")
    upgrade(settings.database_url)
    say("vault: making the keys (the passphrases are stretched, this takes a few seconds)")
    with vaults.unlock_or_create(settings, passphrases) as vault:
        found = vault.identity()
        make_keys(vault, now=now)
        if transport is not None and not vault.describe(KeyPurpose.BLANK_TRANSPORT):
            vault.import_key(
                KeyPurpose.BLANK_TRANSPORT,
                transport.algorithm,
                transport.components,
                check_value=transport.check_value,
                now=now,
            )
        _fill_database(settings, vault, found, administrator, now, random, say)


def make_keys(vault: Vault, *, now: datetime) -> None:
    """Generate a first version of every key that the vault does not have yet."""
    for purpose, algorithm in ALGORITHMS.items():
        if not vault.describe(purpose):
            vault.generate(purpose, algorithm, now=now)


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
    administrator: Administrator,
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
            except authority.NoAuthority:
                say("authority: signing root, issuing authority and document signer")
                authority.create(session, vault, settings=settings, actor=INSTALLER, now=now, random=random)
            if all(Role.ADMIN not in person.roles for person in staff.list_staff(session)):
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
