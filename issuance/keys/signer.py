"""A signing process of a token: one process, one PKCS#11 session, one thread (PKCS #11 v2.40).

`python-pkcs11` corrupts memory when two threads share a session, and a module signs on one core only. The vault
therefore starts several of these; each logs in for itself and talks to the vault over the socket that is its standard
input. It counts nothing and decides nothing: the vault has done both before it asks. It ends when the vault does.
"""

import signal
import socket
import sys
from pathlib import Path

from card_io.secret import Secret
from issuance.errors import IssuanceError, VaultProtocolError
from issuance.keys import frames, hardening, wire
from issuance.keys.access import Request
from issuance.keys.pkcs11_chest import Pkcs11Chest
from issuance.keys.port import KeyAlgorithm
from issuance.keys.tokens import Token, login

COMMAND = (sys.executable, "-m", "issuance.keys.signer")


def greeting(token: Token, pin_halves: tuple[Secret, Secret]) -> frames.Frame:
    """The first frame a signer is sent: which token, and its PIN."""
    header = {"module": str(token.module), "label": token.label, "lock_path": str(token.lock_path)}
    return header, [half.reveal() for half in pin_halves]


def ask(request: Request, algorithm: KeyAlgorithm, ref: list[str | int]) -> dict[str, object]:
    """The header of a request for signatures; messages or digests travel behind it."""
    return {"request": request.value, "algorithm": algorithm.value, "ref": ref}


def main() -> None:
    """Log in as the first frame says, then sign until the vault closes the socket."""
    # Ctrl-C reaches the whole group: the vault finishes its work first, and then lets its signers go.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hardening.close_memory()
    with socket.socket(fileno=0) as vault:
        try:
            chest = _log_in(frames.receive(vault))
        except IssuanceError as error:
            frames.send(vault, wire.error_out(error))
            return
        try:
            frames.send(vault, {"ready": True})
            while (frame := frames.receive(vault)) is not None:
                frames.send(vault, *_answer(chest, frame))
        finally:
            chest.close()


def _log_in(frame: frames.Frame | None) -> Pkcs11Chest:
    if frame is None:
        raise VaultProtocolError("the vault closed before it named a token")
    header, (first, second) = frame
    token = Token(Path(header["module"]), header["label"], Path(header["lock_path"]))
    return Pkcs11Chest(login(token, (Secret(first), Secret(second)), writable=False), lambda: None, extractable=False)


def _answer(chest: Pkcs11Chest, frame: frames.Frame) -> frames.Frame:
    header, blobs = frame
    ref, algorithm = wire.ref_in(header["ref"]), KeyAlgorithm(header["algorithm"])
    sign = chest.sign if header["request"] == Request.SIGN else chest.sign_digests
    try:
        return {}, sign(ref, algorithm, blobs)
    except IssuanceError as error:
        return wire.error_out(error), []
    except ValueError as error:
        # Only lengths and algorithms are named in it.
        return {"value_error": str(error)}, []


if __name__ == "__main__":
    main()
