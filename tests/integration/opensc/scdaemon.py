"""GnuPG's smart card program, spoken to as gpg-agent does: lines of the Assuan protocol over its standard streams."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Scdaemon:
    """One running `scdaemon`; `pin` answers when it asks for one."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pin = ""
        self._answer()

    def ask(self, command: str) -> tuple[list[str], bytes]:
        """Its status lines and its data; a refusal fails the test with its words."""
        self._write(command)
        return self._answer()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def _answer(self) -> tuple[list[str], bytes]:
        assert self._process.stdout is not None
        status: list[str] = []
        data = b""
        while line := self._process.stdout.readline().rstrip(b"\n"):
            if line.startswith(b"D "):
                data += re.sub(rb"%([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), line[2:])
            elif line.startswith(b"INQUIRE"):
                self._write(f"D {self.pin}%00\nEND")
            elif line.startswith(b"S "):
                status.append(line[2:].decode())
            else:
                assert line.startswith(b"OK"), line
                break
        return status, data


@contextmanager
def running(folder: Path) -> Iterator[Scdaemon]:
    """A `scdaemon` of its own, which uses the machine's smart card service."""
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    (home / "scdaemon.conf").write_text("disable-ccid\n")
    libexec = subprocess.run(["gpgconf", "--list-dirs", "libexecdir"], capture_output=True, text=True, check=True)
    command = [f"{libexec.stdout.strip()}/scdaemon", "--homedir", str(home), "--server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield Scdaemon(process)
        finally:
            process.terminate()
