"""What can be wrong with a file between the office and a bureau; `finding` names it in one word."""

from issuance.errors import IssuanceError


class BureauFileRefused(IssuanceError):
    """A file is not accepted, and nothing of it counts. Facts: `finding`.

    Findings: `not-cms`, `wrong-signer`, `wrong-signature`, `cut-off`, `not-for-us`, `malformed`, `other-kind`,
    `other-version`, `wrong-count`, `wrong-digest`, `trailing-bytes`, `too-large`.
    """

    code = "bureau-file"
    finding: str


def refused(finding: str, sentence: str) -> BureauFileRefused:
    """The error for a finding."""
    return BureauFileRefused(f"{sentence}: ask for the file again", finding=finding)
