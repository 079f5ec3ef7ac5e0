"""llama-cpp-python's own high-level interface, against which the bench compares."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator

import llama_cpp

from amulet_local.runtime.llama.errors import NoCellsError
from amulet_local.runtime.llama.log import initialise, take_log


class HighLevelChat:
    """llama-cpp-python's own chat completion, as a yardstick for `amulet bench`."""

    def __init__(self, path: str, *, context: int, threads: int) -> None:
        initialise()
        with contextlib.redirect_stderr(io.StringIO()):  # it prints what it finds in the header
            self._llama = llama_cpp.Llama(
                path, n_ctx=context, n_threads=threads, n_threads_batch=threads, n_gpu_layers=-1
            )
        self._llama.verbose = False
        take_log()

    def close(self) -> None:
        """Free the model and its context."""
        self._llama.close()

    def write(self, messages: list[dict[str, str]], tokens: int) -> Iterator[float]:
        """The times at which the pieces of a greedy reply arrive (time.perf_counter).

        Raises NoCellsError where the prompt is longer than the context.
        """
        stream = self._llama.create_chat_completion(
            messages,  # type: ignore[arg-type]
            max_tokens=tokens,
            temperature=0.0,
            stream=True,
        )
        try:
            for chunk in stream:
                if "content" in chunk["choices"][0]["delta"]:  # type: ignore[index]
                    yield time.perf_counter()
        except ValueError:  # what it says of that has changed between versions
            raise NoCellsError from None
