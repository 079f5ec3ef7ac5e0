"""What a front end talks to, in its plainest form: load a model, reply(request) -> events, stop.

Puts prompts, streams and the loop together for one request after another. It runs where it is
called and tells what happens by calling `emit`; worker.py gives it a process of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from amulet_local.errors import NotUsableError, UsageError
from amulet_local.generation.alternatives import examine
from amulet_local.generation.batch import Side, write_together
from amulet_local.generation.decoding import Combine, decode
from amulet_local.generation.reply import Emit, Writing, begun_tokens
from amulet_local.generation.sampling import Sampler
from amulet_local.generation.speculative import (
    USUAL_STEP_COST,
    Drafter,
    DraftModel,
    NgramDrafter,
    linear_cost,
)
from amulet_local.path_text import from_text
from amulet_local.prompts.prompting import Prompter
from amulet_local.prompts.templates import TemplateError
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Examined,
    FinishReason,
    Load,
    Loaded,
    Notice,
    Pace,
    Prefilling,
    Reply,
)
from amulet_local.realignment import Combination, Row, Workspace, strength_and_guard
from amulet_local.runtime import loader
from amulet_local.runtime.llama.model import AbortedError, physical_cores
from amulet_local.runtime.load_defaults import settle
from amulet_local.runtime.lockstep import Lockstep, Progress
from amulet_local.runtime.prompt_cache import KeptChats

Prompts = dict[int, list[int]]

_BASE_STREAM, _PREFERENCE_STREAM = 0, 1


class Engine:
    """One loaded model. All methods but `stop` belong to one thread."""

    def __init__(self, command: Load, on_progress: Callable[[float], bool]) -> None:
        """Load. on_progress gets fractions 0..1 and cancels by returning False.

        Raises NotUsableError, UsageError; AbortedError when cancelled.
        """
        started = time.perf_counter()
        self._path, self._stamp = command.model, _stamp(command.model)
        settled = settle(command.options, command.model)
        with ExitStack() as owned:
            self._fitted = fitted = loader.load(command.model, settled, command.needs, on_progress)
            self._model = owned.enter_context(closing(fitted.model))
            self._lockstep = owned.enter_context(closing(fitted.lockstep))
            self._options = options = fitted.options
            vocabulary = self._model.vocabulary
            self._draft = self._load_draft(options)
            if self._draft:
                owned.callback(self._draft.close)
            # Streams beside the chat's, which a stop must reach too.
            self._others: tuple[Lockstep, ...] = (self._draft.lockstep,) if self._draft else ()
            self._stopped = self._pace_told = False
            self._turned: tuple[int, float] | None = None
            self._prompter = Prompter(vocabulary, self._model.chat_template)
            self._work = Workspace(vocabulary.size)
            self._kept = KeptChats(
                self._lockstep, command.model, options.kv_type, lambda: self._stopped
            )
            self._left_out: tuple[Message, ...] = ()
            self._load_s = time.perf_counter() - started
            self._owned = owned.pop_all()

    def close(self) -> None:
        """Keep the chat that is open; free the caches and the weights."""
        with self._owned:
            self._kept.keep()

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

    def card(self) -> Loaded:
        """What was loaded, and how."""
        options, fitted = self._options, self._fitted
        return Loaded(
            model=Path(self._path).stem,
            description=self._model.description,
            architecture=self._model.metadata("general.architecture") or "",
            context=self._lockstep.length,
            vocabulary=self._model.vocabulary.size,
            layers=self._model.layers + 1,  # and the output layer
            gpu_layers=fitted.layers,
            devices=", ".join(device.name for device in fitted.devices) or "CPU",
            streams=self._lockstep.arrangement,
            threads=options.threads or physical_cores(),
            can_rewind=self._lockstep.can_rewind,
            template=self._model.chat_template is not None and not self._prompter.problem,
            load_s=self._load_s,
            thinks=self._prompter.thinks,
        )

    def notices(self) -> list[str]:
        """What the user should know about this load, a sentence each."""
        notices = list(self._fitted.notices)
        options = self._options
        if 0 < self._model.context_trained < options.context:
            notices.append(
                f"The model was trained for {self._model.context_trained:,} tokens of context; "
                f"past that, replies may lose their thread."
            )
        if self._prompter.problem:
            notices.append(self._prompter.problem)
        if options.draft != "off" and not self._lockstep.can_rewind:
            notices.append(
                "This model's memory cannot take tokens back, so drafting is off and an edited "
                "chat is read again from its start."
            )
        return notices

    def steer(self, request: int, strength: float) -> None:
        """From any thread: turn the dial of a reply, from its next token on."""
        self._turned = (request, strength)

    def reply(self, request: Reply, emit: Emit) -> None:
        """Write a reply: Prefilling…, Step…, Finished. Raises UsageError, DecodeError."""
        _check(request)
        self._check_file()
        self._kept.switch(request.chat)
        with self._writing(request, emit) as writing:
            reason: FinishReason | None = None
            try:
                while reason is None:
                    prompts = self._fitting_prompts(request, len(writing.tokens), emit)
                    if not prompts:
                        reason = "length"
                        break
                    texts = {k: [*prompt, *writing.tokens] for k, prompt in prompts.items()}
                    with writing.costs.prefilling(self._lockstep, texts, writing.written):
                        logits = self._lockstep.prefill(texts, _telling(emit))
                    reason = self._write(writing, prompts, logits)
            except AbortedError:
                reason = "cancelled"
            writing.finish(reason)
        if reason != "cancelled":
            self._tell_pace(emit)

    def _check_file(self) -> None:
        """Raises NotUsableError where the model's file was written to since it was loaded: its
        weights are mapped, so that replies would come from whatever is there now."""
        if _stamp(self._path)[0] == self._stamp[0] and _stamp(self._path) != self._stamp:
            raise NotUsableError(
                f"{self._path} changed while it was in use; choose the model again, to load what "
                "it is now."
            )

    def _tell_pace(self, emit: Emit) -> None:
        """Once a load, measure what realigning costs: behind a reply, when nobody waits."""
        lockstep = self._lockstep
        if lockstep.active > 1 and lockstep.can_rewind and lockstep.room and not self._pace_told:
            self._pace_told = True
            with suppress(AbortedError):
                emit(Pace(lockstep.cost()))

    def _write(self, writing: Writing, prompts: Prompts, logits: list[Row]) -> FinishReason | None:
        """Write until the reply ends; None when the context is full before."""
        combine = self._combine(writing.request, streams=len(logits))
        drafter = self._drafter(prompts, writing.tokens, combine)
        room = self._lockstep.length - _longest(prompts)
        for decoded in decode(
            self._lockstep, logits, combine, writing.sampler, self._work, drafter
        ):
            if reason := writing.take(decoded):
                return reason
            if len(writing.tokens) > room:
                return None
        raise AssertionError("decode goes on for as long as it is read")

    def compare(self, requests: Sequence[Reply], emit: Emit) -> None:
        """Write replies side by side: Prefilling…, Step… and a Finished for each.

        They get streams of their own for as long as it takes, so that the chat that is open keeps
        what it has evaluated. Raises UsageError, DecodeError.
        """
        with ExitStack() as opened:
            sides = []
            for request in requests:
                _check(request)
                writing = opened.enter_context(self._writing(request, emit))
                prompts = [
                    [*prompt, *writing.begun] for prompt in self._prompts(request, 0).values()
                ]
                sides.append(Side(writing, prompts, self._combine(request, len(prompts))))
            lengths = [len(prompt) for side in sides for prompt in side.prompts]
            most = self._lockstep.length - max(lengths)
            if most < 1:
                raise self._too_long(max(lengths))
            room = min(most, max(request.max_tokens for request in requests))
            options = structs.replace(
                self._options, streams="one-context", context=max(lengths) + room
            )
            lockstep = opened.enter_context(
                closing(Lockstep(self._model, options, streams=len(lengths)))
            )
            with self._stoppable(lockstep):
                write_together(lockstep, sides, room, self._work, _telling(emit))

    def examine(self, request: Reply, strengths: Sequence[float], emit: Emit) -> None:
        """Tell what could have been said at each token of a reply: Prefilling…, Examined….

        Nothing more is told once it is stopped. Raises UsageError where it cannot be done.
        """
        _check(request)
        vocabulary, prompts = self._model.vocabulary, self._prompts(request, 0)
        tokens = begun_tokens(request, vocabulary)
        if not tokens or not strengths:
            raise UsageError("there is nothing to look at in an empty reply.")
        if _longest(prompts) + len(tokens) > self._lockstep.length:
            raise self._too_long(_longest(prompts) + len(tokens))
        combination, _ = _combination(request, len(prompts))

        def combination_at(place: int) -> Combination:
            return _turned_to(combination, strengths[min(place, len(strengths) - 1)])

        start = 0
        with (
            closing(Sampler(request.alignment.sampling, request.seed, vocabulary)) as sampler,
            suppress(AbortedError),
        ):
            sampler.accept(*request.thought)
            for places in examine(
                self._lockstep,
                prompts,
                tokens,
                combination_at,
                sampler,
                vocabulary,
                self._work,
                _telling(emit),
            ):
                emit(Examined(request.id, start, len(tokens), places))
                start += len(places)

    @contextmanager
    def _writing(self, request: Reply, emit: Emit) -> Iterator[Writing]:
        _, strength = _combination(request, streams=1)
        vocabulary, stop = self._model.vocabulary, self._prompter.stop
        opened = self._prompter.opened_thought(thinking=_thinking(request))
        with closing(Writing(request, vocabulary, stop, strength, emit, opened)) as writing:
            try:
                yield writing
            finally:
                if self._turned and self._turned[0] == request.id:
                    self._turned = None

    def _combine(self, request: Reply, streams: int) -> Combine:
        """How the streams of a reply combine, wherever its dial stands."""
        combination, _ = _combination(request, streams)

        def combine() -> Combination:
            turned = self._turned
            if turned and turned[0] == request.id and request.alignment.method == "amulet":
                return _turned_to(combination, turned[1])
            return combination

        return combine

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

    def _drafter(self, prompts: Prompts, written: list[int], combine: Combine) -> Drafter | None:
        """What guesses ahead in this reply, if anything does."""
        options = self._options
        if options.draft == "off" or not self._lockstep.can_rewind:
            return None
        cost = linear_cost(options.step_cost or USUAL_STEP_COST)
        if self._draft:
            return self._draft.drafter(prompts, written, combine, cost)
        (first, *_) = prompts.values()
        return NgramDrafter([*first, *written], cost)

    def _load_draft(self, options: LoadOptions) -> DraftModel | None:
        """The draft model, where one is asked for and the model can take back wrong guesses."""
        if options.draft in ("ngram", "off") or not self._lockstep.can_rewind:
            return None
        return DraftModel(options.draft, options, self._model.vocabulary, self._lockstep)

    def _fitting_prompts(self, request: Reply, written: int, emit: Emit) -> Prompts:
        """The prompts of all streams, without the chat's oldest turns where it has grown too long.

        Once turns must go, enough go to leave a quarter of the context free, so that the next
        turns find their beginning in the cache again. Empty if the `written` tokens of the reply
        leave no room even so; raises UsageError if the newest message alone does not fit.
        """
        length, messages = self._lockstep.length, request.messages
        start = len(self._left_out) if messages[: len(self._left_out)] == self._left_out else 0
        needed = written + min(request.max_tokens - written, length // 4)
        prompts = self._prompts(request, start)
        if _longest(prompts) + needed > length:
            while _longest(prompts) + needed > length * 3 // 4 and start + 2 < len(messages):
                start += 2  # a question and its answer
                prompts = self._prompts(request, start)
            if start > len(self._left_out):
                emit(
                    Notice(
                        f"The chat has outgrown the context of {length:,} tokens: its oldest "
                        f"{start} messages are left out from here on."
                    )
                )
        self._left_out = messages[:start]
        if _longest(prompts) + written >= length:
            if written:
                return {}
            raise self._too_long(_longest(prompts))
        return prompts

    def _too_long(self, tokens: int) -> UsageError:
        return UsageError(
            f"the message makes a prompt of {tokens:,} tokens, but the context holds "
            f"{self._lockstep.length:,}; shorten it, or load the model with a larger context."
        )

    def _prompts(self, request: Reply, start: int) -> Prompts:
        """Stream -> token ids up to where the answer begins, of the streams that the request
        needs."""
        alignment = request.alignment
        preferences = {_BASE_STREAM: "", _PREFERENCE_STREAM: alignment.preference}
        if not alignment.preference or (alignment.method == "base" and not request.trace):
            del preferences[_PREFERENCE_STREAM]
        elif alignment.method == "pref" and not request.trace:
            del preferences[_BASE_STREAM]
        try:
            return {
                stream: self._prompter.prompt(
                    request.system,
                    request.messages[start:],
                    preference,
                    alignment.placement,
                    thinking=_thinking(request),
                )
                + list(request.thought)
                for stream, preference in preferences.items()
            }
        except TemplateError as error:
            raise UsageError(
                f"the model's chat template cannot write this chat: {error}."
            ) from None


def _thinking(request: Reply) -> bool:
    """Whether the prompt leaves room for a thought: one that was thought already, if any was."""
    begun = request.begun and (request.begun.text or request.begun.token_ids)
    return request.thinking and bool(request.thought or not begun)


def _combination(request: Reply, streams: int) -> tuple[Combination, float]:
    """How this many streams combine, and the strength to tell. Base and pref are never guarded:
    the guard is for what lies beyond the two."""
    alignment = request.alignment
    method = alignment.method if alignment.preference else "base"
    strength, guard = strength_and_guard(method, alignment.strength, alignment.guard)
    if streams == 1:
        return Combination((), 0.0), strength
    return Combination((strength,), guard, request.trace), strength


def _turned_to(combination: Combination, strength: float) -> Combination:
    """The same with another strength, where there is a preference to follow."""
    if combination.strengths in ((), (strength,)):
        return combination
    return replace(combination, strengths=(strength,))


def _stamp(path: str) -> tuple[int, int, int]:
    """Which file this is, its size and time of change; zeros where there is none any more."""
    try:
        status = from_text(path).stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _telling(emit: Emit) -> Progress:
    return lambda done, total: emit(Prefilling(done, total))


def _check(request: Reply) -> None:
    """Raises UsageError for what no reply can be made of."""
    if not math.isfinite(request.alignment.strength):
        raise UsageError("the strength must be a number.")
    expected = ["user" if i % 2 == 0 else "assistant" for i in range(len(request.messages))]
    roles = [message.role for message in request.messages]
    if not roles or roles[-1] != "user" or roles != expected:
        raise UsageError("a chat must alternate, from a user's message to a user's message.")


def _longest(prompts: Prompts) -> int:
    return max(map(len, prompts.values()))
