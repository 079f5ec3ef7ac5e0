"""Tests of the rooms. What is set here is set before llama.cpp is loaded, here and in processes
that tests start.

llama.cpp's threads meet after every step, and GNU's OpenMP has them spin there for a millisecond
and more. Where anything else runs on a core, that is time its thread does not get, and the real
model is several times slower. A tenth of that is as good where they are alone.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
