"""The only room that touches llama.cpp: models, contexts, batches, sampler chains, devices.

Thin objects over the low-level binding, in llama.cpp's own terms. They own native memory and are
closed explicitly: samplers, then contexts, then the model. Nothing here knows of prompts, streams
or preferences. All calls on one model come from one thread; `Context.abort` alone may be called
from another.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import llama_cpp
import numpy as np
import psutil
from numpy.typing import NDArray

from amulet_local.errors import AmuletError, NotUsableError, UsageError
from amulet_local.path_text import from_text
from amulet_local.runtime.llama.devices import backends, devices, handles
from amulet_local.runtime.load_defaults import OUTPUTS
from amulet_local.runtime.offload import Device

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


class AbortedError(Exception):
    """`Context.abort` cut the load or decode short; its batch must be evaluated anew."""


class NoCellsError(Exception):
    """All cells of the context are taken; the batch was not evaluated."""


class NoDeviceMemoryError(Exception):
    """A device has too little memory for what was to be put there."""


class DecodeError(AmuletError):
    """llama_decode failed; the message says how."""


# -- what llama.cpp says ------------------------------------------------------------------------

_logger = logging.getLogger("llama.cpp")
_logger.addHandler(logging.NullHandler())  # silent unless a program asks to hear it
_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
_errors: deque[str] = deque(maxlen=8)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _on_log(level: int, text: bytes, _user_data: object) -> None:
    line = text.decode("utf-8", "replace").strip()
    severity = _LEVELS.get(level, logging.DEBUG)
    _logger.log(severity, "%s", line)
    if severity == logging.ERROR:
        _errors.append(line)


@lru_cache(maxsize=1)
def _initialise() -> None:
    """Importing llama_cpp has set its own log callback; ours replaces it for good."""
    llama_cpp.llama_log_set(_on_log, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[Callable[[], bool]]:
    """Ctrl+C waits for the end of a native call that calls back into Python, since an exception
    that a callback raises is dropped there. Yields whether one waits."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield lambda: False
        return
    waiting: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: waiting.append(number))
    try:
        yield lambda: bool(waiting)
    finally:
        signal.signal(signal.SIGINT, usual)
        if waiting:
            signal.raise_signal(signal.SIGINT)


def _lacks_memory() -> bool:
    """Whether the last attempt failed for want of memory, going by what llama.cpp said."""
    return any(re.search("out of memory|alloc", line, re.IGNORECASE) for line in _errors)


def _reason() -> str:
    """Why llama.cpp refused, in its own words: the first error line since the last attempt."""
    return re.sub(r"^\w+: ", "", _errors[0]) if _errors else "llama.cpp gave no reason"


# -- devices and build --------------------------------------------------------------------------


@dataclass(frozen=True)
class BuildInfo:
    """What this build of llama-cpp-python can do. backends: such as CPU, CUDA, RPC."""

    version: str
    features: str
    gpu_offload: bool
    backends: tuple[str, ...]
    devices: tuple[Device, ...]


def build_info() -> BuildInfo:
    """The version, CPU features and devices of the installed llama-cpp-python."""
    _initialise()
    return BuildInfo(
        version=llama_cpp.__version__,
        features=llama_cpp.llama_print_system_info().decode().strip(),
        gpu_offload=offloads(-1),
        backends=tuple(backends()),
        devices=tuple(devices()),
    )


def physical_cores() -> int:
    """The physical cores this process may use; more threads than that only slow decoding."""
    allowed = len(psutil.Process().cpu_affinity()) if sys.platform == "linux" else os.cpu_count()
    return max(1, min(psutil.cpu_count(logical=False) or 1, allowed or 1))


def offloads(gpu_layers: int | Literal["auto"]) -> bool:
    """Whether so many layers (-1: all) would put any on a GPU."""
    return gpu_layers != 0 and any(device.offloads for device in devices())


