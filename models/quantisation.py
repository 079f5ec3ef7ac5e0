"""Another quantisation of a model, beside it: by llama.cpp's own quantizer, never half a file.

Which type suits a machine is measured there: see format_trial.py.

    python -m models.quantisation FILE TYPE     tells a process that asks how far it is
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from amulet_local.errors import NotUsableError, UsageError, advice, cause
from amulet_local.files import part_of, replacing, require_space
from amulet_local.path_text import as_text, from_text
from amulet_local.runtime.offload import Offload
from amulet_local.settings import models_folder
from amulet_local.system import paths
from models.cards import ModelCard
from models.memory import repacks

if TYPE_CHECKING:
    from models.fetch import OnProgress

# Of runtime/llama/quantize.py, spelled out so that listing them loads no native library.
TYPES = ("q4_0", "q4_1", "q4_k_m", "q5_0", "q5_k_m", "q6_k", "q8_0", "f16", "f32")

_K_BLOCK = 256  # weights; in rows of other lengths, other types take the place of K's
_FAST = ("Q4_0", "IQ4_NL", "Q4_K_S", "Q4_K_M")  # kept by llama.cpp in an order for several rows
_SLOW = ("Q4_1", "Q5_0", "Q5_1", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0", "F16", "BF16", "F32")
_FLOATS = ("F16", "BF16", "F32")

_BITS = {"f32": 32.0, "bf16": 16.0, "f16": 16.0, "q8_0": 8.5, "q6_k": 6.6}
_FEW_BITS = re.compile(r"(i?q|tq)[1-5]", re.IGNORECASE)
_TYPE_IN_NAME = re.compile(r"[.-](i?q\d\w*|bf16|f16|f32)$", re.IGNORECASE)


def quantise(source: Path, quantisation: str, on_progress: Callable[[int, int], object]) -> Path:
    """Write `source` as `quantisation` into the models folder and return the new file.

    on_progress(tensors done, tensors in all). The work runs on a thread of its own, so that an
    interrupt is heard while llama.cpp is busy; the unfinished file is then removed.
    Raises UsageError where the file exists, cannot be written or has no room, NotUsableError where
    llama.cpp cannot.
    """
    target = target_of(source, quantisation)
    if paths.exists(target):
        raise UsageError(f"{target} already exists; remove it first to write it again.")
    part = part_of(target)
    _require_room(source, quantisation, part)
    with replacing(target, part, private=False):
        _write(source, quantisation, part, on_progress)
    return target


@contextmanager
def passing_copy(
    source: Path, quantisation: str, on_progress: Callable[[int, int], object]
) -> Iterator[Path]:
    """The same for as long as the block lasts: the file that is there already, else one that is
    removed at the end."""
    target = target_of(source, quantisation)
    if paths.exists(target):
        yield target
        return
    part = part_of(target)
    _require_room(source, quantisation, part)
    try:
        _write(source, quantisation, part, on_progress)
        yield part
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def target_of(source: Path, quantisation: str) -> Path:
    """Where a copy of this type goes."""
    return models_folder() / f"{plain_stem(source)}.{quantisation.upper()}.gguf"


def plain_stem(path: Path) -> str:
    """A file's name without its type, if that is in it."""
    return _TYPE_IN_NAME.sub("", path.stem)


def _write(
    source: Path, quantisation: str, part: Path, on_progress: Callable[[int, int], object]
) -> None:
    # Loads the native library, which only this needs.
    from amulet_local.runtime.llama.quantize import quantize

    failures: list[BaseException] = []

    def work() -> None:
        try:
            quantize(as_text(source), as_text(part), quantisation, on_progress)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if failures:
        raise failures[0]


def quantise_apart(
    source: Path, quantisation: str, on_progress: OnProgress, cancelled: Callable[[], bool]
) -> Path:
    """As `quantise` does, in a process of its own; raises FetchCancelledError too."""
    from models.apart import run_apart  # what runs others takes a while to import

    written = run_apart(
        "models.quantisation",
        [str(source), quantisation],
        on_progress,
        cancelled,
        stopped=f"stopped; nothing of {source.name} was written.",
        crashed=f"{source} could not be quantised: the process crashed.",
    )
    return from_text(msgspec.json.decode(written, type=str))


