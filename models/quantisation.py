"""Another quantisation of a model, beside it: by model.cpp's own quantizer, never half a file.

Which type decodes fastest in lockstep depends on the machine; `amulet bench` measures it.

    python -m models.quantisation FILE TYPE     tells a process that asks how far it is
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from amulet_local.errors import AmuletError, NotUsableError, UsageError, advice, cause
from amulet_local.files import part_of, replacing, require_space
from amulet_local.path_text import as_text, from_text
from amulet_local.runtime.offload import Offload
from amulet_local.settings import models_folder
from amulet_local.system import paths
from amulet_local.system.child_processes import environment, python
from models.cards import ModelCard
from models.memory import repacks

# The keys of model.QUANTISATIONS, spelled out so that listing them loads no native library.
TYPES = ("q4_0", "q4_1", "q4_k_m", "q5_0", "q5_k_m", "q6_k", "q8_0", "f16", "f32")

FASTER = "q4_0"  # what `faster_type` recommends
_FAST = ("Q4_0", "IQ4_NL", "Q4_K_S", "Q4_K_M")  # kept by model.cpp in an order for several rows
_SLOW = ("Q4_1", "Q5_0", "Q5_1", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0", "F16", "BF16", "F32")

_BITS = {"f32": 32.0, "f16": 16.0, "q8_0": 8.5, "q6_k": 6.6}
_FEW_BITS = re.compile(r"(i?q|tq)[1-5]", re.IGNORECASE)
_TYPE_IN_NAME = re.compile(r"[.-](i?q\d\w*|bf16|f16|f32)$", re.IGNORECASE)


def quantise(source: Path, quantisation: str, on_progress: Callable[[int, int], None]) -> Path:
    """Write `source` as `quantisation` into the models folder and return the new file.

    on_progress(tensors done, tensors in all). The work runs on a thread of its own, so that an
    interrupt is heard while model.cpp is busy; the unfinished file is then removed.
    Raises UsageError where the file exists, cannot be written or has no room, NotUsableError where
    model.cpp cannot.
    """
    # Loads the native library, which only this needs.
    from amulet_local.runtime.llama.quantize import quantize

    stem = _TYPE_IN_NAME.sub("", source.stem)
    target = models_folder() / f"{stem}.{quantisation.upper()}.gguf"
    if paths.exists(target):
        raise UsageError(f"{target} already exists; remove it first to write it again.")
    part = part_of(target)
    _require_writable(part)
    # At most what it would take if its weights had the fewest bits now.
    most = int(source.stat().st_size * _BITS.get(quantisation, 6.0) / 4)
    require_space(f"writing {target.name}", most, target.parent, "AMULET_MODELS")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            quantize(as_text(source), as_text(part), quantisation, on_progress)
        except BaseException as error:
            failures.append(error)

    with replacing(target, part, private=False):
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
        if failures:
            raise failures[0]
    return target


def quantise_apart(
    source: Path,
    quantisation: str,
    on_progress: Callable[[int, int], object],
    cancelled: Callable[[], bool],
) -> Path:
    """The same in a process of its own, for those who keep the native library out of theirs.

    `cancelled` is asked with every tensor. Raises as `quantise` does, and FetchCancelledError.
    """
    from models.fetch import FetchCancelledError  # what fetches takes a while to import

    with subprocess.Popen(
        python("-m", "models.quantisation", str(source), quantisation),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            match _decoder.decode(line):
                case _Progressed(done, total):
                    on_progress(done, total)
                case _Written(path):
                    return from_text(path)
                case _Refused(text, exit_code):
                    error = UsageError if exit_code == UsageError.exit_code else NotUsableError
                    raise error(text)
            if cancelled():
                process.send_signal(signal.SIGINT)  # which clears away what was begun
                raise FetchCancelledError(f"stopped; nothing of {source.name} was written.")
    raise NotUsableError(f"{source} could not be quantised: the process crashed.")


class _Progressed(msgspec.Struct, tag="progressed"):
    done: int
    total: int


class _Written(msgspec.Struct, tag="written"):
    path: str


class _Refused(msgspec.Struct, tag="refused"):
    text: str
    exit_code: int


_decoder = msgspec.json.Decoder(_Progressed | _Written | _Refused)


def _tell(event: _Progressed | _Written | _Refused) -> None:
    print(msgspec.json.encode(event).decode(), flush=True)


def main() -> None:
    """Quantise, and tell of it on standard output, an event a line."""
    try:
        target = quantise(
            Path(sys.argv[1]), sys.argv[2], lambda done, total: _tell(_Progressed(done, total))
        )
    except AmuletError as error:
        _tell(_Refused(str(error), error.exit_code))
    else:
        _tell(_Written(as_text(target)))


def faster_type(card: ModelCard, placing: Offload) -> str:
    """Which type of the same model would make lockstep faster on this machine's processor, in a
    sentence without its end; "" where none is known to.

    Two streams make batches of two rows and more, and model.cpp multiplies Q4_0 by several rows at
    a time on processors with AVX2 or ARM's dot product: 1.3 to 1.7 times a plain step, against 1.6
    to 2.0 for types without such kernels (SmolLM2-135M; `amulet bench` tells it here). On a GPU
    the type matters little.
    """
    if card.kind != "chat" or placing.layers or card.quantisation in _FAST or not repacks():
        return ""
    if card.quantisation not in _SLOW:
        return ""
    twice = rounded_twice(card, FASTER)
    return (
        f"On this processor a Q4_0 copy would be faster than {card.quantisation}, at some cost in "
        f"quality{f' ({twice})' if twice else ''}"
    )


def rounded_twice(card: ModelCard, quantisation: str) -> str:
    """That a copy of this type loses more than it would have to, in words that begin a sentence;
    "" where its source has bits enough, or the copy has as many as lose nothing."""
    if not _FEW_BITS.match(card.quantisation) or not _FEW_BITS.match(quantisation):
        return ""
    return (
        f"its weights were rounded to {card.quantisation} before, so a copy made from an F16 or "
        "Q8_0 file of the same model would be better"
    )


def _require_writable(part: Path) -> None:
    """llama.cpp does not tell what kept it from writing."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as error:
        raise UsageError(
            f"{part.parent} is not writable ({cause(error)}); "
            f"{advice(error, 'make it writable, or set AMULET_MODELS to another folder')}."
        ) from None
    part.unlink()


if __name__ == "__main__":
    main()
