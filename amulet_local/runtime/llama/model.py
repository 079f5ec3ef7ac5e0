"""A model's weights, loaded from a file, and what its header tells."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Sequence

import llama_cpp

from amulet_local.errors import NotUsableError
from amulet_local.path_text import from_text
from amulet_local.runtime.llama.devices import handles, offloads
from amulet_local.runtime.llama.errors import AbortedError, NoDeviceMemoryError
from amulet_local.runtime.llama.log import forget_errors, initialise, lacks_memory, reason
from amulet_local.runtime.llama.vocabulary import Vocabulary
from amulet_local.system.interrupts import interrupts_wait


class Model:
    """Loaded weights and their vocabulary.

    gpu_layers: how many, -1 for all, go to devices; those named, or all that there are.
    vocabulary_only: without the weights, to turn text into tokens.
    tensor_split: what share of them each device gets, in any unit; empty for as they have memory.
    on_progress is called with fractions 0..1 and cancels the load by returning False, which
    raises AbortedError. Raises NotUsableError where llama.cpp refuses the file, UsageError for
    devices that are not there, NoDeviceMemoryError.
    """

    def __init__(
        self,
        path: str,
        *,
        gpu_layers: int = -1,
        devices: Sequence[str] = (),
        tensor_split: Sequence[float] = (),
        vocabulary_only: bool = False,
        on_progress: Callable[[float], bool] | None = None,
    ) -> None:
        initialise()
        forget_errors()
        cancelled = False

        @llama_cpp.llama_progress_callback  # type: ignore[untyped-decorator]
        def progress(fraction: float, _user_data: object) -> bool:
            nonlocal cancelled
            cancelled = on_progress is not None and not on_progress(fraction)
            return not (cancelled or is_interrupted())

        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        parameters.vocab_only = vocabulary_only
        parameters.progress_callback = progress
        if devices:
            chosen = (ctypes.c_void_p * (len(devices) + 1))(*handles(devices))  # ends with NULL
            parameters.devices = ctypes.cast(chosen, ctypes.c_void_p)
        if tensor_split:
            shares = (ctypes.c_float * llama_cpp.llama_max_devices())(*tensor_split)
            parameters.tensor_split = ctypes.cast(shares, ctypes.POINTER(ctypes.c_float))
        with interrupts_wait() as is_interrupted:
            handle = llama_cpp.llama_model_load_from_file(os.fsencode(from_text(path)), parameters)
        if cancelled:
            raise AbortedError
        if handle is None:
            if offloads(gpu_layers) and lacks_memory():
                raise NoDeviceMemoryError(reason())
            newer = "update Amulet, or " if "unknown" in reason() else ""
            raise NotUsableError(
                f"{path} could not be loaded ({reason()}); {newer}try another file."
            )
        with contextlib.ExitStack() as owned:
            owned.callback(llama_cpp.llama_model_free, handle)
            if (
                not vocabulary_only and llama_cpp.llama_model_has_encoder(handle)
            ) or not llama_cpp.llama_model_has_decoder(handle):
                raise NotUsableError(f"{path} does not generate text; choose a chat model.")
            self.handle = handle
            self.gpu_layers = gpu_layers
            self.vocabulary = Vocabulary(handle)
            # Negative where a file claims more than llama.cpp counts to, which says nothing.
            self.context_trained: int = max(0, llama_cpp.llama_model_n_ctx_train(handle))
            self.layers: int = llama_cpp.llama_model_n_layer(handle)
            self.window: int = llama_cpp.llama_model_n_swa(handle)
            self.parameters: int = llama_cpp.llama_model_n_params(handle)
            owned.pop_all()

    def close(self) -> None:
        """Free the weights; contexts must be closed before."""
        llama_cpp.llama_model_free(self.handle)

    @property
    def description(self) -> str:
        """Architecture, size and quantisation in llama.cpp's words."""
        return self._text(llama_cpp.llama_model_desc) or ""

    def metadata(self, key: str) -> str | None:
        """A value of the GGUF header as text."""
        return self._text(llama_cpp.llama_model_meta_val_str, key.encode())

    @property
    def chat_template(self) -> str | None:
        """The Jinja source that the model brings, untrusted; None for base models."""
        source = llama_cpp.llama_model_chat_template(self.handle, None)
        return source.decode("utf-8", "replace") if source else None

    def _text(self, function: Callable[..., int], *arguments: object) -> str | None:
        buffer = ctypes.create_string_buffer(256)
        size = function(self.handle, *arguments, buffer, len(buffer))
        if size >= len(buffer):
            buffer = ctypes.create_string_buffer(size + 1)
            size = function(self.handle, *arguments, buffer, len(buffer))
        return None if size < 0 else buffer.raw[:size].decode("utf-8", "replace")
