"""The options that several commands share, and how what was typed becomes their values.

Types and bounds of options are read off the protocol's fields. An option that is not given is
None, so that settings and presets can speak in its place.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    Literal,
    NoReturn,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from amulet_local.errors import UsageError
from amulet_local.protocol.alignment import Strength
from amulet_local.protocol.loading import MOST_DEVICES, LoadOptions, Share
from amulet_local.protocol.numbers import MOST_WHOLE
from amulet_local.system.text_files import shortened

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Struct = TypeVar("Struct", bound=msgspec.Struct)

PAPER_TOKENS = 128
_LONGEST_COMPLAINT = 300  # characters; it may repeat what was typed

_LOADING = {
    "context": "context length in tokens (0: what suits the model)",
    "streams": "whether the two streams share one llama.cpp context",
    "threads": "number of threads (0: one per physical core)",
    "flash_attention": "flash attention",
    "kv_type": "data type of the KV cache; quantised types need flash attention",
}

_WORK = ("threads", "flash_attention")

# Of options that a command may have, beside the strength; those without a value here have none in
# the paper's setting.
_PAPER = {
    "method": "amulet",
    "iterations": None,
    "alpha": None,
    "lambda_": None,
    "eta": None,
    "guard": 0.0,
    "placement": "system",
    "temperature": 0.0,
    "dry_multiplier": 0.0,
    "max_tokens": PAPER_TOKENS,
}


class Parser(argparse.ArgumentParser):
    """argparse with no abbreviations, and its complaints raised as UsageError."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        """Called by argparse."""
        told = shortened(message.removeprefix("argument "), _LONGEST_COMPLAINT)
        if told.endswith(": expected one argument"):
            option = told.partition(":")[0].split("/")[-1]
            told += f" (one that begins with - is written as {option}=VALUE)"
        raise UsageError(f"{told}; see: {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Called by argparse, whose own keeps it to itself that nothing could be written."""
        (file or sys.stderr).write(message)


@dataclass(frozen=True)
class Typed:
    """What an option gave. named: a preset or a mix; else words."""

    text: str
    named: bool


class AddPreference(argparse.Action):
    """Adds what `-p` or `--preference` gives to one list, so that the order stays."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Called by argparse."""
        before = getattr(namespace, "preferences", None) or ()
        typed = Typed(words(str(values)), named=option_string != "--preference")
        namespace.preferences = (*before, typed)


def add_chat_options(parser: argparse.ArgumentParser) -> None:
    """What both the chat and `ask` take: model, preset, strength, and how to load."""
    parser.add_argument("-m", "--model", metavar="MODEL", help="a model name, or a GGUF file")
    add_preset(parser)
    parser.add_argument(
        "--strength",
        metavar="S",
        type=value(Strength),
        help="0 base, 1 prompt, 3 linear alignment, 5.65 Amulet; below 0, away from the "
        "preference; with several: scale them together, so that they add up to this",
    )
    parser.add_argument(
        "--thinking",
        action=argparse.BooleanOptionalAction,
        help="let the model think before it answers, if it can",
    )
    add_load_options(parser)


def add_load_options(parser: argparse.ArgumentParser) -> None:
    """How the model is loaded."""
    loading = parser.add_argument_group("loading")
    add_fields(loading, LoadOptions, _LOADING)
    add_device_options(loading)
    loading.add_argument(
        "--insist",
        action="store_true",
        default=None,
        help="load the model even if it does not seem to fit in memory",
    )
    loading.add_argument(
        "--draft",
        metavar="ngram|MODEL|off",
        type=words,
        help="how to guess ahead: repeated text, a small model of the same family, or not at all",
    )


def add_preset(parser: argparse._ActionsContainer) -> None:
    """Presets and mixes, as often as one likes."""
    parser.add_argument(
        "-p",
        "--preset",
        metavar="NAME[:S]",
        action=AddPreference,
        dest="preferences",
        help="a preset, optionally with a strength, or a mix; may be repeated; list them with "
        "amulet presets",
    )


def add_work_options(parser: argparse.ArgumentParser) -> None:
    """How long work on a model is carried out."""
    loading = parser.add_argument_group("loading")
    add_fields(loading, LoadOptions, {name: _LOADING[name] for name in _WORK})
    _add_layers(loading)


