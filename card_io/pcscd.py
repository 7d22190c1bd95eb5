"""The machine's smart card service as a child process, for a machine without systemd: started if none answers.

Debian's `pcscd` and `vsmartcard-vpcd`, which gives two virtual readers whose cards are TCP clients of `PORTS`. Those
two lie among the ports that Linux gives to outgoing connections (32768 to 60999), and a connection that has one, or had
it within the last minute, keeps the reader from coming up. So the service that is started here gets the driver's own
configuration with ports below; `reader_ports` tells those of the service that runs, whoever started it. pcsc-lite has
one service a machine: its socket is fixed when it is built.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from card_io.errors import CardError
from card_io.pcsc import list_readers
from card_io.reader_errors import ReaderError

READERS = ("Virtual PCD 00 00", "Virtual PCD 00 01")
PORTS = (35963, 35964)
"""Of Debian's configuration; ask `reader_ports` for those in use."""
START_TIMEOUT_S = 15.0
LOCK = "uec-virtual-readers.lock"
DRIVER_SETTINGS = Path("/etc/reader.conf.d/vpcd")
SERVICE_SOCKET = Path("/run/pcscd/pcscd.comm")
_OWN_PORTS = range(15963, 16063, 2)
_DEVICE = re.compile(r"^(\s*DEVICENAME\s+/dev/null:)(0x[0-9A-Fa-f]+|\d+)", re.MULTILINE)
_CHANNEL = re.compile(r"^(\s*CHANNELID\s+)\S+", re.MULTILINE)
_PORT_TAKEN = "Address already in use"


class ServiceUnavailable(CardError):
    """The smart card service, or its virtual readers, cannot be had on this machine; the sentence says why."""

    code = "pcscd.unavailable"


def reader_ports() -> tuple[int, int]:
    """TCP ports of the two virtual readers of the service that runs now; Debian's own when it does not tell."""
    words = _command_line(_service_process())
    for option in ("--config", "-c"):
        if option in words[:-1]:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                device = _DEVICE.search(Path(words[words.index(option) + 1]).read_text())
                if device is not None:
                    first = int(device[2], 0)
                    return first, first + 1
    return PORTS


_ENDED_BY_SOMEBODY = (0, -signal.SIGTERM, -signal.SIGKILL)


