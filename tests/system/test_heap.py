"""What is freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

TRIAL = """
import psutil
from amulet_local.system.heap import give_back_large_blocks

give_back_large_blocks()
process = psutil.Process()
freed = b"x" * (30 << 20)
del freed  # from now on, glibc would take blocks of this size from the heap
before = process.memory_info().rss
blocks = []
for number in range(40):
    blocks += [b"x" * (2 << 20), bytes(1000 + number)]
del blocks[::2]  # between what stays
print(process.memory_info().rss - before)
"""


def test_large_blocks_do_not_leave_gaps() -> None:
    trial = subprocess.run(
        [sys.executable, "-c", TRIAL], capture_output=True, text=True, check=True
    )
    assert int(trial.stdout) < 10 << 20
