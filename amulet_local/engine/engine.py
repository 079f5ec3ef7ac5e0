"""What a front end talks to, in its plainest form: load a model, reply(request) -> events, stop.

Puts prompts, streams and the loop together for one request after another. It runs where it is
called and tells what happens by calling `emit`; worker.py gives it a process of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import lru_cache

from msgspec import structs

from amulet_local.engine.ahead import Ahead
from amulet_local.engine.card import card, notices
from amulet_local.engine.context_window import ContextWindow, too_long
from amulet_local.engine.guessing import Guessing
from amulet_local.engine.idle import Idle, tuning_of
from amulet_local.engine.model_file import ModelFile
from amulet_local.engine.requests import (
    Prompts,
    checked,
    combination_of,
    leaves_thought,
    longest,
    prompts_of,
    strength_of,
)
from amulet_local.engine.together import Asked, Together
from amulet_local.engine.turning import Turning
from amulet_local.errors import UsageError
from amulet_local.generation.alternatives import list_alternatives
from amulet_local.generation.batch import BatchItem, write_batch
from amulet_local.generation.decoding import decode
from amulet_local.generation.reply import Emit, GrowingReply, begun_tokens
from amulet_local.generation.sampling import Sampler
from amulet_local.prompts.prompting import Prompter
from amulet_local.protocol.messages import (
    Examined,
    FinishReason,
    Load,
    Loaded,
    Pace,
    Prefilling,
    ReadAhead,
    Reply,
    UsedStrength,
)
from amulet_local.protocol.voices import Strengths, ever_heard, turned_to
from amulet_local.realignment import Combination, Row, Workspace
from amulet_local.runtime import loader
from amulet_local.runtime.autotune import keep_autotuned
from amulet_local.runtime.block_costs import BlockCosts, step_ratio
from amulet_local.runtime.llama.errors import AbortedError
from amulet_local.runtime.load_defaults import padded, with_autotuned
from amulet_local.runtime.lockstep import Lockstep, Progress
from amulet_local.runtime.prefix_tree import tree_size
from amulet_local.runtime.prompt_cache import PromptCache


class Engine:
    """One loaded model. All methods but `stop` belong to one thread."""

    def __init__(self, command: Load, on_progress: Callable[[float], bool]) -> None:
        """Load. on_progress gets fractions 0..1 and cancels by returning False.

        Raises NotUsableError, UsageError; AbortedError when cancelled.
        """
        started = time.perf_counter()
        self._path = command.model
        self._file = ModelFile(command.model)
        options = with_autotuned(command.options, command.model)
        with ExitStack() as owned:
            self.parallel = command.parallel
            self._loaded = loaded = loader.load(
                command.model, options, command.needs, on_progress, self.parallel
            )
            self._model = owned.enter_context(closing(loaded.model))
            self._lockstep = owned.enter_context(closing(loaded.lockstep))
            self._options = loaded.options
            vocabulary = self._model.vocabulary
            self._block_costs = BlockCosts(
                self._lockstep, command.model, self._options, loaded.layers
            )
            self._guessing = owned.enter_context(
                closing(
                    Guessing(
                        self._lockstep,
                        command.model,
                        self._options,
                        vocabulary,
                        lambda: self._block_costs.table,
                    )
                )
            )
            # Streams beside the chat's, which a stop must reach too.
            self._others: tuple[Lockstep, ...] = self._guessing.streams
            self._stopped = self._pace_told = False
            self._turning = Turning(vocabulary)
            self._prompter = Prompter(vocabulary, self._model.chat_template)
            self._work = Workspace(vocabulary.size)
            self._together = (
                Together(self._lockstep, self._work, self.parallel, self._batch_item)
                if self.parallel > 1
                else None
            )
            self._window = ContextWindow(self._prompter, self._lockstep.length)
            self._ahead = Ahead(self._lockstep, self._file, self._window, vocabulary.size)
            self._prompt_cache = PromptCache(
                self._lockstep,
                command.model,
                self._options.kv_type,
                lambda: self._stopped,
                self._ahead.forget,
            )
            tuning = None if self._guessing.streams else tuning_of(loaded, command)
            self.idle = Idle(
                self._block_costs, tuning, lambda best: keep_autotuned(command.model, best)
            )
            owned.callback(self.idle.close)
            self._load_s = time.perf_counter() - started
            self._owned = owned.pop_all()

    def close(self) -> None:
        """Keep the chat that is open; free the caches and the weights."""
        with self._owned:
            self._prompt_cache.keep()

    def stop(self) -> None:
        """From any thread: end the reply under way, and later ones at once, until `resume`; give
        up writing a chat to the disk."""
        self._stopped = True
        for lockstep in (self._lockstep, *self._others):
            lockstep.abort()

    def resume(self) -> None:
        """Allow replies again."""
        self._stopped = False
        for lockstep in (self._lockstep, *self._others):
            lockstep.resume()
        self.idle.resume()

    def give_way(self) -> None:
        """From any thread: end what nobody waits for, until `resume`; a chat is still kept."""
        self._lockstep.abort()
        self.idle.abort()

    def card(self) -> Loaded:
        """What was loaded, and how."""
        return card(self._path, self._loaded, self._prompter, self._load_s)

    def notices(self) -> list[str]:
        """What the user should know about this load, a sentence each."""
        return notices(self._loaded, self._prompter)

    def steer(self, request: int, strengths: Strengths) -> None:
        """From any thread: turn the faders of a reply, from its next token on."""
        self._turning.turn(request, strengths)

    def reply(self, request: Reply, emit: Emit) -> None:
        """Write a reply: Prefilling…, Step…, Finished. Raises UsageError, DecodeError."""
        request = checked(request, self._model.vocabulary.size)
        self._file.check()
        self._prompt_cache.switch(request.chat)
        with self._growing_reply(request, emit) as reply:
            reason: FinishReason | None = None
            try:
                while reason is None:
                    now = self._turning.now(request)
                    prompts = self._window.prompts(now, len(reply.tokens), emit)
                    if not prompts:
                        reason = "length"
                        break
                    texts = {k: [*prompt, *reply.tokens] for k, prompt in prompts.items()}
                    self._lockstep.open(max(texts) + 1)
                    self._ahead.sent()
                    with reply.costs.prefilling(self._lockstep, texts, reply.written):
                        logits = self._lockstep.prefill(texts, _telling(emit))
                    reason = self._write(reply, prompts, logits)
            except AbortedError:
                reason = "cancelled"
            reply.finish(reason)
        self._guessing.reply_ended()
        if reason != "cancelled":
            self._tell_pace(emit)

    def read_ahead(self, command: ReadAhead, is_free: Callable[[], bool]) -> None:
        """Read what is being typed; see Ahead.read. Not where replies are written together."""
        if self.parallel == 1:
            self._ahead.read(command, self._prompt_cache.switch, is_free)

    def _tell_pace(self, emit: Emit) -> None:
        """Once a load, measure what realigning costs: behind a reply, when nobody waits."""
        lockstep = self._lockstep
        if (
            len(lockstep.active) > 1
            and lockstep.can_rewind
            and lockstep.room
            and not self._pace_told
        ):
            self._pace_told = True
            with suppress(AbortedError):
                emit(Pace(step_ratio(lockstep)))

    def _write(
        self, reply: GrowingReply, prompts: Prompts, logits: list[Row]
    ) -> FinishReason | None:
        """Write until the reply ends; None when the context is full before, or other faders than
        these prompts' are heard now."""
        request, heard = reply.request, tuple(prompts)
        combine = self._turning.combine(request, heard)
        drafter = self._guessing.drafter(prompts, reply.tokens, combine, learns=request.learns)
        room = self._lockstep.length - longest(prompts)
        for decoded in decode(self._lockstep, logits, combine, reply.sampler, self._work, drafter):
            if reason := reply.take(decoded):
                return reason
            if len(reply.tokens) > room or self._turning.heard(request, heard) != heard:
                return None
        raise AssertionError("decode goes on for as long as it is read")

    def compare(self, requests: Sequence[Reply], emit: Emit) -> None:
        """Write replies in one batch: Prefilling…, Step… and a Finished for each.

        They get streams of their own for as long as it takes, so that the chat that is open keeps
        what it has evaluated. Raises UsageError, DecodeError.
        """
        with ExitStack() as opened:
            items = [self._batch_item(each, emit, opened) for each in requests]
            lengths = [length for item in items for length in item.lengths]
            room = min(
                self._lockstep.length - max(lengths),
                max(request.max_tokens for request in requests),
            )
            own = padded(max(lengths) + room)
            options = structs.replace(self._options, streams="one-context", context=own)
            shared = tree_size([prompt for item in items for prompt in item.prompts])
            # Cells for each alone, unless much of what they hold is the same.
            apart = len(lengths) * own <= 2 * (shared + len(lengths) * room)
            cells = len(lengths) * own if apart else 0
            lockstep = opened.enter_context(
                closing(Lockstep(self._model, options, len(lengths), cells))
            )
            with self._stoppable(lockstep):
                write_batch(lockstep, items, room, self._work, _telling(emit))

    def reply_together(self, coming: Callable[[], Asked | None], emit: Emit) -> None:
        """Write replies to requests that come while others are written; see Together.write."""
        assert self._together is not None
        self._together.write(coming, emit)

    def _batch_item(self, request: Reply, emit: Emit, opened: ExitStack) -> BatchItem:
        """A reply to be written with others, which `opened` closes. Raises UsageError."""
        self._file.check()
        request = checked(request, self._model.vocabulary.size)
        prompts = prompts_of(request, self._prompter)
        reply = opened.enter_context(self._growing_reply(request, emit))
        if longest(prompts) + len(reply.begun) >= self._lockstep.length:
            raise too_long(longest(prompts) + len(reply.begun), self._lockstep.length)
        combine = self._turning.combine(request, tuple(prompts))
        return BatchItem(
            reply,
            list(prompts.values()),
            combine,
            begin_drafter=lambda: self._guessing.drafter(
                prompts, reply.tokens, combine, alone=False
            ),
        )

    def examine(self, request: Reply, strengths: Sequence[UsedStrength], emit: Emit) -> None:
        """Tell what could have been said at each token of a reply: Prefilling…, Examined….

        Nothing more is told once it is stopped. Raises UsageError where it cannot be done.
        """
        request = checked(request, self._model.vocabulary.size)
        used = [each if isinstance(each, tuple) else (each,) for each in strengths]
        request = ever_heard(request, used)
        vocabulary, prompts = self._model.vocabulary, prompts_of(request, self._prompter)
        tokens = begun_tokens(request, vocabulary)
        if not tokens or not strengths:
            raise UsageError("an empty reply has nothing to examine.")
        if longest(prompts) + len(tokens) > self._lockstep.length:
            raise too_long(longest(prompts) + len(tokens), self._lockstep.length)

        @lru_cache(maxsize=1)  # a dial is turned once in many tokens, if it is
        def combination_at(turned: Strengths) -> Combination:
            return combination_of(turned_to(request, turned), prompts, vocabulary)

        start = 0
        with (
            closing(Sampler(request.alignment.sampling, request.seed, vocabulary)) as sampler,
            suppress(AbortedError),
        ):
            sampler.accept(*request.thought)
            for found in list_alternatives(
                self._lockstep,
                prompts,
                tokens,
                lambda index: combination_at(used[min(index, len(used) - 1)]),
                sampler,
                vocabulary,
                self._work,
                _telling(emit),
            ):
                emit(Examined(request.id, start, len(tokens), found))
                start += len(found)

    @contextmanager
    def _growing_reply(self, request: Reply, emit: Emit) -> Iterator[GrowingReply]:
        strength = strength_of(request)
        vocabulary, stop = self._model.vocabulary, self._prompter.stop
        opened = self._prompter.opened_thought(thinking=leaves_thought(request))
        with closing(GrowingReply(request, vocabulary, stop, strength, emit, opened)) as reply:
            try:
                yield reply
            finally:
                self._turning.forget(request)

    @contextmanager
    def _stoppable(self, lockstep: Lockstep) -> Iterator[None]:
        """Have `stop` reach streams that are not the chat's."""
        self._others = (*self._others, lockstep)
        if self._stopped:
            lockstep.abort()
        try:
            yield
        finally:
            self._others = self._others[:-1]


def _telling(emit: Emit) -> Progress:
    return lambda done, total: emit(Prefilling(done, total))
