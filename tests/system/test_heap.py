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


GAPS = """
import psutil
from amulet_local.system.heap import give_back_freed

process = psutil.Process()
before = process.memory_info().rss
blocks = [b"x" * 50_000 for _ in range(1_000)]
del blocks[::2]
full = process.memory_info().rss
give_back_freed()
print(full - before, process.memory_info().rss - before)
"""


def test_free_pages_between_what_stays_go_back() -> None:
    trial = subprocess.run([sys.executable, "-c", GAPS], capture_output=True, text=True, check=True)
    full, left = map(int, trial.stdout.split())
    assert full > 45 << 20
    assert left < 30 << 20
