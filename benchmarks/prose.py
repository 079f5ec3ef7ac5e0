"""What guesses gain in prose and in copying, and that they change no token.

    python -m benchmarks.prose speed RUN.jsonl [-m MODEL] [--threads N] [--temperature 0.7]
    python -m benchmarks.prose exact RUN.jsonl [-m MODEL] [--threads N]

`speed` lets a table of continuations learn from 50 replies, then answers 20 other everyday
questions, and copies some texts with a small correction: each plain, realigned, and realigned with
guesses, in turns. Two ratios to plain are told. One is of seconds, which need a machine at rest.
The other holds on a busy one: the blocks that were evaluated, at what a block costs (the least of
several times, measured first). `exact` writes 100 replies with and without guesses, and wants
float32 weights. A killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from amulet_local.bench.arms import PREFERENCE
from amulet_local.evaluation.questions import bundled_questions, read_questions
from amulet_local.generation.continuations import Continuations
from amulet_local.generation.decoding import decode
from amulet_local.generation.sampling import Sampler
from amulet_local.generation.speculative import Cost, Drafter, Guesser, linear_cost
from amulet_local.path_text import as_text
from amulet_local.prompts.prompting import DEFAULT_SYSTEM, Prompter
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.realignment import Combination, Workspace
from amulet_local.runtime.autotune import two_prompts
from amulet_local.runtime.block_costs import LONGEST, cost_of, table_of
from amulet_local.runtime.llama.model import Model
from amulet_local.runtime.lockstep import Lockstep
from models.lookup import resolve

Arm = Literal["plain", "realigned", "guesses"]
ARMS: tuple[Arm, ...] = ("plain", "realigned", "guesses")
UNSEEN = Path(__file__).with_name("unseen_questions.txt")
PREFERENCES = (
    ("Your answer should be concise as much as possible.", 2.0),
    ("Your answer should be formal as much as possible.", 3.0),
    ("Your answer should be pleasant as much as possible.", 2.5),
    ("Explain it as if I were ten years old.", 1.5),
    (PREFERENCE, 3.0),
)
TOKENS = 160
COPIES = 5
ROUNDS = 8  # of measuring blocks
EXACT, EXACT_TOKENS = 100, 32


class Costs(msgspec.Struct, frozen=True, tag="costs"):
    """Seconds in llama_decode: of a token of one stream, and of blocks of 1 to 16 on two."""

    plain_s: float
    blocks_s: tuple[float, ...]

    @property
    def cost(self) -> Cost:
        """Of a block on two streams, in steps of one token."""
        return cost_of(table_of({size: [s] for size, s in enumerate(self.blocks_s, 1)}))


class Written(msgspec.Struct, frozen=True, tag="written"):
    """One reply. name: of its job and arm. blocks: the sizes of those that were evaluated.
    seconds: from the first token on."""

    name: str
    token_ids: tuple[int, ...]
    blocks: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Job:
    """A reply to be written in each of these arms, in turns."""

    name: str
    question: str
    preferences: tuple[str, ...]
    combination: Combination
    sampling: Sampling
    arms: tuple[Arm, ...]
    seed: int
    tokens: int = TOKENS


class Run:
    """The file of a run: what it has is not done again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_bytes().splitlines() if path.exists() else []
        records = [msgspec.json.decode(line, type=Costs | Written) for line in lines]
        self.costs = next((each for each in records if isinstance(each, Costs)), None)
        self.written = {each.name: each for each in records if isinstance(each, Written)}

    def add(self, record: Costs | Written) -> None:
        """Keep it at once."""
        if isinstance(record, Written):
            self.written[record.name] = record
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(record) + b"\n")


class Noting(Guesser):
    """Notes how many tokens each block has."""

    def __init__(self, tokens: Sequence[int], cost: Cost, habits: Continuations) -> None:
        super().__init__(tokens, cost, habits)
        self.blocks: list[int] = []

    def propose(self, room: int) -> list[int]:
        """See Drafter."""
        draft = super().propose(room)
        self.blocks.append(1 + len(draft))
        return draft


