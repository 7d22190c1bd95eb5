"""An office with a bureau: a stock of blanks lying there, a stand-in that makes the cards, and a batch to order."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from issuance.bureau.standin import identity
from issuance.bureau.standin.bureau import StandIn
from issuance.bureau.standin.faults import Fault
from issuance.keys.port import KeyAlgorithm, KeyPurpose, Vault
from tests.support.desk import CardOffice, open_card_office
from tests.support.keys import BUREAU_KEY, TRANSPORT_CHECK_VALUE, bring_in_bureau_key
from tests.support.office import NOW, add_staff, seeded_random
from tests.support.stock import LOT
from uec.domain.actors import Actor
from uec.domain.bureau import Certificates, CertificateUse, OrderedState
from uec.domain.permissions import Role
from uec.domain.stock import SerialRange, StoreKind
from uec.services import bureau_orders, bureau_sending, bureau_taking, bureaux, stock_intake, vault_memory
from uec.services.bureau_sending import Sender
from uec.services.bureau_taking import Taken
from uec.services.stock_intake import BoxForm, DeliveryForm
from uec.store.tables import (
    BureauCard,
    BureauConsignment,
    BureauFile,
    BureauOrder,
    Card,
    StockAccount,
    StockHolding,
)

BLANKS = 200
# Fabricator 4790 and batch from the lot, a date of the chip, the serial number in its place.
KDD = f"47906035SSSSSSSS{LOT[8:].upper()}"


@dataclass
class BureauOffice:
    """The office, the bureau `NORTH`, and the folder that both exchange files in."""

    office: CardOffice
    folder: Path
    store_id: int
    bureau_id: int
    keeper: Actor
    second_security: Actor
    seed: int = 1
    orders: list[int] = field(default_factory=list)

    @property
    def exchange(self) -> Path:
        """Where files lie."""
        return self.folder / "exchange"

    @property
    def desk(self) -> Path:
        """The bureau's part of it."""
        return self.exchange / "NORTH"

    def batch(self, *people: int) -> int:
        """A released and prepared batch for these people; its id."""
        self.office.approve_applicants(*people)
        (batch_id,) = self.office.plan()
        self.office.release(batch_id)
        return batch_id

    def draw(self, batch_id: int, certificates: Certificates = Certificates.HAND_OVER) -> int:
        """An order for a batch, drawn up by the planner."""
        drawing = bureau_orders.Drawing(batch_id, self.bureau_id, certificates)
        with self.office.sessions() as session:
            order_id = bureau_orders.draw(
                session,
                drawing,
                profile=self.office.desk.bench.profile,
                actor=self.office.staff.planner,
                now=self.office.clock(),
            )
        self.orders.append(order_id)
        return order_id

    def approve(self, order_id: int) -> None:
        """Let an order go out."""
        with self.office.sessions() as session:
            bureau_orders.approve(session, order_id, actor=self.office.staff.releaser, now=self.office.clock())

    def send(self, order_id: int) -> Path:
        """Make the file of an approved order."""
        bench = self.office.desk.bench
        sender = Sender(bench.vault, bench.document_signer, bench.profile)
        with self.office.sessions() as session:
            return bureau_sending.send(
                session,
                order_id,
                folder=self.exchange,
                sender=sender,
                actor=self.office.staff.releaser,
                now=self.office.clock(),
            )

    def order(self, *people: int, certificates: Certificates = Certificates.HAND_OVER) -> int:
        """A batch ordered and sent."""
        order_id = self.draw(self.batch(*people), certificates)
        self.approve(order_id)
        self.send(order_id)
        return order_id

    def standin(self, *faults: Fault, spoil: float = 0.0) -> list[str]:
        """One run of the stand-in."""
        self.seed += 1
        bureau = StandIn(
            self.desk,
            "NORTH",
            identity.load(self.folder / "bureau"),
            lambda name: self.office.desk.bench.profile,
            self.office.clock,
            seeded_random(self.seed),
            spoil,
            faults,
        )
        return list(bureau.run())

    def replies(self) -> list[Path]:
        """What lies there for the office, in the order of its making."""
        return sorted((self.desk / "out").glob("*.p7s"))

    def take(self, path: Path, actor: Actor | None = None) -> Taken:
        """Take a file in."""
        with self.office.sessions() as session, path.open("rb") as stream:
            return bureau_taking.take(
                session,
                stream,
                path.name,
                profiles=lambda name: self.office.desk.bench.profile,
                actor=actor or self.office.staff.producer,
                now=self.office.clock(),
            )

    def take_all(self) -> list[Taken]:
        """Take everything that was not looked at before."""
        taken = []
        for path in self.replies():
            with self.office.sessions() as session:
                seen = bureau_taking.known(session, path)
            if not seen:
                taken.append(self.take(path))
        return taken

    def row(self, order_id: int) -> BureauOrder:
        """The order as it stands."""
        with self.office.sessions() as session:
            return session.get_one(BureauOrder, order_id)

    def counts(self, order_id: int) -> dict[OrderedState, int]:
        """Its cards by what became of them."""
        with self.office.sessions() as session:
            return dict(bureau_orders.counts(session, order_id))

    def cards(self, order_id: int, *states: OrderedState) -> list[Card]:
        """Cards of an order in these states (all), by number."""
        wanted = select(Card).join(BureauCard, BureauCard.card_id == Card.id).where(BureauCard.order_id == order_id)
        with self.office.sessions() as session:
            chosen = wanted.where(BureauCard.state.in_(states)) if states else wanted
            return list(session.scalars(chosen.order_by(Card.number)))

    def files(self, *columns: str) -> list[tuple[object, ...]]:
        """What is recorded of files, oldest first."""
        with self.office.sessions() as session:
            rows = session.scalars(select(BureauFile).order_by(BureauFile.id)).all()
            return [tuple(getattr(row, column) for column in columns) for row in rows]

    def consignments(self) -> list[BureauConsignment]:
        """What is on its way or was."""
        with self.office.sessions() as session:
            return list(session.scalars(select(BureauConsignment).order_by(BureauConsignment.id)))

    def blanks(self) -> dict[str, int]:
        """Blanks of the bureau's store by where they are."""
        lying = (
            select(StockAccount.kind, func.sum(StockHolding.last - StockHolding.first + 1))
            .join(StockHolding, StockHolding.account_id == StockAccount.id)
            .where(StockAccount.store_id == self.store_id)
            .group_by(StockAccount.kind)
        )
        with self.office.sessions() as session:
            return {kind.value: int(count) for kind, count in session.execute(lying)}

    def chip_of(self, card: Card) -> VirtualCard:
        """The chip that the stand-in made a card on."""
        return VirtualCard.load(self.desk / "cards" / f"{card.chip_id}.card")


