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


_AWAY = {
    "refused": "nothing listens there. Start the hub, or correct the address and its port",
    "name": "no machine of that name is known here. Correct the address, or ask for the name service to be mended",
    "silent": "no answer came. Check the network and the firewalls between here and there",
    "network": "the network gave up. Check that this machine is on line",
    "closed": "the link was closed. It is made again by itself; if this stays, look at the hub's log",
    "busy": "it is there, but its database is away. It comes back by itself; tell the administrator if this stays",
    "plain": (
        'what listens there speaks without TLS. Have the administrator switch TLS on at the hub (hub_tls = "always"), '
        "or write ws:// if the hub is on this machine"
    ),
    "wants-tls": "what listens there does not speak in clear. Write wss:// in place of ws://, with the hub's --pin",
    "no-hub": "what listens there is no hub. Correct the port: the pages of the office have another one",
    "handshake": "TLS did not come about. Install the same version here and there, or look at the hub's log",
    "expired": "its certificate has expired. Set this machine's clock if it is wrong, or have the certificate renewed",
    "early": "its certificate is not valid yet. Set this machine's clock: it is probably behind",
    "other-name": "its certificate is for another name. Write the address as the certificate has it, or give its --pin",
    "unknown-authority": "no authority known here has signed its certificate. Give the hub's --pin as its log tells it",
    "proxy": "the proxy lets nobody through. Have it allow CONNECT to the hub, or except the hub in no_proxy",
    "socks": "this machine wants a SOCKS proxy, which a station cannot use. Except the hub in no_proxy",
}


class HubAway(StationError):
    """The hub cannot be reached. Facts: `url`, `cause` (one of a short list), `proxy` where one stands between."""

    code = "station-hub-away"
    cause: str

    def __init__(self, url: str, cause: str, detail: str = "", *, proxy: str = "") -> None:
        """Name the address, what is wrong and what to do; `detail` is what the library said."""
        way = f" through the proxy {proxy}" if proxy else ""
        said = f" ({detail})" if detail else ""
        super().__init__(
            f"The hub at {url} cannot be reached{way}: {_AWAY[cause]}{said}.", url=url, cause=cause, proxy=proxy
        )


class HubImpostor(StationError):
    """What answers at the hub's address has another key than the hub."""

    code = "station-hub-impostor"

    def __init__(self, url: str, pin: str) -> None:
        """Name the address and the key found there."""
        super().__init__(
            f"What answers at {url} is not the hub whose pin this station was given (its own is {pin}). Ask security: "
            "the pin was mistyped, somebody stands between, or the hub has a new key; then start with the new --pin.",
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


class BadAddress(StationError):
    """The hub's address is none."""

    code = "station-address"

    def __init__(self, url: str) -> None:
        """Show what was given."""
        super().__init__(f"The address {url!r} leads to no hub: write wss://HOST:PORT.", url=url)
