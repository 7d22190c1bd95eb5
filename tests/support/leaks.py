"""Whether a text gives a secret away."""

import re

from card_io.secret import Secret


def leaked(text: str, secret: Secret) -> bool:
    """Whether the secret stands in the text, as it is or in hex.

    Digits count where no longer number, digest or name holds them: any four of them stand in some digest by chance.
    """
    value = secret.reveal()
    plain = re.escape(value.decode("latin-1"))
    return bool(re.search(rf"(?<![0-9A-Za-z]){plain}(?![0-9A-Za-z])", text)) or value.hex() in text.lower()
