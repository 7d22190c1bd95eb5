"""What a process that holds keys does to keep them out of files: no core dump, no other process's look, no swap.

prctl(2) PR_SET_DUMPABLE, setrlimit(2) RLIMIT_CORE, mlockall(2), of Linux. Python cannot wipe its `bytes`: a key stays
in memory until it is overwritten by chance. What can be done is that this memory leaves the process by no way.
"""

import ctypes
import logging
import os
import re
import resource
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_MCL_CURRENT, _MCL_FUTURE = 1, 2
_CAP_IPC_LOCK = 14


@dataclass(frozen=True)
class Closed:
    """What was reached: no dumps and no looks from outside, no swap."""

    dumps: bool
    swap: bool


def forbid_dumps() -> bool:
    """No core dump of this process, and no other process of the same user looks into it; tells whether both hold."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return bool(prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 and prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0)


def close_memory() -> Closed:
    """Keep this process's memory to itself as far as the system lets it; what it refuses is logged, and work goes on.

    Locked memory needs the limit `memlock` (systemd: `LimitMEMLOCK=infinity`) or the capability `CAP_IPC_LOCK`. Files
    that the process makes from now on are its owner's only.
    """
    os.umask(0o077)
    without_end = _may_lock_without_end()  # asked first: what tells it is hidden afterwards
    done = Closed(dumps=forbid_dumps(), swap=_lock_memory(later=without_end))
    if not done.dumps:
        log.warning("vault: other processes of the same user can look into this one (prctl was refused)")
    if not done.swap:
        log.warning("vault: keys may be swapped to disk: raise the limit memlock, or encrypt the swap")
    return done


def _lock_memory(*, later: bool) -> bool:
    """Lock what there is; what comes later only where no limit can make an allocation fail for it."""
    mlockall = ctypes.CDLL(None, use_errno=True).mlockall
    return bool(mlockall(_MCL_CURRENT | (_MCL_FUTURE if later else 0)) == 0)


def _may_lock_without_end() -> bool:
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    status = Path("/proc/self/status").read_text()
    effective = int(re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)[1], 16)  # type: ignore[index]
    return bool(effective >> _CAP_IPC_LOCK & 1)
