"""Amulet Local: chat with local GGUF models, each token realigned to a preference.

The runtime of the product; it knows nothing of terminals and can be used as a library:

    import amulet_local

    with amulet_local.load("model.gguf") as model:
        for text in model.reply("What makes a good holiday?", "Be concise.", strength=3):
            print(text, end="", flush=True)

    amulet_local.realign([base, pref], [3.0])  # the update alone: logits in, logits out

What is named in `__all__` stays as it is from version to version; what lies below may move. Each is
imported when it is first used, so that this package costs nothing.
"""

import os

# Not from typing: nothing is imported here that a module in the current folder could stand in for
# (see system/child_processes.py). Python itself has os already.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from amulet_local.engine.library import LoadedModel, load
    from amulet_local.errors import AmuletError
    from amulet_local.protocol.alignment import Sampling
    from amulet_local.protocol.loading import LoadOptions
    from amulet_local.protocol.message import Message
    from amulet_local.realignment import realign

__all__ = [
    "AmuletError",
    "LoadOptions",
    "LoadedModel",
    "Message",
    "Sampling",
    "__version__",
    "load",
    "realign",
]

__version__ = "0.1.0"

# GNU's OpenMP has a thread that waits at a barrier spin 300,000 times before it sleeps. Where other
# programs want the cores, each of a token's hundreds of barriers may wait for a thread that has to
# wait for a spinning one: seconds a token were seen. With 1,000 that stays within some 0.1 s, and
# alone they cost nothing; fewer do (benchmarks/contention.py). It counts only if it is said before
# any module loads llama.cpp.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_MODULES = {
    "AmuletError": "errors",
    "LoadOptions": "protocol.loading",
    "LoadedModel": "engine.library",
    "Message": "protocol.message",
    "Sampling": "protocol.alignment",
    "load": "engine.library",
    "realign": "realignment",
}


if not TYPE_CHECKING:  # else every name would seem to be there

    def __getattr__(name: str) -> object:
        """Import what is offered once it is asked for (PEP 562)."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
