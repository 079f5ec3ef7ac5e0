"""Amulet Local: chat with local GGUF models, each token realigned to a preference.

The runtime of the product; it knows nothing of terminals and can be used as a library.
"""

__version__ = "0.1.0"
