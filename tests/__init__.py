"""The suite. What must be settled before llama.cpp is loaded is settled here."""

import os

# Workers of pytest-xdist share the cores, and OpenMP's threads spin: one each, in all processes.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_THREAD_LIMIT", os.environ.get("AMULET_TEST_THREADS", "1"))
