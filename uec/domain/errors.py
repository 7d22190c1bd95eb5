"""Hides how the office says no: one root, a stable `code` for machines, one sentence for people, facts as attributes.

A message names what to do next. It never holds a PIN, a key, a password or a whole personal record.
"""

from typing import Any, ClassVar


class UecError(Exception):
    """Root of all errors of the office."""

    code: ClassVar[str] = "uec.error"

    def __init__(self, message: str, **facts: Any) -> None:
        """Keep the sentence and every fact as an attribute of the error."""
        super().__init__(message)
        self.message = message
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        """Give a fact by its name."""
        try:
            return self.__dict__["facts"][name]
        except KeyError:
            raise AttributeError(name) from None


class InvalidInput(UecError):
    """What was handed in cannot be used as it is; the caller can mend it."""

    code = "uec.invalid_input"


class InvalidNumber(InvalidInput):
    """A number of the domain (SNILS, OMS, passport...) breaks its own rule. Facts: `kind`, `reason`."""

    code = "uec.invalid_number"


class InvalidSettings(InvalidInput):
    """The settings file cannot be used. Facts: `key`, `near` (the nearest known key or None)."""

    code = "uec.invalid_settings"


class InvalidFile(InvalidInput):
    """A file cannot be read as what it should be. Facts: `path`, `line` (or None)."""

    code = "uec.invalid_file"


class IllegalMove(UecError):
    """A state machine has no such move. Facts: `machine`, `state`, `event`."""

    code = "uec.illegal_move"


class Stale(UecError):
    """The row was changed by somebody else meanwhile. Facts: `kind`, `id`."""

    code = "uec.stale"


class PlanInMaking(UecError):
    """Batches are being cut or moved by somebody else at this moment; whoever comes a little later finds room."""

    code = "uec.plan_in_making"


class NotFound(UecError):
    """There is no such thing. Facts: `kind`, `id`."""

    code = "uec.not_found"


class NotAllowed(UecError):
    """The actor lacks a permission. Facts: `permission`, `actor`."""

    code = "uec.not_allowed"


class SamePerson(NotAllowed):
    """The same person may not do two of the separated duties for one card. Facts: `actor`, `earlier`, `now`."""

    code = "uec.same_person"


class SignInRefused(UecError):
    """Login and password do not open the door; the sentence never says which of the two is wrong."""

    code = "uec.sign_in_refused"


class AccountLocked(SignInRefused):
    """Too many failed sign-ins. Facts: `until`."""

    code = "uec.account_locked"


class StoreUnavailable(UecError):
    """The database cannot be used now: locked, full disk, not reachable. Nothing of the transaction was kept."""

    code = "uec.store_unavailable"


class DiskFull(UecError):
    """A file could not be written because the disk is full or refuses. Facts: `path`."""

    code = "uec.disk_full"


class GatewayUnavailable(UecError):
    """An adjacent system does not answer. Facts: `gateway`."""

    code = "uec.gateway_unavailable"
