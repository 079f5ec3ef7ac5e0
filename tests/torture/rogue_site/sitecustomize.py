"""On PYTHONPATH, it makes the first engine that an app starts a rogue, or one within limits; the
next one is as ever. What to be is said by AMULET_ROGUE: a kind, a seed, and a file that tells that
one has been there."""

import os
import sys

if "amulet_local.engine.worker" in sys.orig_argv and os.environ.get("AMULET_ROGUE"):
    _kind, _seed, _been = os.environ["AMULET_ROGUE"].split(" ", 2)
    try:
        os.close(os.open(_been, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        pass
    else:
        from tests.torture import rogue

        rogue.be(_kind, int(_seed))
