"""Where a vault's sealed bytes lie: written whole or not at all, the previous good copy kept, one owner at a time."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO

from issuance.errors import VaultBusy, VaultDamaged, VaultExists, VaultFull, VaultMissing
from issuance.keys.sealing import Damaged, check


def previous_of(path: Path) -> Path:
    """Return where the previous good copy of a vault lies."""
    return path.with_name(path.name + ".previous")


def lock(path: Path) -> IO[bytes]:
    """Become the only owner of the vault at `path` until the returned file is closed; raises `VaultBusy`."""
    lock_path = path.with_name(path.name + ".lock")
    try:
        handle = os.fdopen(os.open(lock_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")
    except FileNotFoundError:
        raise VaultMissing(f"there is no folder {path.parent}: create it first", path=str(path)) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise VaultBusy(
            f"the vault {path} is open in another process: stop that one, or ask it over its socket", path=str(path)
        ) from None
    return handle


def require_absent(path: Path) -> None:
    """Raise `VaultExists` when a vault, or what is left of one, is at `path`."""
    for found in (path, previous_of(path)):
        if found.exists():
            raise VaultExists(f"{found} is there already: choose another path, or move it away", path=str(found))


def read(path: Path) -> bytes:
    """Read sealed bytes and check that they are whole; raises `VaultMissing`, `VaultDamaged`."""
    previous = previous_of(path)
    try:
        sealed = path.read_bytes()
    except FileNotFoundError:
        if previous.exists():
            raise _damaged(path, "is gone") from None
        raise VaultMissing(f"there is no vault at {path}: make one with `uec init`", path=str(path)) from None
    try:
        check(sealed)
    except Damaged as error:
        raise _damaged(path, f"is damaged ({error})") from error
    return sealed


def write(path: Path, sealed: bytes) -> None:
    """Replace the file in one step, and keep the version before it; raises `VaultFull`, and then nothing changed."""
    fresh, kept = path.with_name(path.name + ".new"), path.with_name(path.name + ".keep")
    try:
        _write_synced(fresh, sealed)
        if path.exists():
            kept.unlink(missing_ok=True)
            os.link(path, kept)
            kept.replace(previous_of(path))
        fresh.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise VaultFull(
            f"the vault could not be saved ({error.strerror}): make room on the disk of {path}, then try again",
            path=str(path),
        ) from error


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, its owner's only from the first byte on; raises `VaultFull`."""
    fresh = path.with_name(path.name + ".new")
    try:
        _write_synced(fresh, content)
        fresh.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise VaultFull(
            f"{path} could not be written ({error.strerror}): make room, or choose another place", path=str(path)
        ) from error


def restore_previous(path: Path) -> Path:
    """Put the previous good copy in the damaged file's place; returns where the damaged file was moved.

    Whatever the last change added is lost with it, so a person decides this, never a program. Raises `VaultDamaged`
    when the previous copy is damaged too, `VaultExists` when the file itself is whole.
    """
    sealed = read(previous_of(path))
    with contextlib.suppress(VaultDamaged, VaultMissing):
        read(path)
        raise VaultExists(f"{path} is whole: there is nothing to restore", path=str(path))
    aside = path.with_name(path.name + ".damaged")
    if path.exists():
        path.replace(aside)
    _write_synced(path, sealed)
    _sync_folder(path.parent)
    return aside


def _damaged(path: Path, what: str) -> VaultDamaged:
    previous = previous_of(path)
    try:
        check(previous.read_bytes())
    except (OSError, Damaged):
        return VaultDamaged(f"the vault {path} {what}: restore it from a backup", path=str(path), previous=None)
    return VaultDamaged(
        f"the vault {path} {what}; a good copy from before its last change is {previous}: "
        "restore that one by `uec keys restore-previous`",
        path=str(path),
        previous=str(previous),
    )


def _write_synced(path: Path, content: bytes) -> None:
    # What a crash left under this name may be open to others: it is removed, never written into.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
