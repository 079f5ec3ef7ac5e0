"""What a front end talks to, in its plainest form: load a model, reply(request) -> events, stop.

Puts prompts, streams and the loop together for one request after another. It runs where it is
called and tells what happens by calling `emit`; worker.py gives it a process of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from amulet_local.calibration import settle
from amulet_local.conversation import Message
from amulet_local.decoding import decode
from amulet_local.drafting import (
    USUAL_STEP_COST,
    Drafter,
    DraftModel,
    NgramDrafter,
    linear_cost,
)
from amulet_local.errors import UsageError
from amulet_local.kept import KeptChats
from amulet_local.llama import AbortedError, Model, SamplerChain, build_info, physical_cores
from amulet_local.lockstep import Lockstep
from amulet_local.prompting import Prompter
from amulet_local.protocol import (
    Event,
    Finished,
    FinishReason,
    Load,
    Loaded,
    LoadOptions,
    Notice,
    Prefilling,
    Reply,
    Stats,
    Step,
)
from amulet_local.realignment import BASE, LINEAR, PROMPT, Row, Steering, Workspace
from amulet_local.sampling import sampler
from amulet_local.templates import TemplateError
from amulet_local.text import GrowingText

Emit = Callable[[Event], None]
Prompts = dict[int, list[int]]

_BASE_STREAM, _PREFERENCE_STREAM = 0, 1


class Engine:
    """One loaded model. All methods but `stop` belong to one thread."""

    def __init__(self, command: Load, on_progress: Callable[[float], bool]) -> None:
        """Load. on_progress gets fractions 0..1 and cancels by returning False.

        Raises NotUsableError, UsageError; AbortedError when cancelled.
        """
        started = time.perf_counter()
        self._path = command.model
        self._options = options = settle(command.options, command.model)
        self._model = Model(command.model, gpu_layers=options.gpu_layers, on_progress=on_progress)
        try:
            self._lockstep = Lockstep(self._model, options)
        except BaseException:
            self._model.close()
            raise
        vocabulary = self._model.vocabulary
        self._draft = self._load_draft(options)
        self._prompter = Prompter(vocabulary, self._model.chat_template)
        self._work = Workspace(vocabulary.size)
        self._kept = KeptChats(self._lockstep, command.model, options.kv_type)
        self._left_out: tuple[Message, ...] = ()
        self._load_s = time.perf_counter() - started

    def close(self) -> None:
        """Keep the chat that is open; free the caches and the weights."""
        self._kept.keep()
        if self._draft:
            self._draft.close()
        self._lockstep.close()
        self._model.close()

    def stop(self) -> None:
        """From any thread: end the reply under way, and later ones at once, until `resume`."""
        self._lockstep.abort()
        if self._draft:
            self._draft.lockstep.abort()

    def resume(self) -> None:
        """Allow replies again."""
        self._lockstep.resume()
        if self._draft:
            self._draft.lockstep.resume()

    def card(self) -> Loaded:
        """What was loaded, and how."""
        build = build_info()
        options, layers = self._options, self._model.layers + 1  # and the output layer
        asked = options.gpu_layers if options.gpu_layers >= 0 else layers
        gpu_layers = min(asked, layers) if build.gpu_offload else 0
        on = [device.name for device in build.devices if "gpu" in device.kind and gpu_layers]
        return Loaded(
            model=Path(self._path).stem,
            description=self._model.description,
            architecture=self._model.metadata("general.architecture") or "",
            context=self._lockstep.length,
            vocabulary=self._model.vocabulary.size,
            layers=layers,
            gpu_layers=gpu_layers,
            devices=", ".join(on) or "CPU",
            streams=self._lockstep.arrangement,
            threads=options.threads or physical_cores(),
            can_rewind=self._lockstep.can_rewind,
            template=self._model.chat_template is not None and not self._prompter.problem,
            load_s=self._load_s,
        )

    def notices(self) -> list[str]:
        """What the user should know about this load, a sentence each."""
        notices = []
        options = self._options
        if options.gpu_layers > 0 and not build_info().gpu_offload:
            notices.append(
                "This build of llama-cpp-python cannot use a GPU, so the model runs on the CPU; "
                "`amulet doctor` says more."
            )
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

    def reply(self, request: Reply, emit: Emit) -> None:
        """Write a reply: Prefilling…, Step…, Finished. Raises UsageError, DecodeError."""
        _check(request)
        costs = _Costs()
        self._kept.switch(request.chat)
        text = GrowingText(self._model.vocabulary.piece, (*request.stop, *self._prompter.stop))
        chain = sampler(request.sampling, request.seed, self._model.vocabulary)
        reason: FinishReason | None = None
        try:
            while reason is None:
                prompts = self._fitting_prompts(request, len(text.tokens), emit)
                if not prompts:
                    reason = "length"
                    break
                with costs.prefilling(self._lockstep, prompts):
                    logits = self._lockstep.prefill(
                        {stream: [*prompt, *text.tokens] for stream, prompt in prompts.items()},
                        lambda done, total: emit(Prefilling(done, total)),
                    )
                reason = self._write(request, prompts, logits, chain, text, costs, emit)
        except AbortedError:
            reason = "cancelled"
        finally:
            chain.close()
        text.finish()
        stats = costs.stats(len(text.tokens))
        emit(Finished(request.id, text.text, tuple(text.tokens), reason, stats))

    def _write(
        self,
        request: Reply,
        prompts: Prompts,
        logits: list[Row],
        chain: SamplerChain,
        text: GrowingText,
        costs: _Costs,
        emit: Emit,
    ) -> FinishReason | None:
        """Emit a Step per token until the reply ends; None when the context is full before."""
        steering, strength = _steering(request, streams=len(logits))
        drafter = self._drafter(prompts, text.tokens, steering)
        room = self._lockstep.length - _longest(prompts)
        for decoded in decode(self._lockstep, logits, steering, chain, self._work, drafter):
            costs.token()
            if self._model.vocabulary.ends_turn(decoded.token):
                return "stop"
            measures = astuple(decoded.measures) if decoded.measures else ()
            added = text.add(decoded.token)
            emit(Step(request.id, decoded.token, added, strength, *measures))
            if text.stopped:
                return "stop"
            if len(text.tokens) >= request.max_tokens:
                return "length"
            if len(text.tokens) > room:
                return None
        raise AssertionError("decode goes on for as long as it is read")

    def _drafter(self, prompts: Prompts, written: list[int], steering: Steering) -> Drafter | None:
        """What guesses ahead in this reply, if anything does."""
        options = self._options
        if options.draft == "off" or not self._lockstep.can_rewind:
            return None
        cost = linear_cost(options.step_cost or USUAL_STEP_COST)
        if self._draft:
            return self._draft.drafter(prompts, written, steering, cost)
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
            raise UsageError(
                f"the message makes a prompt of {_longest(prompts):,} tokens, but the context "
                f"holds {length:,}; shorten it, or load the model with a larger context."
            )
        return prompts

    def _prompts(self, request: Reply, start: int) -> Prompts:
        """Stream -> token ids, of the streams that the request needs."""
        preferences = {_BASE_STREAM: "", _PREFERENCE_STREAM: request.preference}
        if not request.preference or (request.method == "base" and not request.trace):
            del preferences[_PREFERENCE_STREAM]
        elif request.method == "pref" and not request.trace:
            del preferences[_BASE_STREAM]
        try:
            return {
                stream: self._prompter.prompt(
                    request.system, request.messages[start:], preference, request.placement
                )
                for stream, preference in preferences.items()
            }
        except TemplateError as error:
            raise UsageError(
                f"the model's chat template cannot write this chat: {error}."
            ) from None


def _steering(request: Reply, streams: int) -> tuple[Steering, float]:
    """How this many streams combine, and the strength to tell. Base and pref are never guarded:
    the guard is for what lies beyond the two."""
    strengths = {"base": BASE, "pref": PROMPT, "la": LINEAR, "amulet": request.strength}
    strength = strengths[request.method] if request.preference else BASE
    guard = request.guard if request.method in ("la", "amulet") and streams > 1 else 0.0
    together = streams > 1
    return Steering((strength,) if together else (), guard, request.trace and together), strength


def _check(request: Reply) -> None:
    """Raises UsageError for what no reply can be made of."""
    if not math.isfinite(request.strength):
        raise UsageError("the strength must be a number.")
    expected = ["user" if i % 2 == 0 else "assistant" for i in range(len(request.messages))]
    roles = [message.role for message in request.messages]
    if not roles or roles[-1] != "user" or roles != expected:
        raise UsageError("a chat must alternate, from a user's message to a user's message.")


def _longest(prompts: Prompts) -> int:
    return max(map(len, prompts.values()))


class _Costs:
    """What a reply takes, from the request's arrival on."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._prefill_s = self._first_token_s = 0.0
        self._prompt_tokens = self._given = self._evaluated = self._streams = 0

    @contextmanager
    def prefilling(self, lockstep: Lockstep, prompts: Prompts) -> Iterator[None]:
        began, evaluated = time.perf_counter(), lockstep.evaluated
        try:
            yield
        finally:
            self._prefill_s += time.perf_counter() - began
            self._evaluated += lockstep.evaluated - evaluated
            self._given += sum(map(len, prompts.values()))
            self._prompt_tokens, self._streams = _longest(prompts), len(prompts)

    def token(self) -> None:
        if not self._first_token_s:
            self._first_token_s = time.perf_counter() - self._started

    def stats(self, tokens: int) -> Stats:
        decode_s = time.perf_counter() - self._started - self._prefill_s
        return Stats(
            prompt_tokens=self._prompt_tokens,
            cached_tokens=max(0, self._given - self._evaluated),
            evaluated_tokens=self._evaluated,
            tokens=tokens,
            prefill_s=self._prefill_s,
            first_token_s=self._first_token_s,
            decode_s=decode_s,
            tokens_per_s=tokens / decode_s if tokens else 0.0,
            context_tokens=self._prompt_tokens + tokens,
            streams=self._streams,
        )
