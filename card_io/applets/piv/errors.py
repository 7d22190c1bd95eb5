"""What a PIV card refuses, named for the one who asked."""

from card_io.errors import CardError


class PivError(CardError):
    """Root of the refusals of a PIV card."""

    code = "piv"


class NotPivCard(PivError):
    """There is no PIV applet on the card."""

    code = "piv.missing"

    def __init__(self) -> None:
        super().__init__("there is no PIV applet on this card; use a PIV card")


class WrongPin(PivError):
    """The PIN or PUK was wrong; `tries_left` more are allowed (None when the card does not say)."""

    code = "piv.pin"

    def __init__(self, tries_left: int | None) -> None:
        left = "" if tries_left is None else f"; {tries_left} tries are left"
        super().__init__(f"the PIN or unblocking code is wrong{left}")
        self.tries_left = tries_left


class PinBlocked(PivError):
    """No try is left."""

    code = "piv.pin-blocked"

    def __init__(self) -> None:
        super().__init__("the PIN or unblocking code is blocked; unblock the PIN with the PUK, or replace the card")


class WrongAdminKey(PivError):
    """The card and the host do not have the same admin key."""

    code = "piv.admin-key"

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; check which admin key and algorithm this card has")


class CertificateTooLarge(PivError):
    """The chip has no room for the object; `size_bytes` is what was to be written."""

    code = "piv.too-large"

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the card has no room for an object of {size_bytes} bytes; use a smaller certificate")
        self.size_bytes = size_bytes
