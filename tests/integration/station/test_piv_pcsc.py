"""A PIV card made by this line through pcscd, in the hands of stock software that has never heard of the line."""

from pathlib import Path

import pytest

from card_io.pcsc import open_reader
from card_io.pcscd import READERS, reader_ports
from card_io.virtual.vpcd import InsertedCard
from issuance.production.drivers import run_local
from issuance.production.inspect import inspect
from issuance.production.journal import Journal
from issuance.production.personalise import personalise
from issuance.production.relay import OpenedSlot
from issuance.production.signatures import signed_by
from issuance.production.transcript import Transcript
from tests.integration.opensc.conftest import Run, card_is_seen, run
from tests.support.line import blank_card
from tests.support.pcsc import PcscService, wait_until
from tests.unit.production.piv_line import open_line, transport_pins

__all__ = ["run"]
pytestmark = pytest.mark.pcsc

TOOL = ("yubico-piv-tool", "--reader", READERS[0])


@pytest.mark.slow
def test_stock_software_takes_the_card_as_its_own(pcsc: PcscService, run: Run, tmp_path: Path) -> None:
    (tmp_path / "line").mkdir()
    with open_line(tmp_path / "line") as line:
        number, card, transcript = line.order(1), blank_card(1, kind="piv"), Transcript()
        with InsertedCard(card, port=reader_ports()[0]):
            wait_until(card_is_seen, "the smart card service never saw the card")
            slot = OpenedSlot(lambda: open_reader(READERS[0]))
            talk = personalise(line.office.job(number), line.profile, random=line.randomness.randbytes)
            run_local(talk, slot, line.office.desk(number), transcript=transcript)
            assert transcript.round_trips == 5
            order = line.office.inspection(number)
            look = inspect(order, line.profile, line.anchors, now=line.office.clock(), random=line.randomness.randbytes)
            assert run_local(look, slot, line.office.desk(number)).genuine
            pin = transport_pins(line, number)["pin1"].reveal().decode()
            status = run(*TOOL, "-a", "status")
            assert status.returncode == 0, status.stderr
            assert all(f"Slot {one}" in status.stdout for one in ("9a", "9c", "9d", "9e")), status.stdout
            assert "PIN tries left:\t3" in status.stdout and "CHUID" in status.stdout
            assert run(*TOOL, "-a", "verify-pin", "-P", pin).returncode == 0
            assert run(*TOOL, "-a", "set-chuid").returncode != 0, "the maker's key opens nothing"
            (tmp_path / "message").write_bytes(b"what is signed")
            how = ("-m", "ECDSA-SHA256", "-i", "message", "-o", "signature", "-f", "openssl")
            signed = run("pkcs11-tool", "--login", "--pin", pin, "--sign", "--id", "01", *how)
            assert signed.returncode == 0, signed.stderr
            key = Journal(line.office.cards[number].journal).public_keys["authentication"]
            assert signed_by(key, b"what is signed", (tmp_path / "signature").read_bytes())