def plain_attention_is_faster() -> bool:
    """Whether this CPU build writes tokens of a long chat faster without flash attention.

    Built for AVX-512 it does, by half at 1,000 tokens; for AVX2 there is no difference, and flash
    attention reads prompts faster.
    """
    return b"AVX512 = 1" in llama_cpp.llama_print_system_info()


# -- model and vocabulary -----------------------------------------------------------------------


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
        _initialise()
        _errors.clear()
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
        with _interrupts_wait() as is_interrupted:
            handle = llama_cpp.llama_model_load_from_file(os.fsencode(from_text(path)), parameters)
        if cancelled:
            raise AbortedError
        if handle is None:
            if offloads(gpu_layers) and _lacks_memory():
                raise NoDeviceMemoryError(_reason())
            newer = "update Amulet, or " if "unknown" in _reason() else ""
            raise NotUsableError(
                f"{path} could not be loaded ({_reason()}); {newer}try another file."
            )
        with contextlib.ExitStack() as owned:
            owned.callback(llama_cpp.llama_model_free, handle)
            if (
                not vocabulary_only and llama_cpp.llama_model_has_encoder(handle)
            ) or not llama_cpp.llama_model_has_decoder(handle):
                raise NotUsableError(f"{path} does not write text by itself; choose a chat model.")
            self.handle = handle
            self.gpu_layers = gpu_layers
            self.vocabulary = Vocabulary(handle)
            self.context_trained: int = llama_cpp.llama_model_n_ctx_train(handle)
            self.layers: int = llama_cpp.llama_model_n_layer(handle)
            self.window: int = llama_cpp.llama_model_n_swa(handle)
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


@dataclass(frozen=True)
class SpecialToken:
    """A token that stands for itself in a template's text, never for what a user types."""

    token: int
    text: str
    strips_left: bool
    strips_right: bool


def _named(model: llama_cpp.llama_model_p, key: str, token: int) -> int | None:
    """The token that llama.cpp uses, if it is the one that the header names under this key.

    Where the header names none, or one that is not there, llama.cpp takes a number that was right
    for the first model with such a tokenizer: 1 and 2 for SentencePiece, 11 for GPT-2's.
    """
    value = ctypes.create_string_buffer(32)
    size = llama_cpp.llama_model_meta_val_str(model, key.encode(), value, len(value))
    return token if token >= 0 and size >= 0 and value.value == b"%d" % token else None


