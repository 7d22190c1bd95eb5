"""A card in the first virtual reader that computes nothing: a process that gives the answers it was told."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from card_io.pcsc import Context
from card_io.pcscd import READERS, reader_ports

PROGRAM = """
import json, socket, struct, sys
answers = [bytes.fromhex(one) for one in json.load(sys.stdin)]
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def receive(size):
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            sys.exit()
        data += part
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    return data
place = 0
while True:
    (size,) = struct.unpack(">H", receive(2))
    message = receive(size)
    if size > 1:
        answer = answers[place % len(answers)]
        place += 1
        link.sendall(struct.pack(">H", len(answer)) + answer)
    elif message == b"\\x04":
        link.sendall(b"\\x00\\x04\\x3b\\x80\\x01\\x81")
"""
"""A card in a process of its own that computes nothing: the answers come as they were recorded, round and round."""


@contextlib.contextmanager
def answering_card(answers: Sequence[bytes]) -> Iterator[None]:
    """The card is in the reader inside the block; the answers come in their order, round and round."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(reader_ports()[0])], stdin=subprocess.PIPE)
    assert process.stdin is not None
    with process.stdin as told:
        told.write(json.dumps([answer.hex() for answer in answers]).encode())
    try:
        wait_for(READERS[0], present=True)
        yield
    finally:
        process.terminate()
        process.wait()
        wait_for(READERS[0], present=False)


def wait_for(reader: str, *, present: bool) -> None:
    """Wait until a card is in the reader, or until none is.

    Raises:
        SystemExit: It did not come about in ten seconds.
    """
    deadline = time.monotonic() + 10
    with Context() as context:
        while context.slots()[reader].present is not present:
            if time.monotonic() > deadline:
                raise SystemExit(f"uec: reader {reader!r} never became {'full' if present else 'empty'}")
            time.sleep(0.02)
