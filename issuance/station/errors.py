"""What a station cannot do, in words for the one who sits at it."""

from issuance.errors import IssuanceError


class StationError(IssuanceError):
    """Something between this machine and the hub."""

    code = "station"


class NotEnrolled(StationError):
    """The station has no identity yet."""

    code = "station-not-enrolled"

    def __init__(self, folder: str) -> None:
        """Name the folder that was looked in."""
        super().__init__(
            f"This station is not enrolled (there is no identity in {folder}). "
            "Ask security for a one-time code and run `uec station enrol --code CODE`.",
            folder=folder,
        )


class AlreadyEnrolled(StationError):
    """The station has an identity, which enrolling again would lose."""

    code = "station-already-enrolled"

    def __init__(self, folder: str) -> None:
        """Name the folder."""
        super().__init__(
            f"This station is enrolled already ({folder}). To enrol it anew, move that folder away first.",
            folder=folder,
        )


class FolderUnusable(StationError):
    """The folder for the station's key cannot be written, or holds something else."""

    code = "station-folder"

    def __init__(self, folder: str, reason: str) -> None:
        """Name the folder and what is wrong with it."""
        super().__init__(
            f"The station's key cannot be kept in {folder} ({reason}). Free some space, or name another folder with "
            "--folder; the code is not spent.",
            folder=folder,
        )


class HubRefused(StationError):
    """The hub knows this station and does not talk to it; trying again does not help."""

    code = "station-refused"
    reason: str

    def __init__(self, reason: str) -> None:
        """Pass on the hub's own sentence."""
        super().__init__(f"The hub refuses this station: {reason}", reason=reason)


class HubAway(StationError):
    """The hub cannot be reached."""

    code = "station-hub-away"

    def __init__(self, url: str, reason: str) -> None:
        """Name the address and what happened."""
        super().__init__(f"The hub at {url} does not answer ({reason}). Check the address and the network.", url=url)


class HubImpostor(StationError):
    """What answers at the hub's address has another key than the hub."""

    code = "station-hub-impostor"

    def __init__(self, url: str, pin: str) -> None:
        """Name the address and the key found there."""
        super().__init__(
            f"What answers at {url} is not the hub that this station was enrolled at (its key is {pin}). Ask security: "
            "somebody stands between, or the hub was given a new key; then enrol with the new --pin.",
            url=url,
            pin=pin,
        )


class BadReaders(StationError):
    """The setting for readers is not understood."""

    code = "station-readers"

    def __init__(self, value: str) -> None:
        """Show the value."""
        super().__init__(f"Readers cannot be {value!r}: write `pcsc`, or `virtual:` and a folder.", value=value)


class HubUnsafe(StationError):
    """The hub's address has no TLS and is not on this machine."""

    code = "station-hub-unsafe"

    def __init__(self, url: str) -> None:
        """Show the address."""
        super().__init__(f"The hub address {url} is not protected: write wss://... in the settings.", url=url)
