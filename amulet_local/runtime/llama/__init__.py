"""The only package that touches llama.cpp, besides the bench: models, contexts, samplers, devices.

Thin objects over the low-level binding, in llama.cpp's own terms. They own native memory and are
closed explicitly: samplers, then contexts, then the model. Nothing here knows of prompts, streams
or preferences. All calls on one model come from one thread; `Context.abort` alone may be called
from another.
"""