def open_bureau_office(
    sessions: sessionmaker[Session],
    folder: Path,
    *,
    kind: str = "ec-p256",
    blanks: int = BLANKS,
    start: datetime = NOW,
    office: CardOffice | None = None,
) -> BureauOffice:
    """An office (a new one over an empty database) with a bureau that two people let in, ready for orders."""
    office = office or open_card_office(sessions, folder, start=start)
    vault = office.desk.bench.vault
    rotate_master(vault, office.clock())
    transport = bring_in_bureau_key(vault)  # type: ignore[arg-type]
    with sessions() as session:
        keeper = add_staff(session, "bureau-keeper", Role.STOREKEEPER)
        second = add_staff(session, "bureau-security", Role.SECURITY)
        vault_memory.note(session, vault)
        session.commit()
        store_id = _stock(session, office, keeper, blanks)
        first, now = office.staff.security, office.clock()
        form = bureaux.BureauForm("NORTH", "Northern bureau", store_id, 500, transport.version)
        bureau_id = bureaux.add(session, form, actor=first, now=now)
        bureaux.approve(session, bureau_id, actor=second, now=now)
        bureaux.add_lot(session, LOT, KDD, actor=first, now=now)
    made = BureauOffice(office, folder, store_id, bureau_id, keeper, second)
    _meet(made, kind)
    return made


def rotate_master(vault: Vault, now: datetime) -> None:
    """The next version of the card master: bureaux get keys of the one before."""
    vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=now)  # type: ignore[attr-defined]


def _stock(session: Session, office: CardOffice, keeper: Actor, blanks: int) -> int:
    store_id = stock_intake.add_store(
        session, code="NORTH", name="Blanks at the northern bureau", kind=StoreKind.CENTRAL, point_id=None,
        enforced=True, actor=keeper, now=office.clock(),
    )  # fmt: skip
    box = BoxForm("N-1", (SerialRange(LOT, 1, blanks),))
    form = DeliveryForm("Maker", "N-1", "uec", 1, "kdf3", TRANSPORT_CHECK_VALUE, store_id, (box,))
    stock_intake.deliver(session, form, actor=keeper, now=office.clock())
    return store_id


def _meet(made: BureauOffice, kind: str) -> None:
    """Both sides exchange certificates and the transport key."""
    folder, office = made.folder / "bureau", made.office
    identity.create(folder, "Northern bureau", now=office.clock() - timedelta(hours=1), kind=kind)
    identity.keep_transport(folder, Secret(BUREAU_KEY))
    identity.keep_office(folder, office.desk.bench.document_signer.certificate)
    for use in CertificateUse:
        bring_certificate(made, (folder / f"{use.lower()}.pem").read_bytes(), use)


def bring_certificate(made: BureauOffice, content: bytes, use: CertificateUse) -> int:
    """A certificate of the bureau, proposed by one and approved by another."""
    with made.office.sessions() as session:
        row = bureaux.add_certificate(
            session, made.bureau_id, content, use=use, actor=made.office.staff.security, now=made.office.clock()
        )
        bureaux.approve_certificate(session, row, actor=made.second_security, now=made.office.clock())
    return row
