"""All tables of the office, by theme; import them from here."""

from uec.store.columns import Table
from uec.store.tables.absences import RegisterAbsence
from uec.store.tables.applications import Application, Message, RegisterCheck
from uec.store.tables.bureaux import (
    Bureau,
    BureauCard,
    BureauCertificate,
    BureauChip,
    BureauConsignment,
    BureauFile,
    BureauKey,
    BureauLot,
    BureauOrder,
)
from uec.store.tables.exports import ExportFile, ExportPart
from uec.store.tables.keys import KeyVersion
from uec.store.tables.letters import UnblockLetter
from uec.store.tables.people import Cohort, CohortPart, Refusal, RegisterImport, Resident
from uec.store.tables.phases import BankChoice, PolicyChange, PublicNotice
from uec.store.tables.places import IssuancePoint, Municipality, Staff, StaffRole
from uec.store.tables.plans import (
    EmissionBatch,
    EmissionPlan,
    EmissionSlot,
    PlanningFacts,
    PlanProposal,
    PlanScenario,
    PromiseMove,
)
from uec.store.tables.printing import PrintOrder
from uec.store.tables.production import (
    Batch,
    Card,
    CardData,
    CardOperation,
    HubInstance,
    JournalEntry,
    Station,
)
from uec.store.tables.records import (
    AttemptWindow,
    AuditChain,
    AuditEntry,
    AuditHead,
    JobPause,
    NumberSeries,
    ScheduledRun,
)
from uec.store.tables.stock import (
    CardLook,
    OperationPlace,
    Quarantine,
    StockAccount,
    StockBox,
    StockDelivery,
    StockDestruction,
    StockHolding,
    StockMovement,
    StockShift,
    StockStore,
    StockTransfer,
)
from uec.store.tables.trust import (
    Certificate,
    Crl,
    OcspAnswer,
    OcspSigner,
    Revocation,
    StopListEntry,
    StopListSnapshot,
)
from uec.store.tables.twins import TwinCase, TwinMember

metadata = Table.metadata

__all__ = [
    "Application",
    "AttemptWindow",
    "AuditChain",
    "AuditEntry",
    "AuditHead",
    "BankChoice",
    "Batch",
    "Bureau",
    "BureauCard",
    "BureauCertificate",
    "BureauChip",
    "BureauConsignment",
    "BureauFile",
    "BureauKey",
    "BureauLot",
    "BureauOrder",
    "Card",
    "CardData",
    "CardLook",
    "CardOperation",
    "Certificate",
    "Cohort",
    "CohortPart",
    "Crl",
    "EmissionBatch",
    "EmissionPlan",
    "EmissionSlot",
    "ExportFile",
    "ExportPart",
    "HubInstance",
    "IssuancePoint",
    "JobPause",
    "JournalEntry",
    "KeyVersion",
    "Message",
    "Municipality",
    "NumberSeries",
    "OcspAnswer",
    "OcspSigner",
    "OperationPlace",
    "PlanProposal",
    "PlanScenario",
    "PlanningFacts",
    "PolicyChange",
    "PrintOrder",
    "PromiseMove",
    "PublicNotice",
    "Quarantine",
    "Refusal",
    "RegisterAbsence",
    "RegisterCheck",
    "RegisterImport",
    "Resident",
    "Revocation",
    "ScheduledRun",
    "Staff",
    "StaffRole",
    "Station",
    "StockAccount",
    "StockBox",
    "StockDelivery",
    "StockDestruction",
    "StockHolding",
    "StockMovement",
    "StockShift",
    "StockStore",
    "StockTransfer",
    "StopListEntry",
    "StopListSnapshot",
    "Table",
    "TwinCase",
    "TwinMember",
    "UnblockLetter",
    "metadata",
]
