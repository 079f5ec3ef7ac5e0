"""The suite. What must be settled before llama.cpp is loaded is settled here, and
what a test takes for granted of the process that it runs in."""

import os
import signal

# Workers of pytest-xdist share the cores, and OpenMP's threads spin: one each, in all processes.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_THREAD_LIMIT", os.environ.get("AMULET_TEST_THREADS", "1"))

# A shell that is not interactive has what it starts in the background ignore Ctrl+C, and that is
# inherited; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Scrolling takes as many drawings as the machine has time for; tests have it done at once.
os.environ["TEXTUAL_ANIMATIONS"] = "none"