class Bench:
    """One model with a stream beside a set of streams, and what was learned so far. cost: by which
    guessing goes."""

    def __init__(self, path: str, run: Run, threads: int) -> None:
        self._model, self._run = Model(path), run
        self._prompter = Prompter(self._model.vocabulary, self._model.chat_template)
        options = LoadOptions(context=1024, threads=threads)
        self._plain = Lockstep(self._model, options, streams=1)
        self._pair = Lockstep(self._model, options)
        self._work = Workspace(self._model.vocabulary.size)
        self._habits = Continuations()
        self.cost = linear_cost(0.05)  # many guesses, wrong ones too

    def measured(self) -> Costs:
        """What blocks cost here, by which guessing goes from now on."""
        costs = self._run.costs or self._measured()
        self.cost = costs.cost
        return costs

    def _measured(self) -> Costs:
        plain: list[float] = []
        blocks: dict[int, list[float]] = {size: [] for size in range(1, LONGEST + 1)}
        prompts = two_prompts(self._model)
        for _ in range(ROUNDS):
            self._plain.prefill({0: prompts[0]})
            plain.append(_advance(self._plain, 1))
            for size, record in blocks.items():
                self._pair.prefill(prompts)
                record.append(_advance(self._pair, size))
        costs = Costs(min(plain[1:]), tuple(min(times[1:]) for times in blocks.values()))
        self._run.add(costs)
        return costs

    def write(self, job: Job) -> None:
        """A job's replies, unless the run has them all: what is compared begins with the same
        evaluated prompts."""
        names = {arm: f"{job.name} {arm}" for arm in job.arms}
        whole = self._run.written.keys() >= set(names.values())
        for arm, name in names.items():
            prompts = self._prompts(job, arm)
            drafter = Noting(prompts[0], self.cost, self._habits) if arm == "guesses" else None
            if not whole:
                said, seconds = self._said(job, arm, prompts, drafter)
                blocks = drafter.blocks if drafter else [1] * (len(said) - 1)
                self._run.add(Written(name, tuple(said), tuple(blocks), seconds))
            elif drafter:
                for token in self._run.written[name].token_ids:
                    drafter.observe(token)

    def _prompts(self, job: Job, arm: Arm) -> dict[int, list[int]]:
        texts = job.preferences[:1] if arm == "plain" else ("", *job.preferences)
        chat = [Message("user", job.question)]
        return {k: self._prompter.prompt(DEFAULT_SYSTEM, chat, p) for k, p in enumerate(texts)}

    def _said(
        self, job: Job, arm: Arm, prompts: dict[int, list[int]], drafter: Drafter | None
    ) -> tuple[list[int], float]:
        lockstep = self._plain if arm == "plain" else self._pair
        combination = Combination((), 0.0) if arm == "plain" else job.combination
        vocabulary = self._model.vocabulary
        lockstep.open(len(prompts))
        with closing(Sampler(job.sampling, job.seed, vocabulary)) as sampler:
            logits = lockstep.prefill(prompts)
            tokens = decode(lockstep, logits, lambda: combination, sampler, self._work, drafter)
            said = [next(tokens).token]
            began = time.perf_counter()
            while len(said) < job.tokens and not vocabulary.ends_turn(said[-1]):
                said.append(next(tokens).token)
            return said, time.perf_counter() - began


def _advance(lockstep: Lockstep, size: int) -> float:
    before = lockstep.decode_s
    lockstep.advance([0] * size)
    return lockstep.decode_s - before


