"""What can be wrong with a face, or with a text that has to go onto one."""

from issuance.errors import IssuanceError


class InvalidFace(IssuanceError):
    """A face file cannot be used. Facts: `face`, `place`."""

    code = "invalid-face"

    def __init__(self, face: str, place: str, reason: str) -> None:
        super().__init__(f"the face {face} cannot be used: {place} {reason}", face=face, place=place)


class TextDoesNotFit(IssuanceError):
    """A text is too wide for its place, shrunk and abbreviated. Facts: `field`, `given`, `fitting` (characters)."""

    code = "text-does-not-fit"

    def __init__(self, field: str, given: int, fitting: int) -> None:
        super().__init__(
            f"{field} has {given} characters, and about {fitting} have room on the card: agree on a shorter form",
            field=field,
            given=given,
            fitting=fitting,
        )


class UnknownSign(IssuanceError):
    """The typeface has no such sign. Facts: `field`, `sign`."""

    code = "unknown-sign"

    def __init__(self, field: str, sign: str) -> None:
        super().__init__(
            f"{field} has the sign {sign!r}, which the typeface of the card does not have: leave it out",
            field=field,
            sign=sign,
        )


class NoFont(IssuanceError):
    """The typefaces of the faces are not installed. Facts: `path`."""

    code = "no-font"

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no typeface {path}: run scripts/build_assets", path=path)


class BadPhoto(IssuanceError):
    """The photo is no picture that can be printed."""

    code = "bad-photo"

    def __init__(self) -> None:
        super().__init__("the photo is not a picture that can be opened: take a new one")