class Vocabulary:
    """Text to token ids and back."""

    def __init__(self, model: llama_cpp.llama_model_p) -> None:
        handle = llama_cpp.llama_model_get_vocab(model)
        assert handle is not None
        self.handle = handle
        self.size: int = llama_cpp.llama_vocab_n_tokens(handle)
        self._bos = _named(model, "tokenizer.ggml.bos_token_id", llama_cpp.llama_vocab_bos(handle))
        self._eos = _named(model, "tokenizer.ggml.eos_token_id", llama_cpp.llama_vocab_eos(handle))
        self.beginning = self._bos if llama_cpp.llama_vocab_get_add_bos(handle) else None

    @property
    def bos_text(self) -> str:
        """What a template may write for the token that begins a text; "" without one."""
        return self._special_text(self._bos)

    @property
    def eos_text(self) -> str:
        """What a template may write for the token that ends a text; "" without one."""
        return self._special_text(self._eos)

    def _special_text(self, token: int | None) -> str:
        return "" if token is None else self.piece(token, special=True).decode("utf-8", "replace")

    def tokenize(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Token ids of a text; without parse_special, control tokens in it are plain text."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 2
        while True:
            tokens = (llama_cpp.llama_token * size)()
            count = llama_cpp.llama_tokenize(
                self.handle, data, len(data), tokens, size, False, parse_special
            )
            if count >= 0:
                return tokens[:count]
            size = -count

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes a token adds to the text, possibly part of a character.

        Control tokens are empty unless `special`.
        """
        size = 32
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self.handle, token, buffer, size, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def equals(self, other: Vocabulary) -> bool:
        """Whether every token id stands for the same text in both."""
        return self.size == other.size and all(
            llama_cpp.llama_vocab_get_text(self.handle, token)
            == llama_cpp.llama_vocab_get_text(other.handle, token)
            for token in range(self.size)
        )

    def ends_turn(self, token: int) -> bool:
        """Whether the token ends generation (end of text, of turn, of message…).

        Where the header names no token that ends a text, llama.cpp takes one by its number, be it
        a comma. Those that it knows by their texts are control tokens.
        """
        if not llama_cpp.llama_vocab_is_eog(self.handle, token):
            return False
        if self._eos is None and token == llama_cpp.llama_vocab_eos(self.handle):
            attributes = llama_cpp.llama_vocab_get_attr(self.handle, token)
            return bool(attributes & llama_cpp.LLAMA_TOKEN_ATTR_CONTROL)
        return True

    @cached_property
    def special_tokens(self) -> list[SpecialToken]:
        """Control and unknown tokens with their texts, longest first, as llama.cpp matches them."""
        wanted = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
        attribute, handle = llama_cpp.llama_vocab_get_attr, self.handle
        found = []
        for token in range(self.size):
            flags = attribute(handle, token)
            text = (
                self.piece(token, special=True).decode("utf-8", "replace") if flags & wanted else ""
            )
            if text:
                found.append(
                    SpecialToken(
                        token,
                        text,
                        strips_left=bool(flags & llama_cpp.LLAMA_TOKEN_ATTR_LSTRIP),
                        strips_right=bool(flags & llama_cpp.LLAMA_TOKEN_ATTR_RSTRIP),
                    )
                )
        return sorted(found, key=lambda special: len(special.text), reverse=True)


# -- quantiser ----------------------------------------------------------------------------------

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
    source: str, target: str, quantisation: str, on_progress: Callable[[int, int], None]
) -> None:
    """Write a model in another quantisation with llama.cpp's own quantizer; blocks until done.

    quantisation: a key of QUANTISATIONS. on_progress(tensor, tensors) is called on this thread.
    Raises NotUsableError where llama.cpp cannot.
    """
    _initialise()
    _errors.clear()
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = QUANTISATIONS[quantisation]
    parameters.allow_requantize = True
    parameters.nthread = physical_cores()
    watch = _TensorWatch(on_progress)
    _logger.addHandler(watch)
    level = _logger.level
    _logger.setLevel(logging.INFO)
    try:
        status = llama_cpp.llama_model_quantize(
            os.fsencode(from_text(source)), os.fsencode(from_text(target)), ctypes.byref(parameters)
        )
    finally:
        _logger.setLevel(level)
        _logger.removeHandler(watch)
    if status:
        raise NotUsableError(f"{source} could not be quantised ({_reason()}).")


class _TensorWatch(logging.Handler):
    """The quantizer tells its progress only in its log: a line "[ 12/ 272] name …" per tensor."""

    def __init__(self, on_progress: Callable[[int, int], None]) -> None:
        super().__init__()
        self._on_progress = on_progress

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        if found := re.match(r"\[\s*(\d+)/\s*(\d+)\]", record.getMessage()):
            self._on_progress(int(found[1]), int(found[2]))


# -- context ------------------------------------------------------------------------------------


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

    length: cells in all. batch: the most rows of one decode; at least two, and one a sequence.
    threads: for one row and for many alike. kv_on_host: even where layers are on devices. Raises
    UsageError where llama.cpp cannot make such a context, NoDeviceMemoryError.
    """

    def __init__(
        self,
        model: Model,
        *,
        length: int,
        sequences: int = 1,
        batch: int = 512,
        threads: int = 0,
        flash_attention: str = "auto",
        kv_type: str = "f16",
        kv_on_host: bool = False,
    ) -> None:
        if kv_type != "f16" and flash_attention == "off":
            raise UsageError("a quantised KV cache needs flash attention; leave it on auto.")
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_batch = parameters.n_ubatch = max(batch, sequences, 2)
        parameters.n_outputs_max = min(parameters.n_batch, max(OUTPUTS, sequences))
        parameters.n_seq_max = sequences
        parameters.kv_unified = True  # a prefix shared by sequences is stored once
        parameters.n_threads = parameters.n_threads_batch = threads or physical_cores()
        parameters.offload_kqv = not kv_on_host
        parameters.type_k = parameters.type_v = KV_TYPES[kv_type]
        parameters.flash_attn_type = FLASH_ATTENTION[flash_attention if kv_type == "f16" else "on"]
        self._abort_flag = ctypes.create_string_buffer(2)
        parameters.abort_callback = _abort_callback()
        parameters.abort_callback_data = ctypes.cast(self._abort_flag, ctypes.c_void_p)
        self._model, self._parameters = model, parameters
        self.sequences = sequences
        self.decode_s = 0.0  # seconds spent evaluating so far
        self._handle: llama_cpp.llama_context_p | None = self._make(length)

    @property
    def handle(self) -> llama_cpp.llama_context_p:
        """llama.cpp's own. Raises NoDeviceMemoryError once it is lost (see `grow`) or closed."""
        if self._handle is None:
            raise NoDeviceMemoryError("the context was lost when there was no memory to grow it")
        return self._handle

    def _make(self, length: int) -> llama_cpp.llama_context_p:
        _errors.clear()
        self._parameters.n_ctx = length
        with _interrupts_wait():
            handle: llama_cpp.llama_context_p | None = llama_cpp.llama_init_from_model(
                self._model.handle, self._parameters
            )
        if handle is None:
            if offloads(self._model.gpu_layers) and _lacks_memory():
                raise NoDeviceMemoryError(_reason())
            raise UsageError(
                f"no context of {length} tokens can be made ({_reason()}); try a smaller --context."
            )
        return handle

    @property
    def length(self) -> int:
        """Cells in all, as llama.cpp rounded them."""
        return int(llama_cpp.llama_n_ctx(self.handle))

    @property
    def rows(self) -> int:
        """The most rows of one decode: no more than there are cells, whatever was asked for."""
        return int(llama_cpp.llama_n_batch(self.handle))

    @property
    def outputs(self) -> int:
        """The most rows of one decode that may give logits."""
        return min(self.rows, int(self._parameters.n_outputs_max))

    def grow(self, length: int) -> None:
        """More cells; what the sequences hold is carried over, each with cells of its own.

        Raises UsageError where the memory is lacking; the context is then as it was. Raises
        NoDeviceMemoryError where not even that can be made again; the context is then lost.
        """
        before = self.length
        states = [self.state(sequence) for sequence in range(self.sequences)]
        self.close()  # before the larger one is made: both may not fit
        refusal = ""
        try:
            self._handle = self._make(length)
        except (UsageError, NoDeviceMemoryError) as error:
            refusal = str(error)
        if refusal:
            try:
                self._handle = self._make(before)
            except (UsageError, NoDeviceMemoryError) as error:
                raise NoDeviceMemoryError(str(error)) from None
        for sequence in reversed(range(self.sequences)):
            self.restore(sequence, states.pop())
        if refusal:
            raise UsageError(refusal)

    def state(self, sequence: int) -> bytes:
        """The keys and values of a sequence, for `restore`; empty if it holds nothing."""
        if llama_cpp.llama_memory_seq_pos_max(self._memory, sequence) < 0:
            return b""
        size = llama_cpp.llama_state_seq_get_size(self.handle, sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = llama_cpp.llama_state_seq_get_data(self.handle, buffer, size, sequence)
        return bytes(memoryview(buffer)[:written])

    def restore(self, sequence: int, state: bytes) -> bool:
        """Let a sequence hold what `state` gave, in place of what it holds; False if refused."""
        self.remove(sequence, 0)
        if not state:
            return True
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        return bool(llama_cpp.llama_state_seq_set_data(self.handle, buffer, len(state), sequence))

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
        if self._abort_flag.raw[0]:  # GPU backends never poll the callback
            raise AbortedError
        _errors.clear()
        began = time.perf_counter()
        status = llama_cpp.llama_decode(self.handle, batch.native)
        self.decode_s += time.perf_counter() - began
        if status == 2:
            raise AbortedError
        if status == 1:
            raise NoCellsError
        if status < -1 and offloads(self._model.gpu_layers) and _lacks_memory():
            raise NoDeviceMemoryError(_reason())
        if status:
            raise DecodeError(f"llama_decode failed with {status} ({_reason()}).")

    def logits(self, rows: int) -> NDArray[np.float32]:
        """The flagged rows of the last decode, (rows, vocabulary): a view, gone at the next one."""
        began = time.perf_counter()
        pointer = llama_cpp.llama_get_logits(self.handle)  # waits for a GPU
        self.decode_s += time.perf_counter() - began
        return np.ctypeslib.as_array(pointer, shape=(rows, self._model.vocabulary.size))

    def remove(self, sequence: int, start: int) -> bool:
        """Forget a sequence from a position on; False where the memory cannot be cut there."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, start, -1))

    def copy(self, source: int, target: int, end: int) -> None:
        """Let `target`, emptied before, share the cells of `source` before position `end`.

        Recurrent memory copies its one state whatever `end` says.
        """
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, end)

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


class HighLevelChat:
    """llama-cpp-python's own chat completion, as a yardstick for `amulet bench`."""

    def __init__(self, path: str, *, context: int, threads: int) -> None:
        _initialise()
        with contextlib.redirect_stderr(io.StringIO()):  # it prints what it finds in the header
            self._llama = llama_cpp.Llama(
                path, n_ctx=context, n_threads=threads, n_threads_batch=threads, n_gpu_layers=-1
            )
        self._llama.verbose = False
        llama_cpp.llama_log_set(_on_log, ctypes.c_void_p(0))

    def close(self) -> None:
        """Free the model and its context."""
        self._llama.close()

    def write(self, messages: list[dict[str, str]], tokens: int) -> Iterator[float]:
        """The times at which the pieces of a greedy reply arrive (time.perf_counter)."""
        stream = self._llama.create_chat_completion(
            messages,  # type: ignore[arg-type]
            max_tokens=tokens,
            temperature=0.0,
            stream=True,
        )
        for chunk in stream:
            if "content" in chunk["choices"][0]["delta"]:  # type: ignore[index]
                yield time.perf_counter()


# -- sampler chain ------------------------------------------------------------------------------

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
        self._add(llama_cpp.llama_sampler_init_penalties(size, last_n, repeat, frequency, presence))

    def dry(self, multiplier: float, base: float, allowed_length: int, last_n: int) -> None:
        """Penalise tokens that would prolong a repetition ("don't repeat yourself")."""
        breakers = (ctypes.c_char_p * 4)(b"\n", b":", b'"', b"*")
        self._add(
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
        self._add(llama_cpp.llama_sampler_init_top_k(count))

    def top_p(self, mass: float) -> None:
        """Keep the likeliest tokens that hold `mass` of the probability."""
        self._add(llama_cpp.llama_sampler_init_top_p(mass, 1))

    def min_p(self, share: float) -> None:
        """Keep tokens at least `share` as likely as the likeliest."""
        self._add(llama_cpp.llama_sampler_init_min_p(share, 1))

    def temperature(self, value: float) -> None:
        """Divide the logits."""
        self._add(llama_cpp.llama_sampler_init_temp(value))

    def draw(self, seed: int) -> None:
        """Draw from what is left; always last."""
        self._add(llama_cpp.llama_sampler_init_dist(seed))

    def greedy(self) -> None:
        """Take the likeliest; always last."""
        self._add(llama_cpp.llama_sampler_init_greedy())

    def _fill(self, ids: NDArray[np.int32], logits: NDArray[np.float32]) -> None:
        self._candidates["id"][: ids.size] = ids
        self._candidates["logit"][: ids.size] = logits
        array = self._array
        array.size, array.selected, array.sorted = ids.size, -1, False

    def _add(self, sampler: int) -> None:
        llama_cpp.llama_sampler_chain_add(self.handle, sampler)
