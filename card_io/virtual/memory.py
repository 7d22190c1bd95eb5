"""The chip's non-volatile memory: named cells, and a transaction around every command.

Hides when a change becomes durable. A command writes into an overlay; `commit` makes all of it durable at once, `drop`
forgets it, which is also what a loss of power does. `checkpoint` commits in the middle of a command: a counter of tries
has to be counted down before the value is compared, or tearing the card out would give free guesses.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Final

from card_io.errors import CardError

Value = int | bytes | tuple["Value", ...]
_FORMAT: Final = "uec-virtual-card-1"


class Durability(Enum):
    """What a change of the card's file survives."""

    RENAMED = "renamed"
    """The end of this program at any moment."""
    SYNCED = "synced"
    """The end of the machine too: file and folder are flushed to the disk before the command is answered."""


class BadImage(CardError):
    """The file is not the image of a virtual card."""

    code = "card.virtual.image"


class ImageNotWritten(CardError):
    """The file of a virtual card cannot be written; the card is as it was before the command."""

    code = "card.virtual.disk"


class _Deleted:
    """Marks a cell that the transaction deletes."""


_DELETED: Final = _Deleted()


class Memory:
    """Cells by name; values are integers, bytes and tuples of them, so that nothing in a cell can change unseen."""

    def __init__(self, cells: Mapping[str, Value] | None = None) -> None:
        self._cells: dict[str, Value] = dict(cells or {})
        self._overlay: dict[str, Value | _Deleted] = {}
        self.commits = 0
        self.bytes_written = 0
        self.before_commit: Callable[[], None] | None = None
        self.persist: Callable[[Mapping[str, Value]], None] | None = None
        """Called with the cells as they are about to be; when it raises, nothing changed."""

    def get(self, name: str) -> Value | None:
        """The value of a cell as this command sees it, or None."""
        if name in self._overlay:
            value = self._overlay[name]
            return None if isinstance(value, _Deleted) else value
        return self._cells.get(name)

    def put(self, name: str, value: Value) -> None:
        """Write a cell in the open transaction."""
        if self.get(name) != value:
            self._overlay[name] = value

    def delete(self, name: str) -> None:
        """Delete a cell in the open transaction; a cell that is not there is fine."""
        if self.get(name) is not None:
            self._overlay[name] = _DELETED

    def names(self, prefix: str) -> list[str]:
        """Names of the cells that begin with `prefix`, sorted."""
        known = {name for name in self._cells if name.startswith(prefix)}
        known |= {name for name in self._overlay if name.startswith(prefix)}
        return sorted(name for name in known if self.get(name) is not None)

    def commit(self) -> None:
        """Make what the open transaction wrote durable, all of it at once."""
        if not self._overlay:
            return
        if self.before_commit is not None:
            self.before_commit()
        changed = {name: value for name, value in self._overlay.items() if not isinstance(value, _Deleted)}
        kept = {name: value for name, value in self._cells.items() if name not in self._overlay}
        cells = kept | changed
        if self.persist is not None:
            self.persist(cells)
        self._cells = cells
        self._overlay.clear()
        self.commits += 1
        self.bytes_written += sum(_size(value) for value in changed.values())

    checkpoint = commit

    def drop(self) -> None:
        """Forget what the open transaction wrote."""
        self._overlay.clear()

    def used_bytes(self) -> int:
        """How much the cells hold."""
        return sum(_size(value) for value in self._cells.values())

    def durable(self) -> Mapping[str, Value]:
        """The cells as they are after a loss of power now."""
        return self._cells


def _size(value: Value) -> int:
    if isinstance(value, bytes):
        return len(value)
    return 4 if isinstance(value, int) else sum(_size(item) for item in value)


class Area:
    """The cells of one owner (an applet instance, the security domain): the same memory under a prefix."""

    def __init__(self, memory: Memory, prefix: str) -> None:
        self._memory = memory
        self._prefix = prefix

    def integer(self, name: str, default: int = 0) -> int:
        """A cell that holds a number."""
        value = self._memory.get(self._prefix + name)
        return value if isinstance(value, int) else default

    def octets(self, name: str) -> bytes | None:
        """A cell that holds bytes, or None."""
        value = self._memory.get(self._prefix + name)
        return value if isinstance(value, bytes) else None

    def row(self, name: str) -> tuple[Value, ...] | None:
        """A cell that holds several values, or None."""
        value = self._memory.get(self._prefix + name)
        return value if isinstance(value, tuple) else None

    def put(self, name: str, value: Value) -> None:
        """Write a cell."""
        self._memory.put(self._prefix + name, value)

    def delete(self, name: str) -> None:
        """Delete a cell."""
        self._memory.delete(self._prefix + name)

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names below `prefix`, without this area's own prefix."""
        skip = len(self._prefix)
        return (name[skip:] for name in self._memory.names(self._prefix + prefix))

    def checkpoint(self) -> None:
        """Make durable what this command wrote so far."""
        self._memory.checkpoint()

    def clear(self) -> None:
        """Delete every cell of the area."""
        for name in list(self.names()):
            self.delete(name)


def integers(row: tuple[Value, ...] | None) -> tuple[int, ...]:
    """The numbers of a row; a row written by this package holds them at known places."""
    return tuple(item for item in row or () if isinstance(item, int))


def write_image(path: Path, cells: Mapping[str, Value], durability: Durability = Durability.RENAMED) -> None:
    """Write the image beside `path` and rename it over: the file is the state before or the state after, never half.

    Raises `ImageNotWritten`.
    """
    body = {"format": _FORMAT, "cells": {name: _to_json(value) for name, value in cells.items()}}
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                json.dump(body, file, separators=(",", ":"))
                if durability is Durability.SYNCED:
                    file.flush()
                    os.fsync(file.fileno())
            Path(name).replace(path)
            if durability is Durability.SYNCED:
                _sync_folder(path.parent)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = f"the virtual card's file {path.name} cannot be written ({error.strerror})"
        raise ImageNotWritten(f"{reason}; make room there, then put the card in again") from error


def _sync_folder(folder: Path) -> None:
    """The new name in the folder reaches the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_image(path: Path) -> dict[str, Value]:
    """The cells of an image; `BadImage` when the file is not one."""
    try:
        body = json.loads(path.read_text(encoding="ascii"))
        if body["format"] != _FORMAT:
            raise BadImage(f"{path.name} is an image of another format; make a new virtual card")
        return {str(name): _from_json(value) for name, value in body["cells"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadImage(
            f"{path.name} is not the image of a virtual card; name another file or make a new one"
        ) from error


def _to_json(value: Value) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, int) else [_to_json(item) for item in value]


def _from_json(value: object) -> Value:
    if isinstance(value, str):
        return bytes.fromhex(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    raise TypeError("a cell is a number, bytes or a row of them")
