"""Contexts over a model, and the batches of tokens that they evaluate."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from amulet_local.errors import UsageError
from amulet_local.runtime.llama.devices import offloads
from amulet_local.runtime.llama.errors import (
    AbortedError,
    DecodeError,
    NoCellsError,
    NoDeviceMemoryError,
)
from amulet_local.runtime.llama.hardware import physical_cores
from amulet_local.runtime.llama.log import forget_errors, lacks_memory, reason
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.load_defaults import OUTPUTS
from amulet_local.system.interrupts import interrupts_wait

KV_TYPES = {
    "f16": llama_cpp.GGML_TYPE_F16,
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
    "q4_0": llama_cpp.GGML_TYPE_Q4_0,
}
FLASH_ATTENTION = {
    "auto": llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
_STATE_PARTS = 8  # bytes before the number of parts, see Context._parts


class Batch:
    """The tokens of one llama_decode call: up to `capacity` rows, each of one sequence."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._token = np.zeros(capacity, np.int32)
        self._position = np.zeros(capacity, np.int32)
        self._sequence = np.zeros(capacity, np.int32)
        self._output = np.zeros(capacity, np.int8)
        self._ones = np.ones(capacity, np.int32)
        stride = self._sequence.itemsize
        self._sequence_pointers = self._sequence.ctypes.data + stride * np.arange(capacity)
        int32_p = ctypes.POINTER(ctypes.c_int32)
        self.native = llama_cpp.llama_batch(
            n_tokens=0,
            token=self._token.ctypes.data_as(int32_p),
            pos=self._position.ctypes.data_as(int32_p),
            n_seq_id=self._ones.ctypes.data_as(int32_p),
            seq_id=self._sequence_pointers.ctypes.data_as(ctypes.POINTER(int32_p)),
            logits=self._output.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def clear(self) -> None:
        """Empty it."""
        self.size = self.native.n_tokens = 0

    def add(self, tokens: Sequence[int], position: int, sequence: int, *, outputs: int) -> None:
        """Append tokens at consecutive positions; the last `outputs` of them give logits."""
        rows = slice(self.size, self.size + len(tokens))
        self._token[rows] = tokens
        self._position[rows] = range(position, position + len(tokens))
        self._sequence[rows] = sequence
        self._output[rows] = 0
        self._output[rows.stop - outputs : rows.stop] = 1
        self.size = self.native.n_tokens = rows.stop


class Context:
    """One KV cache over a model, holding `sequences` sequences that share `length` cells.

    length: cells in all. apart: each sequence has an equal part of them to itself, and attends over
    none of another's; what they have in common is then stored for each. batch: the most rows of one
    decode; at least two, and one a sequence. threads: for one row and for many alike. kv_on_host:
    even where layers are on devices. Raises UsageError where llama.cpp cannot make such a context,
    NoDeviceMemoryError.
    """

    def __init__(
        self,
        model: Model,
        *,
        length: int,
        sequences: int = 1,
        apart: bool = False,
        batch: int = 512,
        threads: int = 0,
        flash_attention: str = "auto",
        kv_type: str = "f16",
        kv_on_host: bool = False,
    ) -> None:
        if kv_type != "f16" and flash_attention == "off":
            raise UsageError(
                "a quantised KV cache needs flash attention; leave --flash-attention on auto."
            )
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_batch = parameters.n_ubatch = max(batch, sequences, 2)
        parameters.kv_unified = not apart
        parameters.n_threads = parameters.n_threads_batch = threads or physical_cores()
        parameters.offload_kqv = not kv_on_host
        parameters.type_k = parameters.type_v = KV_TYPES[kv_type]
        parameters.flash_attn_type = FLASH_ATTENTION[flash_attention if kv_type == "f16" else "on"]
        self._abort_flag = ctypes.create_string_buffer(2)
        parameters.abort_callback = _abort_callback()
        parameters.abort_callback_data = ctypes.cast(self._abort_flag, ctypes.c_void_p)
        self._model, self._parameters = model, parameters
        self._take(sequences)
        self.decode_s = 0.0  # seconds spent evaluating so far
        self._handle: llama_cpp.llama_context_p | None = self._make(length)

    @property
    def handle(self) -> llama_cpp.llama_context_p:
        """llama.cpp's own. Raises NoDeviceMemoryError once it is lost (see `grow`) or closed."""
        if self._handle is None:
            raise NoDeviceMemoryError("the context was lost when there was no memory to grow it")
        return self._handle

    def _take(self, sequences: int) -> None:
        """Have the next one that is made hold so many sequences, each with logits in a decode."""
        parameters = self._parameters
        parameters.n_batch = parameters.n_ubatch = max(parameters.n_batch, sequences)
        parameters.n_outputs_max = min(parameters.n_batch, max(OUTPUTS, sequences))
        parameters.n_seq_max = self.sequences = sequences

    def _make(self, length: int) -> llama_cpp.llama_context_p:
        forget_errors()
        self._parameters.n_ctx = length
        with interrupts_wait():
            handle: llama_cpp.llama_context_p | None = llama_cpp.llama_init_from_model(
                self._model.handle, self._parameters
            )
        if handle is None:
            if offloads(self._model.gpu_layers) and lacks_memory():
                raise NoDeviceMemoryError(reason())
            raise UsageError(
                f"a {length}-token context cannot be made ({reason()}); try a smaller --context."
            )
        return handle

    @property
    def length(self) -> int:
        """Cells in all, as llama.cpp rounded them."""
        return int(llama_cpp.llama_n_ctx(self.handle))

    @property
    def apart(self) -> bool:
        """Whether each sequence has its cells to itself."""
        return not self._parameters.kv_unified

    @property
    def aborted(self) -> bool:
        """Whether it is to evaluate nothing; see `abort`."""
        return bool(self._abort_flag.raw[0])

    @property
    def rows(self) -> int:
        """The most rows of one decode: no more than there are cells, whatever was asked for."""
        return int(llama_cpp.llama_n_batch(self.handle))

    @property
    def outputs(self) -> int:
        """The most rows of one decode that may give logits."""
        return min(self.rows, int(self._parameters.n_outputs_max))

    def grow(
        self,
        length: int,
        sequences: int = 0,
        shared: Mapping[int, tuple[int, int]] | None = None,
        *,
        apart: bool = False,
    ) -> None:
        """More cells, and more sequences where so many are asked for; what the sequences hold is
        carried over, as far as it finds cells.

        shared: by sequence, which earlier one it has how many first positions in common with; these
        share their cells again, and all else gets cells of its own. apart: see the class; nothing
        is shared then.

        Raises UsageError where the memory is lacking; the context is then as it was. Raises
        NoDeviceMemoryError where not even that can be made again; the context is then lost.
        """
        before, held, was_apart = self.length, self.sequences, self.apart
        shared = {k: of for k, of in (shared or {}).items() if self.remove_first(k, of[1])}
        states = [self.state(sequence) for sequence in range(held)]
        self.close()  # before the larger one is made: both may not fit
        refusal = ""
        try:
            self._take(max(sequences, held))
            self._parameters.kv_unified = not apart
            self._handle = self._make(length)
        except (UsageError, NoDeviceMemoryError) as error:
            refusal = str(error)
        if refusal:
            try:
                self._take(held)
                self._parameters.kv_unified = not was_apart
                self._handle = self._make(before)
            except (UsageError, NoDeviceMemoryError) as error:
                raise NoDeviceMemoryError(str(error)) from None
        for sequence in reversed(range(held)):
            self.restore(sequence, states.pop())
        for sequence, (origin, end) in sorted(shared.items()):
            self.copy(origin, sequence, end)
        if refusal:
            raise UsageError(refusal)

    def state(self, sequence: int) -> bytes:
        """The keys and values of a sequence, for `restore` of this context or of one whose cells
        are arranged otherwise; empty if it holds nothing."""
        if not self.held(sequence):
            return b""
        size = llama_cpp.llama_state_seq_get_size(self.handle, sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = llama_cpp.llama_state_seq_get_data(self.handle, buffer, size, sequence)
        parts, before = self._parts(sequence)
        whole = memoryview(buffer)[:written]
        own = whole[_STATE_PARTS + 4 + 4 * before : written - 4 * (parts - 1 - before)]
        return b"".join((whole[:_STATE_PARTS], (1).to_bytes(4, sys.byteorder), own))

    def restore(self, sequence: int, state: bytes) -> bool:
        """Let a sequence hold what `state` gave, in place of what it holds; False if refused, or
        where there are too few cells: it then holds nothing."""
        self.remove(sequence, 0)
        if not state:
            return True
        parts, before = self._parts(sequence)
        whole = memoryview(state)
        pieces = (
            whole[:_STATE_PARTS],
            parts.to_bytes(4, sys.byteorder),
            bytes(4 * before),
            whole[_STATE_PARTS + 4 :],
            bytes(4 * (parts - 1 - before)),
        )
        buffer = (ctypes.c_uint8 * sum(map(len, pieces))).from_buffer_copy(b"".join(pieces))
        return bool(llama_cpp.llama_state_seq_set_data(self.handle, buffer, len(buffer), sequence))

    def _parts(self, sequence: int) -> tuple[int, int]:
        """Into how many parts cells fall, and how many come before that of a sequence. A state
        names their number behind its magic number and sequence; then comes, part by part, how many
        cells the sequence has there, and these: 0 in all parts but its own."""
        return (self.sequences, sequence) if self.apart else (1, 0)

    @property
    def _memory(self) -> llama_cpp.llama_memory_t:
        memory: llama_cpp.llama_memory_t | None = llama_cpp.llama_get_memory(self.handle)
        assert memory is not None
        return memory

    def close(self) -> None:
        """Free the cache; samplers must be closed before, the model after."""
        handle, self._handle = self._handle, None
        if handle is not None:
            llama_cpp.llama_free(handle)

    def abort(self) -> None:
        """Make the decode under way, and every later one, raise AbortedError until `resume`."""
        self._abort_flag[0] = b"\x01"

    def resume(self) -> None:
        """Allow decoding again."""
        self._abort_flag[0] = b"\x00"

    def decode(self, batch: Batch) -> None:
        """Evaluate a batch. Raises AbortedError, NoCellsError, DecodeError, NoDeviceMemoryError."""
        if self.aborted:  # GPU backends never poll the callback
            raise AbortedError
        forget_errors()
        began = time.perf_counter()
        status = llama_cpp.llama_decode(self.handle, batch.native)
        self.decode_s += time.perf_counter() - began
        if status == 2:
            raise AbortedError
        if status == 1:
            raise NoCellsError
        if status < -1 and offloads(self._model.gpu_layers) and lacks_memory():
            raise NoDeviceMemoryError(reason())
        if status:
            raise DecodeError(f"llama_decode failed with {status} ({reason()}).")

    def logits(self, rows: int) -> NDArray[np.float32]:
        """The flagged rows of the last decode, (rows, vocabulary): a view, gone at the next one."""
        began = time.perf_counter()
        pointer = llama_cpp.llama_get_logits(self.handle)  # waits for a GPU
        self.decode_s += time.perf_counter() - began
        return np.ctypeslib.as_array(pointer, shape=(rows, self._model.vocabulary.size))

    def remove(self, sequence: int, start: int) -> bool:
        """Forget a sequence from a position on; False where the memory cannot be cut there."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, start, -1))

    def remove_first(self, sequence: int, end: int) -> bool:
        """Forget a sequence before a position; what lies behind stays as it is. False as above."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, 0, end))

    def copy(self, source: int, target: int, end: int) -> None:
        """Let `target`, which has none of them, share the cells of `source` before `end`.

        Recurrent memory copies its one state whatever `end` says. Where sequences have their cells
        to themselves, these are copied.
        """
        if self.apart:  # of which llama.cpp copies none but whole pools, else it ends the process
            self.restore(target, self.state(source))
            self.remove(target, end)
            return
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def held(self, sequence: int) -> int:
        """How many tokens a sequence holds, those included that a sliding window has dropped."""
        return int(llama_cpp.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def first_position(self, sequence: int) -> int:
        """The oldest position still held: sliding windows drop cells. -1 when empty."""
        return int(llama_cpp.llama_memory_seq_pos_min(self._memory, sequence))


@lru_cache(maxsize=1)
def _abort_callback() -> object:
    """libc's strlen over the flag: 0 while it reads "", 1 once its first byte is set.

    llama.cpp polls the callback for every node of the graph; a Python function there would take
    the interpreter's lock each time.
    """
    libc = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
    address = ctypes.cast(libc.strlen, ctypes.c_void_p).value
    assert address is not None
    return llama_cpp.ggml_abort_callback(address)
