"""The back office: work to do, applications, calendar, batches, cards, mass emission, stations, staff, audit."""

from uec.web.views.office import (
    applications,
    audit,
    batches,
    calendar,
    cards,
    cohorts,
    home,
    keys,
    printing,
    quality,
    shifts,
    staff,
    stations,
    stock,
    stock_destruction,
    stock_transfers,
)
from uec.web.views.office.room import blueprint

__all__ = [
    "applications",
    "audit",
    "batches",
    "blueprint",
    "calendar",
    "cards",
    "cohorts",
    "home",
    "keys",
    "printing",
    "quality",
    "shifts",
    "staff",
    "stations",
    "stock",
    "stock_destruction",
    "stock_transfers",
]
