"""A value that must not reach a log, a trace, a pickle or a format string by accident.

Python cannot wipe `bytes`; what this hides is the *printing* of the value, which is where secrets really leak.
"""

import hmac
from typing import NoReturn, final


@final
class Secret:
    """Bytes that print as `***`; only `reveal()` gives them out."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """Return the bytes; call it at the line that needs them and nowhere earlier."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        if format_spec:
            raise TypeError("a secret has no formatted form; call reveal() where the bytes are needed")
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("a secret is not a key of a mapping; use its reference instead")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is never pickled or copied; pass a reference to the vault instead")
