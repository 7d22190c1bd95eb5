"""An offline terminal: is the card in the reader genuine? From the card and the issuer's certificates alone.

`look` is the generator, for a station's reader; `check_card` runs it over a local connection. Neither asks an office.
"""

from collections.abc import Mapping
from datetime import datetime

from card_io.secret import Secret
from issuance.production.anchors import Anchors
from issuance.production.asking import Talk
from issuance.production.drivers import send_all
from issuance.production.foreign import OURS, wanting
from issuance.production.job import Random
from issuance.production.judge import CardReport, judge
from issuance.production.observe import observe
from issuance.production.profile import CardProfile
from issuance.production.relay import Slot, play


def look(
    profile: CardProfile, anchors: Anchors, *, now: datetime, random: Random, pins: Mapping[str, Secret] | None = None
) -> Talk[CardReport]:
    """Read and judge the card; without `pins` only what is public.

    Raises `CardLocked`, `ForeignCard`, `CardRefused`, `CardLost`.
    """
    with wanting(OURS):
        observation = yield from observe(profile, random=random, pins=pins)
    return judge(observation, profile, anchors, now=now)


def check_card(
    slot: Slot,
    profile: CardProfile,
    anchors: Anchors,
    *,
    now: datetime,
    random: Random,
    pins: Mapping[str, Secret] | None = None,
) -> CardReport:
    """Check the card in a slot of this machine; `report.genuine` says the outcome, `report.findings` the checks."""
    try:
        return send_all(look(profile, anchors, now=now, random=random, pins=pins), lambda bundle: play(slot, bundle))
    finally:
        slot.close()
