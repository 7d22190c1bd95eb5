"""The fuzzer's target itself, with inputs that once mattered; and, nightly, the fuzzer with it."""

import platform
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.virtual import fuzz_target

SEEDS = [
    bytes([state]) + b"".join(bytes([len(command)]) + command for command in map(bytes.fromhex, row))
    for state, row in [
        (0, ["00A40400", "00B0000000", "002000010431323334", "00C0000000"]),
        (0, ["00A4040C0CF276A288BCFBA69D34F31001", "00CA010103", "0022415600"]),
        (1, ["80F28002024F00", "80E602000C07F0000000010203000000", "80E8000002C400"]),
        (1, ["80D8000100", "80E40000034F0100", "80CA00E000"]),
        (2, ["80F24002024F00", "807A100100", "8078000300"]),
        (3, ["80E208000A0E010055000000640000", "80E2880000"]),
        (4, ["00CB3FFF055C035FC10500", "0047009A05AC0380011100", "0087119A047C02820000"]),
        (4, ["10DB3FFF02" + "5C01", "00DB3FFF027E00", "00FFFFFF03039B00"]),
    ]
]


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_seeds_are_answered(seed: bytes) -> None:
    assert fuzz_target.one_input(seed) in {2, 3, 4}, "all of the row"


@pytest.mark.parametrize("number", range(30))
def test_noise_is_answered(number: int) -> None:
    assert fuzz_target.one_input(random.Random(number).randbytes(200)) > 0


@pytest.mark.parametrize("number", range(30))
def test_damaged_seeds_are_answered(number: int) -> None:
    chance = random.Random(number)
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 6)):
        data[chance.randrange(1, len(data))] = chance.randrange(256)
    assert fuzz_target.one_input(bytes(data)) > 0


def test_the_row_of_commands() -> None:
    assert fuzz_target.commands(b"") == []
    assert fuzz_target.commands(b"\x02ab\x00\x01c\x09d") == [b"ab", b"", b"c", b"d"]
    assert fuzz_target.commands(b"\xff\x01\x00" + bytes(300)) == [bytes(256), *[b""] * 11]


@pytest.mark.parametrize("answer", [b"", b"\x90", b"\x60\x00", b"\x00\x00", b"\x5a\x00"])
def test_an_answer_without_status_word_is_a_finding(answer: bytes) -> None:
    with pytest.raises(AssertionError, match="no status word"):
        fuzz_target.check(answer, b"\x00")


@pytest.mark.nightly
@pytest.mark.timeout(400)
@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or sys.version_info >= (3, 14),
    reason="atheris is built for Linux on x86_64, up to Python 3.13; there it is in the lock",
)
def test_coverage_guided(tmp_path: Path) -> None:
    """Five minutes of atheris from the seeds; a finding is printed with the input that shows it."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS):
        (corpus / str(number)).write_bytes(seed)
    command = [sys.executable, "-m", "tests.unit.virtual.fuzz_main", str(corpus), "-max_total_time=300"]
    result = subprocess.run(
        [*command, f"-artifact_prefix={tmp_path}/"], capture_output=True, text=True, check=False, timeout=390
    )
    assert result.returncode == 0, result.stderr[-2000:]
