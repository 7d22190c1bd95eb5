"""`python -m tests.unit.virtual.fuzz_main [OPTIONS]`: the target under atheris, which watches the card's code."""

import sys

import atheris

with atheris.instrument_imports(include=["card_io"]):
    from tests.unit.virtual.fuzz_target import one_input

if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