def _service_process() -> int | None:
    """The process that listens on the service's socket; None when none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            link.connect(str(SERVICE_SOCKET))
            process: int = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        except OSError:
            return None
    return process


def _command_line(process: int | None) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0") if process else [""]
    except (OSError, UnicodeDecodeError):
        return [""]


def settings_with(settings: str, port: int) -> str:
    """The driver's reader configuration with its readers from `port` on; `ServiceUnavailable` for another driver's."""
    if not _DEVICE.search(settings):
        raise ServiceUnavailable(f"{DRIVER_SETTINGS} names no virtual reader; install vsmartcard-vpcd again")
    return _CHANNEL.sub(rf"\g<1>0x{port:04X}", _DEVICE.sub(rf"\g<1>0x{port:04X}", settings))


def _free_pairs() -> Iterator[int]:
    """First ports of pairs that nothing uses now."""
    for first in _OWN_PORTS:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in (first, first + 1):
                probe = stack.enter_context(socket.socket())
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("", port))
            stack.close()
            yield first


class Pcscd:
    """The running service; `ours` is true when this object started it, and only then `stop` ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._settings: Path | None = None

    @property
    def ours(self) -> bool:
        """Whether the service is a child of this object."""
        return self._process is not None

    def ensure(self) -> None:
        """Return with the virtual readers there; `ServiceUnavailable` when that cannot be."""
        if _readers() == READERS:
            return
        deadline = time.monotonic() + START_TIMEOUT_S
        pairs = _free_pairs()
        while _readers() != READERS:
            if self._process is None and _service_process() is None:
                self._start(next(pairs, PORTS[0]))
            elif self._process is not None and self._process.poll() is not None:
                self._ended()
            elif self._process is not None and _PORT_TAKEN in self._said():
                self.stop()  # between the look and the start someone took the port: another pair
            if time.monotonic() > deadline:
                raise ServiceUnavailable(self._why_not())
            time.sleep(0.05)

    def _ended(self) -> None:
        """Our process has ended: well if somebody ended it or another service answers, else nothing to go on with."""
        assert self._process is not None
        code, said = self._process.returncode, self._said()
        self.stop()
        if code not in _ENDED_BY_SOMEBODY and _service_process() is None:
            raise ServiceUnavailable(f"pcscd ended with code {code}: {said}")

    def _why_not(self) -> str:
        said = self._said()
        if self.ours:
            self.stop()
            return (
                f"pcscd runs without the virtual readers; run `apt-get install vsmartcard-vpcd` and try again ({said})"
            )
        return (
            "pcscd was running before and has no virtual readers: run `apt-get install vsmartcard-vpcd`, or free ports"
            f" {PORTS[0]} and {PORTS[1]}; then end pcscd (process {_service_process()}) and try again"
        )

    def _start(self, port: int) -> None:
        program = shutil.which("pcscd") or shutil.which("pcscd", path="/usr/sbin:/usr/local/sbin")
        if program is None or not DRIVER_SETTINGS.exists():
            missing = "pcscd" if program is None else "vsmartcard-vpcd"
            raise ServiceUnavailable(f"there is no {missing}; run `apt-get install pcscd vsmartcard-vpcd`")
        if not _may_start():
            raise ServiceUnavailable("only root may start pcscd; run `sudo pcscd` once and try again")
        settings = settings_with(DRIVER_SETTINGS.read_text(), port)
        handle, name = tempfile.mkstemp(prefix="uec-readers-", suffix=".conf")
        os.close(handle)
        self._settings = Path(name)
        self._settings.write_text(settings)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the service
        self._process = subprocess.Popen(
            [*_dying_with_us(), program, "--foreground", "--config", name],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C is for those who use it: cards are put away before the service goes
        )

    def _said(self) -> str:
        if self._log is None:
            return "it was running before"
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace").strip()[-600:]

    def restart(self) -> None:
        """End the service and start it again; `ServiceUnavailable` for one that is not ours."""
        if not self.ours:
            raise ServiceUnavailable("pcscd was running before, so it is not ours to restart; stop it first")
        self.stop()
        self.ensure()

    def stop(self) -> None:
        """End the service if it is ours."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None
        if self._settings is not None:
            self._settings.unlink(missing_ok=True)
            self._settings = None


def _may_start() -> bool:
    """Whether this user may make the service's socket, for which its folder is made where there is none."""
    folder = SERVICE_SOCKET.parent
    return os.access(folder if folder.exists() else folder.parent, os.W_OK)


def _dying_with_us() -> list[str]:
    """What has the service end when the thread that starts it does, also by SIGKILL: nobody else would end it."""
    return ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []


@contextlib.contextmanager
def virtual_readers(timeout_s: float) -> Iterator[None]:
    """Hold the virtual readers alone: every program of ours that puts cards into them asks for this lock first.

    Waits up to `timeout_s`; `ServiceUnavailable` when another program keeps them longer.
    """
    path = Path(tempfile.gettempdir()) / LOCK
    with _lock_file(path) as handle:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServiceUnavailable(
                        f"another program holds the virtual readers ({path}); wait for it or end it"
                    ) from None
                time.sleep(0.05)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def _lock_file(path: Path) -> IO[bytes]:
    """The file that is locked: whoever came first has made it, and others may read it, which is enough to lock it."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        path.touch(mode=0o644)
        return path.open("rb")
    except OSError as error:
        raise ServiceUnavailable(f"{path} cannot be opened ({error.strerror}): remove it and try again") from error


def _readers() -> tuple[str, ...]:
    """Those of the virtual readers that the service has; none without a service."""
    try:
        names = list_readers()
    except ReaderError:
        return ()
    return tuple(name for name in READERS if name in names)
