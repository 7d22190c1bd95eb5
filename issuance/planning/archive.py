"""Keeps a plan as bytes, so that what follows from an event can be seen in a moment: arrays by numpy, names by JSON.

Written by `pack`, read by `unpack`; nothing in it is code, and nothing in it names a person.
"""

import io
import json
import zlib
from dataclasses import asdict, fields
from datetime import date
from typing import Any

import numpy as np

from issuance.planning.cost import Cost
from issuance.planning.errors import PlanningError
from issuance.planning.forward import Walk
from issuance.planning.optimiser import Plan
from issuance.planning.region import Delivery, Demand, Line, Place, Prices, Region, Supply
from issuance.planning.relaxation import Relaxed

_SUPPLY = ("capacity", "chips", "deliveries")
_DELIVERY = tuple(field.name for field in fields(Delivery))
_DEMAND = tuple(field.name for field in fields(Demand))
_WALK = tuple(field.name for field in fields(Walk))
_RELAXED = ("targets", "paid", "lines", "chips", "windows", "clusters")


def pack(plan: Plan) -> bytes:
    """The plan as bytes; what was counted out of it (slots, batches) is not kept."""
    region = plan.region
    parts = (
        ("supply", region.supply, _SUPPLY),
        ("delivery", region.delivery, _DELIVERY),
        ("demand", region.demand, _DEMAND),
        ("walk", plan.walk, _WALK),
        ("relaxed", plan.relaxed, _RELAXED),
    )
    arrays = {f"{name}.{field}": _small(getattr(owner, field)) for name, owner, names in parts for field in names}
    names = {
        "days": [day.isoformat() for day in region.days],
        "variants": list(region.variants),
        "places": [asdict(place) for place in region.places],
        "lines": [asdict(line) for line in region.supply.lines],
        "prices": asdict(region.prices),
        "doubts": region.doubts,
        "cost": asdict(plan.cost),
        "bound": plan.bound,
        "relaxed": [plan.relaxed.bound, plan.relaxed.clock_base],
    }
    file = io.BytesIO()
    np.savez(file, trips=plan.trips, names=np.frombuffer(json.dumps(names).encode(), np.uint8), **arrays)
    return zlib.compress(file.getvalue(), 1)


def unpack(packed: bytes) -> Plan:
    """The plan back; raises `PlanningError` for bytes that are no plan of this version."""
    try:
        with np.load(io.BytesIO(zlib.decompress(packed)), allow_pickle=False) as found:
            return _plan({name: found[name] for name in found.files})
    except (KeyError, OSError, TypeError, ValueError, zlib.error) as problem:
        raise PlanningError("The kept plan cannot be read by this version: make a new plan.") from problem


def _plan(found: dict[str, Any]) -> Plan:
    names = json.loads(found["names"].tobytes())
    wide = {name: array.astype(np.int64) if array.dtype.kind in "iu" else array for name, array in found.items()}
    # A plan that was kept without them counted every one of its days.
    wide.setdefault("delivery.worked", np.ones(len(names["days"]), dtype=np.bool_))

    def of(part: str, chosen: tuple[str, ...]) -> dict[str, Any]:
        return {field: wide[f"{part}.{field}"] for field in chosen}

    prices = names["prices"]
    region = Region(
        days=tuple(date.fromisoformat(day) for day in names["days"]),
        variants=tuple(names["variants"]),
        places=tuple(Place(**place) for place in names["places"]),
        supply=Supply(
            lines=tuple(Line(**line | {"makes": tuple(line["makes"])}) for line in names["lines"]),
            **of("supply", _SUPPLY),
        ),
        delivery=Delivery(**of("delivery", _DELIVERY)),
        demand=Demand(**of("demand", _DEMAND)),
        prices=Prices(tuple(prices["wait"]), tuple(prices["late"]), prices["beyond_days"]),
        doubts=tuple((ru, en) for ru, en in names.get("doubts", ())),
    )
    bound, clock_base = names["relaxed"]
    relaxed = Relaxed(bound=bound, clock_base=clock_base, **of("relaxed", _RELAXED))
    return Plan(region, wide["trips"], Walk(**of("walk", _WALK)), Cost(**names["cost"]), float(names["bound"]), relaxed)


def _small(array: Any) -> Any:
    """Whole numbers, none of them negative, in the least bytes that hold them: most of a plan is nought."""
    if array.dtype.kind != "i" or not array.size:
        return array
    return array.astype(np.min_scalar_type(int(array.max())))
