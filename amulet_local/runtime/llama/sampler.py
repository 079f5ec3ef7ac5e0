"""llama.cpp's sampler chain, applied to logits made in Python."""

from __future__ import annotations

import ctypes

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from amulet_local.runtime.llama.errors import DecodeError
from amulet_local.runtime.llama.vocabulary import Vocabulary

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class SamplerChain:
    """llama.cpp's samplers in the order they were added, applied to logits made in Python."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.handle = llama_cpp.llama_sampler_chain_init(
            llama_cpp.llama_sampler_chain_default_params()
        )
        self._ids = np.arange(vocabulary.size, dtype=np.int32)
        self._candidates = np.empty(vocabulary.size, _CANDIDATE)
        self._array = llama_cpp.llama_token_data_array(
            data=self._candidates.ctypes.data_as(llama_cpp.llama_token_data_p),
            size=vocabulary.size,
            selected=-1,
            sorted=False,
        )

    def close(self) -> None:
        """Free the chain and its samplers."""
        llama_cpp.llama_sampler_free(self.handle)

    def sample(self, logits: NDArray[np.float32]) -> int:
        """Draw a token from logits (vocabulary,) and let the samplers know that it was taken.

        Raises DecodeError if no token is possible or the logits hold NaN or +inf.
        """
        if not np.isfinite(logits.max()):
            raise DecodeError("the model's output is not a number; try another quantisation of it.")
        self._fill(self._ids, logits)
        llama_cpp.llama_sampler_apply(self.handle, ctypes.byref(self._array))
        token = int(self._candidates["id"][self._array.selected])
        self.accept(token)
        return token

    def accept(self, token: int) -> None:
        """Let the samplers know that a token was taken."""
        llama_cpp.llama_sampler_accept(self.handle, token)

    def reweighed(self, ids: NDArray[np.int32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits, float32 (n,), of the tokens `ids` (n,) as samplers that drop nothing leave them;
        valid until the next call."""
        self._fill(ids, logits)
        llama_cpp.llama_sampler_apply(self.handle, ctypes.byref(self._array))
        reweighed: NDArray[np.float32] = self._candidates["logit"][: ids.size]
        return reweighed

    def penalties(self, last_n: int, repeat: float, frequency: float, presence: float) -> None:
        """Make tokens among the last `last_n` of the reply less likely."""
        size = self._vocabulary.size
        self.add(llama_cpp.llama_sampler_init_penalties(size, last_n, repeat, frequency, presence))

    def dry(self, multiplier: float, base: float, allowed_length: int, last_n: int) -> None:
        """Penalise tokens that would prolong a repetition ("don't repeat yourself")."""
        breakers = (ctypes.c_char_p * 4)(b"\n", b":", b'"', b"*")
        self.add(
            llama_cpp.llama_sampler_init_dry(
                self._vocabulary.handle,
                multiplier,
                base,
                allowed_length,
                last_n,
                breakers,
                len(breakers),
            )
        )

    def top_k(self, count: int) -> None:
        """Keep the likeliest `count` tokens."""
        self.add(llama_cpp.llama_sampler_init_top_k(count))

    def top_p(self, mass: float) -> None:
        """Keep the likeliest tokens that hold `mass` of the probability."""
        self.add(llama_cpp.llama_sampler_init_top_p(mass, 1))

    def min_p(self, share: float) -> None:
        """Keep tokens at least `share` as likely as the likeliest."""
        self.add(llama_cpp.llama_sampler_init_min_p(share, 1))

    def temperature(self, value: float) -> None:
        """Divide the logits."""
        self.add(llama_cpp.llama_sampler_init_temp(value))

    def draw(self, seed: int) -> None:
        """Draw from what is left; always last."""
        self.add(llama_cpp.llama_sampler_init_dist(seed))

    def greedy(self) -> None:
        """Take the likeliest; always last."""
        self.add(llama_cpp.llama_sampler_init_greedy())

    def _fill(self, ids: NDArray[np.int32], logits: NDArray[np.float32]) -> None:
        self._candidates["id"][: ids.size] = ids
        self._candidates["logit"][: ids.size] = logits
        array = self._array
        array.size, array.selected, array.sorted = ids.size, -1, False

    def add(self, sampler: int) -> None:
        """Have a sampler of llama.cpp's at the end; it is freed with the chain."""
        llama_cpp.llama_sampler_chain_add(self.handle, sampler)
