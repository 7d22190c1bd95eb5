"""The service as a child: its ports, a port that someone took, a service of someone else."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from card_io import pcscd
from card_io.pcscd import PORTS, READERS, Pcscd, ServiceUnavailable, reader_ports, settings_with
from tests.support.pcsc import PcscService, insert, wait_until

pytestmark = pytest.mark.pcsc
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def answer(command: bytes) -> bytes:
    return b"\x90\x00"


def listening() -> set[int]:
    """Ports that something on this machine listens on."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}


def test_the_ports_are_those_that_the_service_listens_on(pcsc: PcscService) -> None:
    assert set(reader_ports()) <= listening()
    assert reader_ports()[1] == reader_ports()[0] + 1
    if pcsc.ours:
        assert reader_ports()[1] < int(EPHEMERAL.read_text().split()[0]), "no outgoing connection can be in the way"


def test_a_pair_that_is_taken_is_passed_over(pcsc: PcscService, monkeypatch: pytest.MonkeyPatch) -> None:
    if not pcsc.own():
        assert reader_ports() == PORTS, "the running pcscd is not ours to restart"
        return
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        first, second = port - 1, reader_ports()[0]
        pcsc.stop()
        monkeypatch.setattr(pcscd, "_OWN_PORTS", (first, second))
        pcsc.ensure()
        assert reader_ports()[0] == second
        with insert(0, answer):
            pass


def test_a_port_taken_in_the_last_instant_costs_another_start(
    pcsc: PcscService, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not pcsc.own():
        assert reader_ports() == PORTS, "the running pcscd is not ours to restart"
        return
    with socket.create_server(("", 0)) as taken:
        free = reader_ports()[0]
        pcsc.stop()
        monkeypatch.setattr(pcscd, "_free_pairs", lambda: iter((taken.getsockname()[1], free)))
        pcsc.ensure()
    assert reader_ports()[0] == free
    with insert(1, answer):
        pass


def test_a_second_object_uses_the_service_of_the_first(pcsc: PcscService) -> None:
    other = Pcscd()
    other.ensure()
    assert not other.ours
    with pytest.raises(ServiceUnavailable, match="not ours to restart"):
        other.restart()
    other.stop()
    with insert(1, answer):
        pass


def test_a_service_of_someone_else_without_the_readers_is_named(
    pcsc: PcscService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pcscd, "READERS", (*READERS, "Virtual PCD 00 02"))
    monkeypatch.setattr(pcscd, "START_TIMEOUT_S", 0.2)
    with pytest.raises(ServiceUnavailable, match=r"was running before.*end pcscd \(process \d+\)"):
        Pcscd().ensure()


def test_without_the_driver_it_says_what_to_install(
    pcsc: PcscService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pcscd, "SERVICE_SOCKET", tmp_path / "none")
    monkeypatch.setattr(pcscd, "READERS", ("none",))
    monkeypatch.setattr(pcscd, "DRIVER_SETTINGS", tmp_path / "none")
    assert reader_ports() == PORTS
    with pytest.raises(ServiceUnavailable, match="no vsmartcard-vpcd; run `apt-get install"):
        Pcscd().ensure()


def test_the_drivers_settings_move_to_other_ports() -> None:
    debian = 'FRIENDLYNAME "Virtual PCD"\nDEVICENAME   /dev/null:0x8C7B\nLIBPATH      /x.so\nCHANNELID    0x8C7B\n'
    assert settings_with(debian, 0x3E5B) == debian.replace("8C7B", "3E5B")
    with pytest.raises(ServiceUnavailable, match="install vsmartcard-vpcd again"):
        settings_with("FRIENDLYNAME x\nDEVICENAME /dev/ttyS0\n", 1)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_service_that_somebody_ended_is_started_again(pcsc: PcscService, how: signal.Signals) -> None:
    if not pcsc.own():
        assert reader_ports() == PORTS, "the running pcscd is not ours to end"
        return
    before = pcscd._service_process()
    assert before is not None
    os.kill(before, how)
    wait_until(lambda: pcscd._service_process() != before, "the service does not end")
    pcsc.ensure()
    assert pcsc.ours and pcscd._service_process() not in {None, before}
    with insert(1, answer):
        pass


STARTS_ONE = """
import time
from card_io.pcscd import Pcscd
service = Pcscd()
service.ensure()
print(service.ours, flush=True)
time.sleep(60)
"""


def test_a_service_does_not_outlive_a_program_that_is_killed(pcsc: PcscService) -> None:
    """It would lie there with its readers, and nobody would know whose it is."""
    if not pcsc.own():
        assert reader_ports() == PORTS, "the running pcscd is not ours to end"
        return
    pcsc.stop()
    wait_until(lambda: pcscd._service_process() is None, "our own service does not end")
    with subprocess.Popen([sys.executable, "-c", STARTS_ONE], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None and program.stdout.readline() == b"True\n"
        assert pcscd._service_process() is not None
        program.kill()
    wait_until(lambda: pcscd._service_process() is None, "the service lives on")
    pcsc.ensure()
    with insert(0, answer):
        pass
