"""SoftHSM2 tokens for tests: each store of tokens lies in a folder of its own, as if it were another HSM."""

import os
import subprocess
from pathlib import Path

import pkcs11

from card_io.secret import Secret
from issuance.keys.tokens import Token

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN_HALVES = (Secret(b"86420"), Secret(b"97531"))
LABEL = "uec"


def use_store(folder: Path) -> None:
    """Let this process, and those it starts, see the tokens of a folder; tokens seen before are closed."""
    (folder / "tokens").mkdir(parents=True, exist_ok=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    pkcs11.lib(str(MODULE)).reinitialize()


def new_token(folder: Path, label: str = LABEL, *, extractable: bool = True) -> Token:
    """An initialised, empty token in a store of its own."""
    use_store(folder)
    pin = "".join(half.reveal().decode() for half in PIN_HALVES)
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", pin]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    pkcs11.lib(str(MODULE)).reinitialize()
    return Token(MODULE, label, folder / "vault", extractable=extractable)