def main() -> None:
    """Quantise, and tell of it (see apart.py)."""
    from models.apart import tell
    from models.fetch import Progress

    source, type_ = Path(sys.argv[1]), sys.argv[2]

    def work(on_progress: OnProgress) -> str:
        def watch(done: int, total: int) -> None:
            on_progress(Progress("writing", done, total, type_))

        return as_text(quantise(source, type_, watch))

    tell(work)


def worth_trying(card: ModelCard, placing: Offload) -> tuple[str, ...]:
    """The types of the same model that may make lockstep faster on this machine's processor, the
    fastest first; by rule of thumb, before anything is measured (see format_trial.py).

    Two streams make batches of two rows and more, and llama.cpp multiplies Q4_0 and Q4_K by several
    rows at a time on processors with AVX2 or ARM's dot product: 1.3 to 1.7 times a plain step,
    against 1.6 to 2.0 for types without such kernels (SmolLM2-135M; `amulet bench` tells it here).
    Floats are read from memory for twice as long as Q8_0, which loses next to nothing. On a GPU the
    type matters little, and fewer than four bits are chosen for want of memory.
    """
    if card.kind != "chat" or placing.layers:
        return ()
    types = [*_repacked_types(card)] if repacks() and _is_slow(card) else []
    if card.quantisation in _FLOATS:
        types.append("q8_0")
    return tuple(type_ for type_ in types if type_ != card.quantisation.lower())


def _is_slow(card: ModelCard) -> bool:
    """Whether most weights are in types without those kernels: a Q4_K_M of a model whose matrices
    are no multiples of 256 wide holds hardly any Q4_K."""
    mixed = card.quantisation in _FAST and 2 * card.shape.q4 < card.weights
    return mixed or card.quantisation in _SLOW


def _repacked_types(card: ModelCard) -> Iterator[str]:
    yield "q4_0"
    if card.shape.width and not card.shape.width % _K_BLOCK:
        yield "q4_k_m"


def bits(quantisation: str) -> float:
    """How many a weight has, about: by the digit in its type's name where it has few."""
    few = re.search(r"[1-8]", quantisation)
    return _BITS.get(quantisation.lower(), float(few[0]) if few else 4.0)


def rounded_twice(card: ModelCard, quantisation: str) -> str:
    """That a copy of this type loses more than it would have to, in words that begin a sentence;
    "" where its source has bits enough, or the copy has as many as lose nothing."""
    if not _FEW_BITS.match(card.quantisation) or not _FEW_BITS.match(quantisation):
        return ""
    return (
        f"its weights were rounded to {card.quantisation} before, so a copy made from an F16 or "
        "Q8_0 file of the same model would be better"
    )


def _require_room(source: Path, quantisation: str, part: Path) -> None:
    """Raises UsageError; llama.cpp does not tell what kept it from writing."""
    folder, target = part.parent, target_of(source, quantisation)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.touch()
        part.unlink()
        with suppress(FileNotFoundError):
            target.lstat()  # whose name may be too long, as that of a part never is
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written ({cause(error)}); "
            f"{advice(error, 'make its folder writable, or set AMULET_MODELS to another folder')}."
        ) from None
    # At most: as if its weights had the fewest bits now; or none of the copy more than eight, which
    # some of a small model get whatever the type.
    bits = _BITS.get(quantisation, 6.0)
    most = source.stat().st_size * min(bits / 4, max(bits, _BITS["q8_0"]) / _bits_now(source))
    require_space(f"writing {target.name}", int(most), folder, "AMULET_MODELS")


def _bits_now(source: Path) -> float:
    from models.inspection import inspect  # what reads headers takes a while to import

    try:
        return bits(inspect(source, compare_tokens=False).quantisation)
    except NotUsableError:  # which llama.cpp will tell
        return 4.0


if __name__ == "__main__":
    main()
