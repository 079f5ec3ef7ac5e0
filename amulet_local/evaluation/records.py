"""What an evaluation keeps on disk, and the folder it keeps it in.

Two files grow by a line with every result, so that nothing is lost when it is stopped, and the
same command goes on where it ended: replies.jsonl and judgements.jsonl. Of lines about the same
thing the last counts. A last line that was cut short is dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from amulet_local.errors import NotUsableError, UsageError, advice, cause
from amulet_local.evaluation.variants import Method
from amulet_local.files import private, private_folder, read_json, write_whole
from amulet_local.protocol.alignment import Placement, Sampling
from amulet_local.protocol.numbers import Natural
from amulet_local.system import paths
from amulet_local.verifiers import Verifier

Key = tuple[int, str, str]  # question, preference, variant; base's preference is ""

Struct = TypeVar("Struct", bound=msgspec.Struct)

# What a file may say: far more than there is, and few enough to reckon with. A bound also keeps out
# what is no number (NaN).
LogLikelihood = Annotated[float, msgspec.Meta(ge=-1e12, le=1.0)]  # rounded; of a text, in nats
Leaning = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
VariantName = Annotated[str, msgspec.Meta(max_length=200)]

_LARGEST_SETTING = 1 << 24  # bytes; it repeats a system prompt


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What all replies of a folder have in common."""

    model: str
    system: str
    placement: Placement
    sampling: Sampling
    seed: int
    max_tokens: int


class WrittenReply(msgspec.Struct, frozen=True, kw_only=True):
    """One reply, with all it was asked with but the folder's setting.

    question: its index, and asked: its text. preference: its name, and words: what the model read;
    instead: in place of the question. verifiers: what has to hold of the text, if anything has.
    pieces: the text each token added, in order; together they are the text. shifts: at each token
    in nats (see realignment.Measures); empty where nothing was realigned. ended: by itself.
    """

    question: int
    asked: str
    preference: str
    words: str
    variant: VariantName
    method: Method
    strength: float
    guard: float
    instead: bool = False
    verifiers: tuple[Verifier, ...] = ()
    beams: int = 0
    text: str
    token_ids: tuple[int, ...]
    pieces: tuple[str, ...]
    shifts: tuple[float, ...] = ()
    ended: bool

    @property
    def key(self) -> Key:
        """What it is the reply to."""
        return self.question, self.preference, self.variant


class Skipped(msgspec.Struct, frozen=True):
    """A reply that could not be written or judged, and why."""

    question: int
    preference: str
    variant: str
    reason: str


class Likelihoods(msgspec.Struct, frozen=True, kw_only=True, tag="likelihoods"):
    """How likely a judge finds a reply, as the sum over its tokens in nats; where it ended by
    itself its end counts as one more.

    preference: the one it is judged by, which for the reply of base is not its own. text: what
    was judged, in short (see `digest`). with_preference, without: after its question, with the
    preference and without. others: after other questions, without; none where the judge did not
    write the reply, since how well it is written is measured by the writer.
    """

    judge: str
    question: int
    preference: str
    variant: VariantName
    digest: str
    tokens: Natural
    with_preference: LogLikelihood
    without: LogLikelihood
    others: tuple[LogLikelihood, ...]


class Verdict(msgspec.Struct, frozen=True, kw_only=True, tag="verdict"):
    """Which of two replies a judge finds closer to the preference: `variant`'s or pref's.

    first, second: how much likelier it names `variant`'s reply than pref's, in nats, where that
    reply is shown first, and second. digest: of both texts.
    """

    judge: str
    question: int
    preference: str
    variant: VariantName
    digest: str
    first: Leaning
    second: Leaning

    @property
    def outcome(self) -> float:
        """1 where `variant` wins in both orders, 0 where it loses in both, else 0.5."""
        if self.first > 0 and self.second > 0:
            return 1.0
        return 0.0 if self.first < 0 and self.second < 0 else 0.5


Judgement = Likelihoods | Verdict


def digest(*texts: str) -> str:
    """Short for texts: judgements of replies that were written anew do not count."""
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "replace"), digest_size=8).hexdigest()


class Folder:
    """The folder of one evaluation. Raises NotUsableError where its files cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._replies = path / "replies.jsonl"
        self._judgements = path / "judgements.jsonl"
        self._setting = path / "setting.json"

    def settle(self, setting: Setting) -> None:
        """Make the folder, or go on with it. Raises UsageError where it has other settings."""
        try:
            private_folder(self.path)
            if not self._setting.exists():
                write_whole(self._setting, msgspec.json.format(msgspec.json.encode(setting)))
                return
        except OSError as error:
            remedy = advice(error, "choose another folder with --out")
            raise UsageError(
                f"nothing can be written to {self.path} ({cause(error)}); {remedy}."
            ) from None
        kept = self.setting()
        for field in Setting.__struct_fields__:
            here, asked = getattr(kept, field), getattr(setting, field)
            if here != asked:
                raise UsageError(
                    f"{self.path} has replies with a different {field.replace('_', ' ')}; choose "
                    "another folder with --out, or use the settings it was started with."
                )

    def setting(self) -> Setting:
        """What its replies have in common."""
        try:
            return read_json(self._setting, _LARGEST_SETTING, Setting)
        except FileNotFoundError:
            raise NotUsableError(
                f"{self.path} contains no evaluation; start one with: amulet eval --out {self.path}"
            ) from None
        except OSError as error:
            remedy = advice(error, "choose another folder")
            raise NotUsableError(
                f"{self._setting} cannot be read ({cause(error)}); {remedy}."
            ) from None
        except ValueError as error:
            raise NotUsableError(
                f"{self._setting} is damaged ({error}); choose another folder."
            ) from None

    def replies(self) -> dict[Key, WrittenReply]:
        """The replies so far."""
        return {reply.key: reply for reply in _read(self._replies, WrittenReply)}

    def judgements(self) -> list[Judgement]:
        """The judgements so far, in the order they were made."""
        return _read(self._judgements, Judgement)  # type: ignore[arg-type]

    def add_reply(self, reply: WrittenReply) -> None:
        """Keep a reply."""
        _append(self._replies, reply)

    def add_judgement(self, judgement: Judgement) -> None:
        """Keep a judgement."""
        _append(self._judgements, judgement)


def _append(path: Path, record: msgspec.Struct) -> None:
    with open(path, "ab", opener=private) as file:
        file.write(msgspec.json.encode(record) + b"\n")


def _read(path: Path, kind: type[Struct]) -> list[Struct]:
    """The records of a file, in order; a last line cut short is taken out of the file."""
    if paths.exists(path) and not paths.is_file(path):  # a pipe would be waited for
        raise NotUsableError(f"{path} is not a file; choose another folder.")
    try:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with path.open("r+b") as file:
                file.truncate(whole)
    except FileNotFoundError:
        return []
    except OSError as error:
        remedy = advice(error, "choose another folder")
        raise NotUsableError(f"{path} cannot be read ({cause(error)}); {remedy}.") from None
    decode: Callable[[bytes], Struct] = msgspec.json.Decoder(kind).decode
    records = []
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            records.append(decode(line))
        except (ValueError, RecursionError) as error:
            raise NotUsableError(
                f"line {number} of {path} cannot be read ({error}); delete it, and it will be made "
                "again."
            ) from None
    return records
