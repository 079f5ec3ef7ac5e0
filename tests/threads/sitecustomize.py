"""As many physical cores as AMULET_TEST_THREADS says, for every Python process that has this
folder on PYTHONPATH: llama.cpp then runs with as many threads, in engine processes too.

    AMULET_TEST_THREADS=3 PYTHONPATH=tests/threads python -m pytest -m model
"""

import os

import psutil

count = int(os.environ["AMULET_TEST_THREADS"])


def cores(logical: bool = True) -> int:
    return count


def allowed(process: psutil.Process) -> list[int]:
    return list(range(count))


for owner, name, told in ((psutil, "cpu_count", cores), (psutil.Process, "cpu_affinity", allowed)):
    setattr(owner, name, told)
