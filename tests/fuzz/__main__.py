"""make fuzz: a million inputs, led by coverage, for the decoder of what comes off the wire, and the conversation."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["agentmesh.core", "agentmesh.errors"]):
    from tests.fuzz.decoder import try_decoder

from agentmesh.core.wire import encode
from tests.core.examples import every_frame

RUNS = 1_000_000
LONGEST_INPUT = 4096
MEMORY = 512
"""MiB; more is a failure."""


def main() -> None:
    """Run until all inputs are tried, or one does harm: it is then left in a file that is named."""
    with tempfile.TemporaryDirectory() as folder:
        for number, frame in enumerate(every_frame()):
            seeds = {"body": b"\x01" + encode(frame)[4:], "whole": b"\x00" + encode(frame)}
            for name, seed in seeds.items():
                Path(folder, f"{number}-{name}").write_bytes(seed)
        limits = [f"-runs={RUNS}", f"-max_len={LONGEST_INPUT}", f"-rss_limit_mb={MEMORY}"]
        kept = ["-keep_seed=1", "-reduce_inputs=0"]  # what JSON they hold is not seen by coverage
        atheris.Setup([sys.argv[0], *limits, *kept, folder], try_decoder)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
