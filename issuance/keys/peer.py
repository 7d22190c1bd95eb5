"""Who is at the other end of a Unix socket, as the kernel saw it when they connected (unix(7), SO_PEERCRED)."""

import os
import socket
import stat
import struct
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_ROOT = 0


@dataclass(frozen=True)
class Peer:
    """A process, the user and the main group it runs as."""

    process: int
    user: int
    group: int


def of(connection: socket.socket) -> Peer:
    """Return who connected; raises `OSError` for a socket that is closed."""
    return Peer(*_CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)))


def admitted(caller: Peer, file: os.stat_result) -> bool:
    """Tell whether the socket's file was given to the caller: its owner, its group when that may write, or root.

    Whoever else gets in, by a mode that is too open, has not been meant. The vault's own user may always.
    """
    by_group = bool(file.st_mode & stat.S_IWGRP) and caller.group == file.st_gid
    return caller.user in (_ROOT, os.geteuid(), file.st_uid) or by_group
