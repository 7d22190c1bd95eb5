"""Do the office and the vault still belong together? Asked whenever the authority is opened; nothing is issued if not.

The office remembers the vault, how often it had changed, and each key's check value, as rows of the number series: they
go with the database wherever it is restored. Every few seconds the two count on together (`meet`). After an older copy
of one came back they disagree (see `issuance.keys.agreement`) until two custodians decide by `uec keys agree`.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from issuance.keys.agreement import Disagreement, Finding, Memory, require_agreement
from issuance.keys.engine import VaultEngine
from issuance.keys.port import KeyAlgorithm, KeyInfo, KeyPurpose, KeyRef, Vault, VaultIdentity
from uec.services import numbering
from uec.store.tables import AuditChain, NumberSeries

_VAULT, _KEY, _STEP, _DOUBT, _DONE = "vault:", "key:", "vault-step:", "vault-doubt:", "vault-done:"
_OURS = (_VAULT, _KEY, _STEP, _DOUBT, _DONE)


def require(session: Session, vault: Vault) -> None:
    """Raise `Disagreement` unless the vault is the one the office remembers; an office without memory agrees."""
    before = vault.identity()
    memory = recall(session)
    if memory is None:
        return
    after = vault.identity()
    # Somebody else may have counted on while the memory was read: then it is one of the two.
    now = after if after.generation in (memory.identity.generation, memory.step) else before
    require_agreement(memory, now, vault.describe())


def meet(session: Session, vault: Vault) -> None:
    """Count on by one with the vault when anything was done since they met: an older copy of either is known by that.

    An office in which nothing was done writes nothing: a copy of it is no older than itself. Two transactions: what
    the vault will be asked for, and what it is then; torn in between, both are right. Raises `Disagreement`, which is
    remembered for the office's page until custodians have decided. Commits.
    """
    try:
        require(session, vault)
    except Disagreement as error:
        session.rollback()
        _raise_to(session, _DOUBT + error.finding, 1)
        session.commit()
        raise
    done = _done(session)
    if recall(session) is None or session.scalar(select(NumberSeries.next).where(NumberSeries.name == _DONE)) == done:
        session.rollback()
        return
    identity = vault.identity()
    _raise_to(session, _VAULT + identity.vault_id, identity.generation)
    _raise_to(session, _STEP + identity.vault_id, identity.generation + 1)
    session.commit()
    identity = vault.step(identity.generation)
    _raise_to(session, _VAULT + identity.vault_id, identity.generation)
    _raise_to(session, _DONE, done)
    session.commit()


def _done(session: Session) -> int:
    """Grows with everything the office does: its audit entries, and the numbers it has given."""
    entries = session.scalar(select(func.sum(AuditChain.seq))) or 0
    return int(entries + (session.scalar(select(func.sum(NumberSeries.next)).where(~_is_ours())) or 0))


def doubt(session: Session) -> Finding | None:
    """How office and vault disagreed when they last met; None when they did not."""
    name = session.scalar(select(NumberSeries.name).where(NumberSeries.name.startswith(_DOUBT)).limit(1))
    return None if name is None else Finding(name.removeprefix(_DOUBT))


def _raise_to(session: Session, name: str, number: int) -> None:
    raised = update(NumberSeries).where(NumberSeries.name == name, NumberSeries.next < number).values(next=number)
    session.execute(raised)
    if session.scalar(select(NumberSeries.next).where(NumberSeries.name == name)) is None:
        session.add(NumberSeries(name=name, next=number))
        session.flush()


def recall(session: Session) -> Memory | None:
    """What the office remembers; None before anything was noted."""
    rows = session.execute(select(NumberSeries.name, NumberSeries.next).where(_is_ours())).all()
    identity, step = None, 0
    values: dict[tuple[KeyPurpose, int], str] = {}
    for name, number in rows:
        if name.startswith(_VAULT):
            identity = VaultIdentity(name.removeprefix(_VAULT), number)
        elif name.startswith(_STEP):
            step = number
        elif name.startswith(_KEY):
            _, purpose, check_value = name.split(":")
            values[KeyPurpose(purpose), number] = check_value
    return None if identity is None else Memory(identity, values, step)


def note(session: Session, vault: Vault) -> None:
    """Remember the vault as it is now; the caller commits, together with what was done in the vault's name."""
    _forget(session)
    identity = vault.identity()
    session.add(NumberSeries(name=_VAULT + identity.vault_id, next=identity.generation))
    session.add_all(_rows(vault.describe()))
    session.flush()


def agree(session: Session, vault: VaultEngine, *, skip: int, now: datetime) -> list[KeyRef]:
    """Two custodians have decided: remember the vault as it is, and leave out the next `skip` numbers of every series.

    Numbers that were given after the restored copy was made are never given again then, nor are versions of keys that
    the vault has lost: it knows them as destroyed from now on. Returns those. The caller commits.
    """
    memory = recall(session)
    held = {info.ref: info for info in vault.describe()}
    lost = [] if memory is None else [KeyRef(*key) for key in memory.check_values if KeyRef(*key) not in held]
    for ref in lost:
        assert memory is not None
        like = next((info.algorithm for info in held.values() if info.ref.purpose is ref.purpose), KeyAlgorithm.AES_128)
        vault.count_lost(ref, like, memory.check_values[ref.purpose, ref.version], now=now)
    for name in session.scalars(select(NumberSeries.name).order_by(NumberSeries.name)).all():
        if not name.startswith(_OURS) and skip:
            numbering.take(session, name, count=skip)
    note(session, vault)
    return lost


def _is_ours() -> ColumnElement[bool]:
    return or_(*(NumberSeries.name.startswith(prefix) for prefix in _OURS))


def _forget(session: Session) -> None:
    session.execute(delete(NumberSeries).where(_is_ours()).execution_options(synchronize_session="fetch"))


def _rows(infos: Iterable[KeyInfo]) -> list[NumberSeries]:
    return [NumberSeries(name=f"{_KEY}{info.ref.purpose}:{info.check_value}", next=info.ref.version) for info in infos]
