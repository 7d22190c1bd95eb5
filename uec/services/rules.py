"""Makes what services are told to go by out of the settings: working days, the rules of batches, the card profile."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial
from pathlib import Path

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.calendar import load as load_calendar
from issuance.production.errors import InvalidProfile
from issuance.production.profile import CardProfile, load_profile
from uec.domain.policy import PolicyBook
from uec.services.batch_rules import BatchRules
from uec.settings import Settings

CALENDAR_FILE = "calendar/russia.toml"


def working_calendar(settings: Settings) -> WorkingCalendar:
    """The region's working days, from the file beside the card profiles."""
    return load_calendar(settings.profile_dir.parent / CALENDAR_FILE)


def batch_rules(
    settings: Settings, *, today: date, transport: str = "pcsc", book: PolicyBook | None = None
) -> BatchRules:
    """What batches are planned by on a day; `book` is the policy with the office's changes (default: the settings)."""
    return BatchRules(
        calendar=working_calendar(settings),
        policy=(book or settings.policy).on(today),
        profile=settings.default_profile,
        transport=transport,
        number_prefix=settings.card_number_prefix,
    )


def card_variants(settings: Settings) -> list[str]:
    """The names of all card profiles, the usual one first."""
    names = sorted(file.stem for file in settings.profile_dir.glob("*.toml"))
    return [settings.default_profile, *(name for name in names if name != settings.default_profile)]


@dataclass(frozen=True)
class Variant:
    """A card variant that people may choose: its profile's name, and how it is called."""

    name: str
    title_ru: str
    title_en: str


def offered_variants(settings: Settings) -> list[Variant]:
    """The card variants that an applicant may choose, the usual one first.

    Of the others those that some station may make; a profile that cannot be read is none. Raises `InvalidProfile` for
    the usual one.
    """
    usual, *others = card_variants(settings)
    return [_variant(card_profile(settings, usual)), *filter(None, (_offered(settings, name) for name in others))]


def any_without_keys(settings: Settings) -> bool:
    """Whether cards of some profile make no keys, so that it helps to look at a card before it is asked for."""
    return any(not profile.keys for profile in map(partial(_readable, settings), card_variants(settings)) if profile)


def _readable(settings: Settings, name: str) -> CardProfile | None:
    try:
        return card_profile(settings, name)
    except InvalidProfile:
        return None


def _offered(settings: Settings, name: str) -> Variant | None:
    profile = _readable(settings, name)
    if profile is None:
        return None
    made = profile.piv is None or bool(profile.piv.trusted_stations)
    return _variant(profile) if made else None


def _variant(profile: CardProfile) -> Variant:
    return Variant(profile.name, profile.title_ru or profile.title, profile.title)


def card_profile(settings: Settings, name: str = "") -> CardProfile:
    """A card profile by its name; the default one without. Raises `InvalidProfile`."""
    file = settings.profile_dir / f"{name or settings.default_profile}.toml"
    return _loaded(file, file.stat().st_mtime_ns) if file.exists() else load_profile(file)


@lru_cache(maxsize=16)
def _loaded(file: Path, _changed_at_ns: int) -> CardProfile:
    """A profile as the file had it then: reading one takes as long as preparing a hundred cards."""
    return load_profile(file)
