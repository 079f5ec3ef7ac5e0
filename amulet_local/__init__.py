"""Amulet Local: chat with local GGUF models, each token realigned to a preference.

The runtime of the product; it knows nothing of terminals and can be used as a library.
"""

import os

__version__ = "0.1.0"

# GNU's OpenMP has a thread that waits at a barrier spin 300,000 times before it sleeps. Where other
# programs want the cores, each of a token's hundreds of barriers may wait for a thread that has to
# wait for a spinning one: seconds a token were seen. With 1,000 that stays within some 0.1 s, and
# alone they cost nothing; fewer do (benchmarks/contention.py). It counts only if it is said before
# any module loads llama.cpp.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
