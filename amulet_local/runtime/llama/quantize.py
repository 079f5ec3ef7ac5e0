"""Write a model in another quantisation, by llama.cpp's own quantizer."""

from __future__ import annotations

import ctypes
import logging
import os
import re
from collections.abc import Callable

import llama_cpp

from amulet_local.errors import NotUsableError
from amulet_local.path_text import from_text
from amulet_local.runtime.llama.hardware import physical_cores
from amulet_local.runtime.llama.log import forget_errors, initialise, logger, reason

QUANTISATIONS = {
    "q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
    "q4_1": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_1,
    "q4_k_m": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "q5_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_0,
    "q5_k_m": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "q6_k": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K,
    "q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "f16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
    "f32": llama_cpp.LLAMA_FTYPE_ALL_F32,
}


def quantize(
    source: str, target: str, quantisation: str, on_progress: Callable[[int, int], object]
) -> None:
    """Write a model in another quantisation with llama.cpp's own quantizer; blocks until done.

    quantisation: a key of QUANTISATIONS. on_progress(tensor, tensors) is called on this thread.
    Raises NotUsableError where llama.cpp cannot.
    """
    initialise()
    forget_errors()
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = QUANTISATIONS[quantisation]
    parameters.allow_requantize = True
    parameters.nthread = physical_cores()
    watch = _TensorWatch(on_progress)
    logger.addHandler(watch)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        status = llama_cpp.llama_model_quantize(
            os.fsencode(from_text(source)), os.fsencode(from_text(target)), ctypes.byref(parameters)
        )
    finally:
        logger.setLevel(level)
        logger.removeHandler(watch)
    if status:
        raise NotUsableError(f"{source} could not be quantised ({reason()}).")


class _TensorWatch(logging.Handler):
    """The quantizer tells its progress only in its log: a line "[ 12/ 272] name …" per tensor."""

    def __init__(self, on_progress: Callable[[int, int], object]) -> None:
        super().__init__()
        self._on_progress = on_progress

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        if found := re.match(r"\[\s*(\d+)/\s*(\d+)\]", record.getMessage()):
            self._on_progress(int(found[1]), int(found[2]))