def add_device_options(loading: argparse._ArgumentGroup) -> None:
    """Where a model's layers go."""
    _add_layers(loading)
    loading.add_argument(
        "--devices", metavar="NAMES", type=listed, help="devices to use, by name; see amulet doctor"
    )
    loading.add_argument(
        "--tensor-split", metavar="SHARES", type=_shares, help="share for each device, such as 3,1"
    )
    loading.add_argument(
        "--kv-on-host",
        action="store_true",
        default=None,
        help="keep the KV cache in main memory",
    )
    loading.add_argument(
        "--rpc", metavar="HOST:PORT,...", type=listed, help="machines that share their devices"
    )


def _add_layers(loading: argparse._ArgumentGroup) -> None:
    loading.add_argument(
        "--gpu-layers",
        metavar="N",
        type=_layers,
        help="number of layers to put on GPUs, or all, or auto",
    )


def _layers(text: str) -> int | str:
    word = text.strip().casefold()
    if word in ("auto", "all"):
        return "auto" if word == "auto" else -1
    try:
        return cast(int, value(Annotated[int, msgspec.Meta(ge=-1)])(text))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"must be a number of layers, or all, or auto, not {text!r}"
        ) from None


def listed(text: str) -> tuple[str, ...]:
    """What commas separate, 16 at most."""
    parts = tuple(part.strip() for part in words(text).split(",") if part.strip())
    if not 0 < len(parts) <= MOST_DEVICES:
        raise argparse.ArgumentTypeError(f"must list 1 to {MOST_DEVICES} items, not {text!r}")
    return parts


def _shares(text: str) -> tuple[float, ...]:
    return tuple(map(value(Share), listed(text)))


def add_fields(
    group: argparse._ArgumentGroup, struct: type[msgspec.Struct], helps: Mapping[str, str]
) -> None:
    """An option for each field of a struct that `helps` describes."""
    for name, annotation in get_type_hints(struct, include_extras=True).items():
        if name in helps:
            option = f"--{name.replace('_', '-')}"
            if choices := _choices(annotation):
                group.add_argument(option, choices=choices, help=helps[name])
            else:
                letter = name.split("_")[-1][0].upper()
                group.add_argument(option, metavar=letter, type=value(annotation), help=helps[name])


def _choices(annotation: object) -> list[str]:
    """The words of a Literal, or of several in a union; none for other types."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [word for part in get_args(annotation) for word in _choices(part)]


def with_given(struct: Struct, args: argparse.Namespace) -> Struct:
    """A struct with the fields that the user gave as options in place of its own."""
    names = {field.name for field in msgspec.structs.fields(struct)}
    given = {name: v for name, v in vars(args).items() if name in names and v is not None}
    return msgspec.structs.replace(struct, **given)


def add_paper(parser: argparse._ActionsContainer) -> None:
    """The paper's setting in one option; `apply_paper` makes it count."""
    parser.add_argument(
        "--paper",
        action="store_true",
        help="the paper's settings: its default update, no guard, greedy, 128 tokens, the "
        "preference in the system prompt",
    )


def apply_paper(args: argparse.Namespace) -> None:
    """With --paper, set what it says, as if it had been typed.

    Raises UsageError where any of that was typed as well.
    """
    if not args.paper:
        return
    from amulet_local.strengths import AMULET

    for name, setting in {**_PAPER, "strength": AMULET}.items():
        if not hasattr(args, name):
            continue
        if getattr(args, name) is not None:
            option = name.strip("_").replace("_", "-")
            raise UsageError(f"--paper already sets --{option}; leave out one of the two.")
        setattr(args, name, setting)


def value(annotation: object) -> Callable[[str], Any]:
    """A reader of numbers of this type and within its bounds, for argparse."""
    base, bounds = annotation, msgspec.Meta()
    if metadata := getattr(annotation, "__metadata__", ()):
        base, bounds = get_args(annotation)[0], metadata[0]
    most = bounds.le if bounds.le is not None or base is float else MOST_WHOLE
    wanted = "a whole number" if base is int else "a number"
    if bounds.ge is not None:
        wanted += f" from {bounds.ge:g}"
    if bounds.gt is not None:
        wanted += f" above {bounds.gt:g}"
    if most is not None:
        wanted += f" to {most:,}" if base is int else f" to {most:g}"

    def read(text: str) -> Any:
        text = words(text)
        try:
            number = msgspec.convert(text.strip(), annotation, strict=False)
        except msgspec.ValidationError:
            number = None
        if number is None or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"must be {wanted}, not {shortened(text)!r}")
        return number

    return read


def words(text: str) -> str:
    """Text that can be encoded, whatever bytes the shell passed."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