def speed_jobs(temperature: float) -> Iterator[Job]:
    """50 replies to learn from, in which ten questions come twice; then what is compared."""
    known = [each.question for each in bundled_questions()]
    unseen = [each.question for each in read_questions(UNSEEN)][:20]
    texts = [" ".join(known[start : start + 8]) for start in range(0, 8 * COPIES, 8)]
    copied = [f"Correct the spelling of this text, and change nothing else:\n\n{t}" for t in texts]
    sampling = Sampling(temperature=temperature)
    parts: tuple[tuple[str, list[str], tuple[Arm, ...]], ...] = (
        ("earlier", known + known[:10], ("guesses",)),
        ("prose", unseen, ARMS),
        ("copy-edit", copied, ARMS),
    )
    for task, questions, arms in parts:
        for number, question in enumerate(questions):
            preference, strength = PREFERENCES[(number + number // 40) % len(PREFERENCES)]
            yield Job(
                f"{task} {number}",
                question,
                (preference,),
                Combination((strength,), 0.1),
                sampling,
                arms,
                number,
            )


def exact_jobs() -> Iterator[Job]:
    """100 replies, with and without guesses: two temperatures, a guard or none, one preference or
    three, a seed each."""
    questions = [each.question for each in bundled_questions()]
    kinds = list(itertools.product((0.0, 0.8), (0.0, 0.1), (1, 3)))
    words = [preference for preference, _ in PREFERENCES]
    for number in range(EXACT):
        temperature, guard, count = kinds[number % len(kinds)]
        yield Job(
            f"exact {number}",
            questions[number % len(questions)],
            tuple(words[(number + k) % len(words)] for k in range(count)),
            Combination((3.0,) if count == 1 else (1.5, 1.0, 0.5), guard),
            Sampling(temperature=temperature),
            ("realigned", "guesses"),
            number,
            EXACT_TOKENS,
        )


def speeds(run: Run, costs: Costs) -> Iterator[str]:
    """What `speed` found, as a table."""
    yield "| task | tokens per step | seconds / plain | blocks at their cost / plain | replies |"
    yield "|---|---|---|---|---|"
    for task in ("prose", "copy-edit"):
        for arm in ARMS[1:]:
            replies = _replies(run, task, arm)
            plain = [_per_token(each) for each in _replies(run, task, "plain")]
            tokens = sum(len(each.token_ids) - 1 for each in replies)
            steps = sum(len(each.blocks) for each in replies)
            seconds = statistics.median(
                _per_token(each) / other for each, other in zip(replies, plain, strict=True)
            )
            cost = sum(costs.blocks_s[0] * costs.cost(b) for each in replies for b in each.blocks)
            yield (
                f"| {task}, {arm} | {tokens / steps:.2f} | {seconds:.2f} "
                f"| {cost / tokens / costs.plain_s:.2f} | {len(replies)} |"
            )
    blocks = " ".join(f"{s / costs.plain_s:.2f}" for s in costs.blocks_s)
    yield f"\nblocks of 1 to {LONGEST} on two streams, in plain steps: {blocks}"
    yield f"a plain step: {costs.plain_s * 1000:.2f} ms"


def sameness(run: Run) -> str:
    """What `exact` found."""
    pairs = list(
        zip(_replies(run, "exact", "realigned"), _replies(run, "exact", "guesses"), strict=True)
    )
    same = sum(plain.token_ids == guessed.token_ids for plain, guessed in pairs)
    tokens = sum(len(guessed.token_ids) - 1 for _, guessed in pairs)
    steps = sum(len(guessed.blocks) for _, guessed in pairs)
    return f"{same} of {len(pairs)} replies are the same, at {tokens / steps:.2f} tokens per step"


def _replies(run: Run, task: str, arm: Arm) -> list[Written]:
    numbers = itertools.takewhile(lambda k: f"{task} {k} {arm}" in run.written, itertools.count())
    return [run.written[f"{task} {k} {arm}"] for k in numbers]


def _per_token(reply: Written) -> float:
    return reply.seconds / max(1, len(reply.token_ids) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="What guesses gain, and that they change nothing")
    parser.add_argument("what", choices=("speed", "exact"))
    parser.add_argument("run", type=Path)
    parser.add_argument("-m", "--model", default="default")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=Sampling().temperature)
    arguments = parser.parse_args()
    run = Run(arguments.run)
    bench = Bench(as_text(resolve(arguments.model)), run, arguments.threads)
    speed = arguments.what == "speed"
    costs = bench.measured() if speed else None
    for job in speed_jobs(arguments.temperature) if speed else exact_jobs():
        print(job.name, file=sys.stderr, flush=True)
        bench.write(job)
    print(*speeds(run, costs) if costs else [sameness(run)], sep="\n")


if __name__ == "__main__":
    main()
