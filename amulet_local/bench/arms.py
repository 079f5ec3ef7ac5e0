"""The ways to decode that `amulet bench` compares, on the same prompts, greedily."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Literal

import msgspec

from amulet_local.bench.high_level import HighLevelChat
from amulet_local.bench.timing import TimeLeft, Timing
from amulet_local.bench.timing import seconds as seconds_of
from amulet_local.generation.continuations import Continuations
from amulet_local.generation.decoding import decode
from amulet_local.generation.detokenizer import GrowingText
from amulet_local.generation.draft_model import DraftModel
from amulet_local.generation.sampling import Sampler
from amulet_local.generation.speculative import Cost, Drafter, Guesser
from amulet_local.prompts.prompting import DEFAULT_SYSTEM, Prompter
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.realignment import Combination, Workspace
from amulet_local.runtime.autotune import some_tokens
from amulet_local.runtime.llama.context import Batch, Context
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from amulet_local.strengths import LINEAR

Task = Literal["prose", "copy-edit"]
Prompts = dict[int, list[int]]

PREFERENCE = "Write in British English."
MIX = (PREFERENCE, "Be brief.", "Your answer should be formal as much as possible.")
_COMBINATION = Combination((LINEAR,), guard=0.1)
_MIX = Combination((1.5, 1.0, 0.5), guard=0.1)
_PARAGRAPH = (
    "The ferry leaves the old harbour at seven in the morning and again at four in the afternoon. "
    "Tickets are sold on board, and bicycles travel free of charge. In winter the crossing takes "
    "half an hour longer, because the captain keeps close to the shore when the wind is strong. "
    "Bring a warm coat, and something to read. The island has two shops, a school and a small "
    "museum with old maps. Most visitors walk to the lighthouse first, and come back along the "
    "beach."
)
_QUESTIONS: dict[Task, str] = {
    "prose": "Tell me about the history of bread.",
    "copy-edit": f"Correct the spelling of this text, and change nothing else:\n\n{_PARAGRAPH}",
}


class ArmResult(msgspec.Struct, frozen=True):
    """One way to decode, on one task.

    tokens_per_s over all repetitions. overhead: plain's median speed / this arm's. layer: wall time
    / time in llama_decode for the same rows. tokens_per_step: above 1 where guesses were right.
    """

    name: str
    task: Task
    tokens_per_s: Timing
    overhead: float
    layer: float
    tokens_per_step: float


@dataclass(frozen=True)
class _Run:
    """One repetition: tokens after the first, seconds for them, and those inside llama_decode."""

    tokens: int
    seconds: float
    inside_s: float
    steps: int


@dataclass(frozen=True)
class Arm:
    """A way to decode on one task; `write` makes so many tokens, or as many as the reply has.

    read: evaluates the prompt with nothing of it known; returns the seconds to the first logits.
    """

    name: str
    task: Task
    write: Callable[[int], _Run]
    read: Callable[[], float] = lambda: 0.0


def make_arms(
    owned: ExitStack,
    model: Model,
    path: str,
    prompter: Prompter,
    options: LoadOptions,
    draft: str,
    threads: int,
    cost: Cost,
) -> list[Arm]:
    """All arms that this machine and these files allow; `owned` frees what they take.

    The first is the plain one, against which overhead is reckoned. cost: of a block of tokens, by
    which guessing goes.
    """
    arms = [
        lockstep_arm(owned, "plain", "prose", model, prompter, options, streams=1),
        _raw_arm(owned, "llama_decode alone, 1 row", model, options, rows=1),
        _high_level_arm(owned, path, options, threads),
        lockstep_arm(
            owned,
            "two contexts",
            "prose",
            model,
            prompter,
            msgspec.structs.replace(options, streams="two-contexts"),
        ),
        lockstep_arm(owned, "one context", "prose", model, prompter, options),
        _raw_arm(owned, "llama_decode alone, 2 rows", model, options, rows=2),
        lockstep_arm(
            owned,
            "one context, 3 preferences",
            "prose",
            model,
            prompter,
            options,
            streams=1 + len(MIX),
        ),
        _raw_arm(owned, "llama_decode alone, 4 rows", model, options, rows=1 + len(MIX)),
    ]
    with closing(Lockstep(model, options)) as lockstep:
        can_rewind = lockstep.can_rewind
    if can_rewind:
        for task in ("prose", "copy-edit"):
            arms.append(
                lockstep_arm(
                    owned,
                    "one context, n-gram drafts",
                    task,
                    model,
                    prompter,
                    options,
                    ngrams(cost),
                )
            )
        if draft:
            arms.append(_draft_model_arm(owned, model, prompter, options, draft, cost))
    return arms


def race(arms: Sequence[Arm], tokens: int, repeat: int, left: TimeLeft) -> list[ArmResult]:
    """Let the arms take turns, once to warm up and `repeat` times for the record; `race_work` says
    how much that is."""
    runs: list[list[_Run]] = [[] for _ in arms]
    for turn in range(repeat + 1):
        for arm, record in zip(arms, runs, strict=True):
            what = f"{arm.name} ({turn} of {repeat})" if turn else f"{arm.name} (warming up)"
            left.next(what, race_work(1, tokens, 0))
            run = arm.write(tokens)
            if turn:
                record.append(run)
    speeds = [Timing.of([run.tokens / run.seconds for run in record]) for record in runs]
    return [
        ArmResult(
            name=arm.name,
            task=arm.task,
            tokens_per_s=speed,
            overhead=speeds[0].median / speed.median,
            layer=Timing.of([run.seconds / (run.inside_s or run.seconds) for run in record]).median,
            tokens_per_step=sum(r.tokens for r in record) / sum(r.steps for r in record),
        )
        for arm, speed, record in zip(arms, speeds, runs, strict=True)
    ]


def race_work(arms: int, tokens: int, repeat: int) -> float:
    """How much `race` has to do, in rows of a long prompt, of which a token takes about four."""
    return 4.0 * arms * tokens * (repeat + 1)


DrafterOf = Callable[[Prompts], Drafter | None]


def _no_drafts(_prompts: Prompts) -> None:
    return None


def ngrams(cost: Cost) -> DrafterOf:
    """Guesses from what was said before in the chat; nothing is known of earlier ones, since the
    same reply is written again and again here."""
    return lambda prompts: Guesser(prompts[0], cost, Continuations())


def _prompts(prompter: Prompter, task: Task, streams: int) -> Prompts:
    chat = [Message("user", _QUESTIONS[task])]
    preferences = ("", *MIX)[:streams]
    return {k: prompter.prompt(DEFAULT_SYSTEM, chat, p) for k, p in enumerate(preferences)}


def lockstep_arm(
    owned: ExitStack,
    name: str,
    task: Task,
    model: Model,
    prompter: Prompter,
    options: LoadOptions,
    drafter_of: DrafterOf = _no_drafts,
    streams: int = 2,
    draft: DraftModel | None = None,
) -> Arm:
    """One of the ways that Amulet itself decodes."""
    lockstep = owned.enter_context(closing(Lockstep(model, options, streams)))
    evaluating = [lockstep, draft.lockstep] if draft else [lockstep]
    prompts = _prompts(prompter, task, streams)
    combination = {1: Combination((), 0.0), 2: _COMBINATION}.get(streams, _MIX)
    work = Workspace(model.vocabulary.size)

    def decode_s() -> float:
        return sum(each.decode_s for each in evaluating)

    def write(tokens: int) -> _Run:
        logits = lockstep.prefill(prompts)
        text = GrowingText(model.vocabulary.piece)
        with closing(Sampler(Sampling(temperature=0), 0, model.vocabulary)) as sampler:
            decoded = decode(
                lockstep, logits, lambda: combination, sampler, work, drafter_of(prompts)
            )
            text.add(next(decoded).token)
            began, inside, steps = time.perf_counter(), decode_s(), lockstep.steps
            for one in itertools.islice(decoded, tokens):
                text.add(one.token)
                if model.vocabulary.ends_turn(one.token):
                    break
            seconds = time.perf_counter() - began
        written = len(text.tokens) - 1
        return _Run(written, seconds, decode_s() - inside, lockstep.steps - steps)

    def read() -> float:
        lockstep.prefill({stream: [0] for stream in prompts})
        return seconds_of(lambda: lockstep.prefill(prompts))

    return Arm(name, task, write, read)


def _draft_model_arm(
    owned: ExitStack, model: Model, prompter: Prompter, options: LoadOptions, draft: str, cost: Cost
) -> Arm:
    with closing(Lockstep(model, options)) as target:
        small = owned.enter_context(closing(DraftModel(draft, options, model.vocabulary, target)))
    return lockstep_arm(
        owned,
        "one context, draft model",
        "prose",
        model,
        prompter,
        options,
        lambda prompts: Guesser(
            prompts[0], cost, ahead=small.writer(prompts, (), lambda: _COMBINATION)
        ),
        draft=small,
    )


def _raw_arm(owned: ExitStack, name: str, model: Model, options: LoadOptions, rows: int) -> Arm:
    """Nothing but llama_decode and a look at the logits: the limit of the hardware."""
    context = owned.enter_context(
        closing(
            Context(
                model,
                length=1024,
                sequences=rows,
                threads=options.threads,
                flash_attention=options.flash_attention,
                kv_type=options.kv_type,
            )
        )
    )
    batch = Batch(128)

    def write(tokens: int) -> _Run:
        for sequence in range(rows):
            context.remove(sequence, 0)
            batch.clear()
            batch.add(some_tokens(model, 100), 0, sequence, outputs=1)
            context.decode(batch)
        began = time.perf_counter()
        for position in range(100, 100 + tokens):
            batch.clear()
            for sequence in range(rows):
                batch.add([position % model.vocabulary.size], position, sequence, outputs=1)
            context.decode(batch)
            context.logits(rows)
        return _Run(tokens, time.perf_counter() - began, 0.0, tokens)

    return Arm(name, "prose", write)


def _high_level_arm(owned: ExitStack, path: str, options: LoadOptions, threads: int) -> Arm:
    """llama-cpp-python's chat completion, streamed."""
    chat = owned.enter_context(
        closing(HighLevelChat(path, context=options.context, threads=threads))
    )
    messages = [
        {"role": "system", "content": DEFAULT_SYSTEM},
        {"role": "user", "content": _QUESTIONS["prose"]},
    ]

    def write(tokens: int) -> _Run:
        times = list(chat.write(messages, tokens + 1))
        return _Run(len(times) - 1, times[-1] - times[0], 0.0, len(times) - 1)

    return Arm("high-level chat completion", "prose", write)
