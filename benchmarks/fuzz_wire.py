"""A million mutated frames against the wire: `python benchmarks/fuzz_wire.py [COUNT] [SEED]`, one or two minutes.

Anything but a value or a WireError ends it with a traceback and the seed that repeats it.
"""

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from genimg_lib.grade.wire import dumps
from tests.test_wire import SAMPLES, mutated, survives

ROUND = 10_000


def main(count: int = 1_000_000, seed: int = 0) -> None:
    frames, alive, start = [dumps(sample) for sample in SAMPLES], 0, time.monotonic()
    for first in range(0, count, ROUND):
        rng = random.Random(f"{seed}/{first}")
        for _ in range(min(ROUND, count - first)):
            frame = mutated(rng, frames)
            try:
                alive += survives(frame)
            except BaseException:
                print(f"\nseed {seed}, round {first}: {frame!r}")
                raise
        done = first + ROUND
        print(f"\r{done:,} frames, {alive:,} still read, {time.monotonic() - start:.0f} s", end="", flush=True)
    print("\nnothing but values and WireErrors")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
