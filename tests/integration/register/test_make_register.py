"""The script that makes a register: from the command line to files that import."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "scripts" / "make_register"


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_files_are_written_and_the_same_for_a_seed(tmp_path: Path) -> None:
    one, two, places = tmp_path / "one.csv", tmp_path / "two.csv", tmp_path / "m.csv"
    first = make("--residents", "300", "--seed", "4", "--out", str(one), "--municipalities", str(places))
    second = make("--residents", "300", "--seed", "4", "--out", str(two))
    assert (first.returncode, second.returncode, first.stderr) == (0, 0, "")
    assert "300 rows" in first.stdout
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes().count(b"\n") == 301
    assert places.read_text(encoding="utf-8").startswith("oktmo;name_ru;name_en\n71701000;")


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    nowhere = make("--residents", "3", "--out", str(tmp_path / "nowhere" / "x.csv"))
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (1, 1)
    assert "cannot be written" in nowhere.stderr
    assert make("--residents", "3", "--dirty", "2", "--out", str(tmp_path / "x")).returncode == 2
    assert make("--residents", "many", "--out", str(tmp_path / "x")).returncode == 2
