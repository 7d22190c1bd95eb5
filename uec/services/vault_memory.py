"""Do the office and the vault still belong together? Asked whenever the authority is opened; nothing is issued if not.

The office remembers the vault, how often it had changed, and each key's check value, as rows of the number series: they
go with the database wherever it is restored. After an older database or an older vault came back the two disagree (see
`issuance.keys.agreement`) until two custodians decide with `uec keys agree`.
"""

from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from issuance.keys.agreement import Memory, require_agreement
from issuance.keys.port import KeyInfo, KeyPurpose, Vault, VaultIdentity
from uec.services import numbering
from uec.store.tables import NumberSeries

_VAULT, _KEY = "vault:", "key:"


def require(session: Session, vault: Vault) -> None:
    """Raise `Disagreement` unless the vault is the one the office remembers; an office without memory agrees."""
    memory = recall(session)
    if memory is not None:
        require_agreement(memory, vault.identity(), vault.describe())


def recall(session: Session) -> Memory | None:
    """What the office remembers; None before anything was noted."""
    rows = session.execute(
        select(NumberSeries.name, NumberSeries.next).where(
            NumberSeries.name.startswith(_VAULT) | NumberSeries.name.startswith(_KEY)
        )
    ).all()
    identity = None
    values: dict[tuple[KeyPurpose, int], str] = {}
    for name, number in rows:
        if name.startswith(_VAULT):
            identity = VaultIdentity(name.removeprefix(_VAULT), number)
        else:
            _, purpose, check_value = name.split(":")
            values[KeyPurpose(purpose), number] = check_value
    return None if identity is None else Memory(identity, values)


def note(session: Session, vault: Vault) -> None:
    """Remember the vault as it is now; the caller commits, together with what was done in the vault's name."""
    _forget(session)
    identity = vault.identity()
    session.add(NumberSeries(name=_VAULT + identity.vault_id, next=identity.generation))
    session.add_all(_rows(vault.describe()))
    session.flush()


def agree(session: Session, vault: Vault, *, skip: int) -> None:
    """Two custodians have decided: remember the vault as it is, and leave out the next `skip` numbers of every series.

    Numbers that were given after the restored copy was made are never given again then. The caller commits.
    """
    for name in session.scalars(select(NumberSeries.name).order_by(NumberSeries.name)).all():
        if not name.startswith((_VAULT, _KEY)) and skip:
            numbering.take(session, name, count=skip)
    note(session, vault)


def _forget(session: Session) -> None:
    ours = NumberSeries.name.startswith(_VAULT) | NumberSeries.name.startswith(_KEY)
    session.execute(delete(NumberSeries).where(ours).execution_options(synchronize_session="fetch"))


def _rows(infos: Iterable[KeyInfo]) -> list[NumberSeries]:
    return [NumberSeries(name=f"{_KEY}{info.ref.purpose}:{info.check_value}", next=info.ref.version) for info in infos]
