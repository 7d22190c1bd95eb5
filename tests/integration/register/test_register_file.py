"""The file of an export, read in blocks: wherever a block ends, the lines are the same."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uec.services import register_file
from uec.services.register_file import BrokenLine, RegisterFile
from uec.services.whole_file import WholeFile, whole_file

COLUMNS = ("a", "b")
text_line = st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"]), max_size=20)


def read(path: Path) -> tuple[list[str], list[int], int]:
    """Return the lines, the numbers of overlong ones, and the last line's number."""
    lines: list[str] = []
    overlong: list[int] = []
    number = 1
    for block in RegisterFile(path, COLUMNS).blocks():
        assert block.first_line == number + 1
        lines += block.lines
        overlong += [block.first_line + place for place in block.overlong]
        number += len(block.lines)
    return lines, overlong, number


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150, deadline=None
)
@given(st.lists(text_line, max_size=15), st.integers(1, 40), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_lines_do_not_depend_on_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], block: int, ends: bool, newline: str
) -> None:
    monkeypatch.setattr(register_file, "BLOCK_BYTES", block)
    path = tmp_path / "x.csv"
    content = newline.join(["a;b", *lines]) + (newline if ends else "")
    path.write_bytes(content.encode())
    found, overlong, _ = read(path)
    expected = content.replace("\r\n", "\n").split("\n")[1:]
    if expected and not expected[-1]:
        expected.pop()
    assert (found, overlong) == (expected, [])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150, deadline=None
)
@given(st.lists(st.integers(0, 120), min_size=1, max_size=12), st.integers(3, 60))
def test_endless_lines_are_one_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lengths: list[int], block: int
) -> None:
    monkeypatch.setattr(register_file, "BLOCK_BYTES", block)
    monkeypatch.setattr(register_file, "LINE_LIMIT_BYTES", 50)
    monkeypatch.setattr(register_file, "_SHOWN", 10)
    path = tmp_path / "x.csv"
    path.write_bytes(("a;b\n" + "".join("x" * length + "\n" for length in lengths)).encode())
    found, overlong, _ = read(path)
    assert len(found) == len(lengths)
    for number, (line, length) in enumerate(zip(found, lengths, strict=True), 2):
        assert line == "x" * (10 if number in overlong else length)
        assert number not in overlong or length > 50
        assert number in overlong or length <= 50 + block


def test_the_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "x.csv"
    path.write_bytes(b"a;b\n" + b"1;2\n" * 500_000)
    file = RegisterFile(path, COLUMNS)
    assert sum(len(block.lines) for block in file.blocks()) == 500_000
    assert file.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_quotes_follow_the_rules_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("b,a\n", encoding="utf-8")
    file = RegisterFile(path, COLUMNS)
    assert file.delimiter == ","
    assert file.split('1,"two, ""three"""') == ["1", 'two, "three"']
    assert list(file.arrange(["1", "2"])) == ["2", "1"]
    assert file.join("1,2") == "2\t1"
    assert file.join('1,"2"') is None
    assert file.join("1\t,2") is None
    for line in ('1,"two', '"x"y,2'):
        with pytest.raises(BrokenLine, match="quote"):
            file.split(line)
    with pytest.raises(BrokenLine, match="too long"):
        file.split('"' + "x" * 200_000 + '",2')


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with whole_file(path) as file:
        file.write("один\n")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "один\n"
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write("два\n")
        raise ZeroDivisionError
    assert path.read_text(encoding="utf-8") == "один\n"
    assert [item.name for item in tmp_path.iterdir()] == ["out.txt"]
    left = WholeFile(path)
    left.discard()
    left.discard()
    assert [item.name for item in tmp_path.iterdir()] == ["out.txt"]
