"""`amulet ask`: one question, one reply, written to standard output as it comes.

Options, the chosen preset and the settings become one Reply for the engine; its events become text
or, with --json, one document.
"""

from __future__ import annotations

import argparse
import queue
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from msgspec import structs

from amulet_local.cli.loading import chat_model, load_options
from amulet_local.cli.options import (
    Subparsers,
    add_chat_options,
    add_fields,
    add_paper,
    apply_paper,
    piped,
    read_input,
    unread_input,
    value,
    with_given,
    words,
)
from amulet_local.cli.output import StatusLine, print_json, say, write
from amulet_local.engine.client import EngineHandle, EngineProcess
from amulet_local.errors import AmuletError, EngineDiedError, UsageError
from amulet_local.path_text import as_text
from amulet_local.presets.calibrated import calibrated_strength, usual_strength
from amulet_local.presets.preset import (
    USUAL_SAMPLING,
    USUAL_STRENGTH,
    Preset,
    bounded_strength,
    explodes,
    load_presets,
)
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.prompts.reasoning import CANNOT
from amulet_local.protocol.alignment import Alignment, Method, Sampling
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Died,
    Event,
    Failed,
    Finished,
    Loaded,
    Loading,
    Notice,
    Prefilling,
    Reply,
    Step,
)
from amulet_local.protocol.numbers import Positive
from amulet_local.realignment import AMULET, BASE, METHODS, Update, strength_and_guard
from amulet_local.settings import Settings, load_settings
from models import library
from models.memory import needs_of

_INTERRUPTED = 130
_LARGEST_SEED = 0xFFFFFFFE
_HEARING_S = 0.25  # a wait without end would not hear Ctrl+C on Windows

_REPLYING = {
    "max_tokens": "the longest reply",
    "seed": "same seed, same reply",
}
_STEERING = {
    "guard": "plausibility floor against broken text (0: off, as in the paper)",
    "placement": "where the preference stands: the system prompt, or the newest message",
}
_SAMPLING = {
    "temperature": "0 always takes the likeliest token",
    "top_k": "draw from the likeliest K tokens (0: all)",
    "top_p": "draw from the likeliest tokens that hold P of the probability",
    "min_p": "draw from tokens at least P times as likely as the likeliest",
    "dry_multiplier": "above 0: a penalty on saying again what was said (0.8 is usual)",
}
_ONLY_THOUGHT = (
    "the thought took all tokens that a reply may have; allow more with --max-tokens, or answer "
    "without a thought: --no-thinking"
)
_STATS = (
    "prompt_tokens",
    "cached_tokens",
    "tokens",
    "prefill_s",
    "first_token_s",
    "decode_s",
    "tokens_per_s",
    "streams",
)
_MEASURES = ("shift", "flip", "flip_strength", "logp_base", "logp_pref", "logp_realigned")


def add_parser(subparsers: Subparsers) -> None:
    """Add `ask`; it sets `run`, which returns the exit code."""
    parser = subparsers.add_parser("ask", help="answer one question and exit")
    parser.set_defaults(run=run)
    parser.add_argument(
        "question",
        nargs="?",
        type=words,
        help="what to ask; without one, standard input is the question",
    )
    parser.add_argument(  # an option to argparse, so that it may stand anywhere
        "-",
        dest="below",
        action="store_true",
        help="read standard input, and put it below the question",
    )
    add_chat_options(parser)
    reply = parser.add_argument_group("reply")
    reply.add_argument(
        "--preference", metavar="TEXT", type=words, help="a preference in words, for no preset"
    )
    reply.add_argument("--method", choices=get_args(Method), help="one of the paper's methods")
    add_fields(reply, Alignment, _STEERING)
    add_fields(reply, Reply, _REPLYING)
    reply.add_argument("--system", metavar="TEXT", type=words, help="a system prompt of your own")
    reply.add_argument(
        "--stop",
        metavar="TEXT",
        type=words,
        action="append",
        dest="stop_at",
        default=[],
        help="end the reply where this text comes",
    )
    add_paper(reply)
    reply.add_argument("--trace", action="store_true", help="measure every token; with --json")
    reply.add_argument("--json", action="store_true", help="print one JSON document")
    update = parser.add_argument_group("the paper's parameters, in place of --strength")
    update.add_argument("--iterations", metavar="T", type=value(Positive))
    update.add_argument("--alpha", metavar="A", type=value(float))
    update.add_argument("--lambda", metavar="L", type=value(float), dest="lambda_")
    update.add_argument("--eta", metavar="E", type=value(float))
    add_fields(parser.add_argument_group("sampling"), Sampling, _SAMPLING)


def run(args: argparse.Namespace) -> int:
    """Answer; returns 0, or 130 where the user stopped the reply."""
    if args.trace and not args.json:
        raise UsageError("--trace adds to the JSON document; give --json with it.")
    apply_paper(args)
    settings = load_settings()
    question = _question(args.question, below=args.below)
    reads = args.below or args.question in (None, "-")
    told = reads or _told_unread()
    preset = _preset(args, settings)
    model = chat_model(args.model or settings.model)
    request = _request(args, settings, question, preset, as_text(model))
    engine = EngineProcess(needs_of)
    try:
        engine.load(as_text(model), load_options(settings, args))
        answer = _answer(
            engine,
            request,
            _better_name(model),
            show_text=not args.json,
            to_think=bool(args.thinking),
        )
    finally:
        engine.close()
    if not told:
        _told_unread()  # what came late
    if args.json:
        print_json(_document(request, preset, answer))
    return _INTERRUPTED if answer.finished.reason == "cancelled" else 0


def _better_name(model: Path) -> str:
    """What to call a model whose file's name says nothing, or is that of a part; else ""."""
    name = library.called(model)
    return "" if name == as_text(model.stem) else name


# -- from what was typed to a request -------------------------------------------------------------


def _question(typed: str | None, *, below: bool) -> str:
    """The question; standard input where there is none, and below it only where that was asked for:
    in a loop, the rest of it is not for this command, and a pipe may stay open for ever."""
    if typed is None or typed == "-":
        if not below and typed is None and not piped():
            raise UsageError('there is no question; type one: amulet ask "question"')
        typed = read_input()
    elif below:
        if text := read_input():
            typed = f"{typed}\n\n{text}"
        else:
            say("standard input is empty, so there is nothing below the question.")
    if not typed.strip():
        raise UsageError('the question is empty; type one: amulet ask "question"')
    return typed


def _told_unread() -> bool:
    """Whether something was piped for nothing; then that is said."""
    if unread := unread_input():
        say("standard input is not read; to have it below the question, add: -")
    return unread


def _preset(args: argparse.Namespace, settings: Settings) -> Preset | None:
    """The preset that was asked for or is usual; None where words take its place, or nothing."""
    if args.preference is None:
        name = args.preset or settings.preset
        return load_presets().get(name) if name else None
    if args.preset:
        raise UsageError("--preference and --preset exclude each other; give one of them.")
    if not args.preference.strip():
        raise UsageError("--preference is empty; say in words how replies should be.")
    return None


def _request(
    args: argparse.Namespace,
    settings: Settings,
    question: str,
    preset: Preset | None,
    model: str,
) -> Reply:
    """What was typed, over the preset, over the settings, over what is usual."""
    preference = preset.words() if preset else args.preference or ""
    method, strength = _steering(args, preset, preference, model)
    alignment = Alignment(
        preference=preference,
        method=method,
        strength=strength,
        sampling=with_given(_usual_sampling(args, preset, preference), args),
    )
    if preset:
        alignment = structs.replace(alignment, guard=preset.guard, placement=preset.placement)
    request = Reply(
        id=1,
        messages=(Message("user", question),),
        seed=secrets.randbelow(_LARGEST_SEED + 1),
        system=(preset.system if preset else "") or settings.system or DEFAULT_SYSTEM,
        alignment=with_given(alignment, args),
        max_tokens=settings.max_tokens,
        stop=tuple(args.stop_at),
        thinking=settings.thinking,
    )
    return with_given(request, args)


def _steering(
    args: argparse.Namespace, preset: Preset | None, preference: str, model: str
) -> tuple[Method, float]:
    """The method and the strength that it comes to."""
    chosen = _chosen_strength(args)
    if not preference:
        if chosen is not None or args.method not in (None, "base"):
            raise UsageError(
                "there is no preference to realign to; add -p PRESET or --preference TEXT."
            )
        return "base", BASE
    method: Method = args.method or "amulet"
    fixed = METHODS[method].strength
    if fixed is None:
        return method, _usual_strength(args, preset, model) if chosen is None else chosen
    if chosen is not None:
        raise UsageError(
            f"--method {method} has a strength of its own, {fixed:g}; leave out the method or the "
            "strength."
        )
    return method, fixed


def _usual_strength(args: argparse.Namespace, preset: Preset | None, model: str) -> float:
    """Where none was typed: what suits the preset, as it is used, on this model."""
    if preset is None:
        return USUAL_STRENGTH
    used = with_given(preset, args)
    if calibrated_strength(model, used) is not None:
        say(
            f"strength {usual_strength(model, used):g}, as calibrated for {preset.name} on this "
            "model."
        )
    return usual_strength(model, used)


def _usual_sampling(args: argparse.Namespace, preset: Preset | None, preference: str) -> Sampling:
    """What the preset says; the paper has no penalties."""
    if args.paper or not preference:
        return Sampling()
    return preset.sampling if preset else USUAL_SAMPLING


def _chosen_strength(args: argparse.Namespace) -> float | None:
    """The strength that was typed, as such or as the paper's parameters."""
    names = ("iterations", "alpha", "lambda_", "eta")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if not given:
        return cast("float | None", args.strength)
    if args.strength is not None:
        raise UsageError("--strength and the paper's parameters exclude each other; give one.")
    try:
        update = Update(**given)
        strength = bounded_strength(update)
    except ValueError as error:
        raise UsageError(f"{error}.") from None
    if explodes(update):
        say(
            "with alpha above lambda the strength grows with the iterations without end: here it "
            f"is {strength:.3g}, where the paper's defaults come to {AMULET:.3g}."
        )
    return strength


# -- from the engine's events to what is shown ----------------------------------------------------


class _EngineError(AmuletError):
    """What the engine could not do, with the exit code that it means."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.text)
        self.exit_code = failed.exit_code


@dataclass
class _Answer:
    """A reply as it grows. With show_text it is written to standard output piece by piece.
    to_think: whether it was told to begin with a thought. model: what to call it; the engine knows
    a name where there is none. steps, finished: of the whole reply, whichever engines wrote it; but
    for the number of tokens, the stats are the last engine's."""

    show_text: bool
    to_think: bool
    model: str
    steps: list[Step] = field(default_factory=list)
    finished: Finished = field(init=False)
    _text: str = ""  # as the steps told it
    _begun: Message | None = None  # what the engine at work goes on from
    _written: str = ""
    _notices: list[str] = field(default_factory=list)
    _status: StatusLine = field(default_factory=StatusLine)

    def add(self, event: Event) -> None:
        """Take in, and show, what happened."""
        match event:
            case Loading():
                self._show_status(f"Loading the model: {event.fraction:.0%}")
            case Prefilling():
                self._show_status(f"Reading the prompt: {event.done / max(event.total, 1):.0%}")
            case Loaded():
                self.model = self.model or event.model
                if self.to_think and not event.thinks:
                    self._notices.append(f"{self.model} {CANNOT}")
            case Notice() | Died():
                self._notices.append(event.text)
                if not self._written:
                    self._tell()
            case Step():
                self.steps.append(event)
                self._text += event.text
                if event.thought:
                    self._show_status(f"Thinking: {len(self.steps):,} tokens")
                self._write(event.text)
            case Finished():
                self.finished = whole = self._whole(event)
                if whole.reason == "length" and whole.thought and not whole.text:
                    self._notices.append(_ONLY_THOUGHT)
                self._write(whole.text[len(self._text) :])

    def rest_of(self, request: Reply) -> Reply:
        """The same request, to go on from what was written so far.

        Token ids are handed on unless there was a thought: where the answer begins behind one, the
        engine tells at the end. What was not certain to be answer or thought is written anew.
        """
        if not self._text:
            self.steps.clear()
            self._begun = None
        elif self._thought():
            while not self.steps[-1].text:
                self.steps.pop()
            self._begun = Message("assistant", self._text)
        else:
            token_ids = tuple(step.token for step in self.steps)
            self._begun = Message("assistant", self._text, token_ids)
        left = max(1, request.max_tokens - len(self.steps))
        return structs.replace(request, begun=self._begun, max_tokens=left)

    def _thought(self) -> str:
        return "".join(step.thought for step in self.steps)

    def _whole(self, finished: Finished) -> Finished:
        """The end of a reply with what the engine went on from."""
        if not self._begun:
            return finished
        tokens = len(self.steps)
        return structs.replace(
            finished,
            text=self._begun.text + finished.text,
            token_ids=(self._begun.token_ids or finished.begun_ids) + finished.token_ids,
            thought=self._thought(),
            stats=structs.replace(finished.stats, tokens=tokens),
        )

    def close(self) -> None:
        """End the line, and tell what would have been in the way of the text."""
        self._status.clear()
        if self._written and not self._written.endswith("\n"):
            write("\n")
        self._tell()

    def _write(self, text: str) -> None:
        if self.show_text and text:
            self._status.clear()
            write(text)
            self._written += text

    def _show_status(self, text: str) -> None:
        if not self._written:  # else it would wipe the line that is being written
            self._status.show(text)

    def _tell(self) -> None:
        self._status.clear()
        while self._notices:
            say(self._notices.pop(0))


def _answer(
    engine: EngineHandle, request: Reply, model: str, *, show_text: bool, to_think: bool
) -> _Answer:
    """Send the request and follow it to its end, showing what happens."""
    answer = _Answer(show_text, to_think, model)
    engine.reply(request)
    try:
        with _stopped_by_interrupt(engine):
            for event in _events(engine):
                answer.add(event)
                if isinstance(event, Died):  # of what the next engine is spared
                    engine.reply(answer.rest_of(request))
    finally:
        answer.close()
    return answer


@contextmanager
def _stopped_by_interrupt(engine: EngineHandle) -> Iterator[None]:
    """A first Ctrl+C stops the engine, whose reply then ends in good order; a second is as ever.

    Where Ctrl+C is ignored, as in a shell's background jobs, it stays so.
    """
    usual = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, usual)
        engine.stop()

    if usual is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _events(engine: EngineHandle) -> Iterator[Event]:
    """Events to the end of the reply.

    Raises AmuletError where the engine fails, EngineDiedError where it dies.
    """
    while True:
        try:
            event = engine.events.get(timeout=_HEARING_S)
        except queue.Empty:
            continue
        if isinstance(event, Failed):
            raise _EngineError(event)
        if isinstance(event, Died) and not event.lighter:
            raise EngineDiedError(event.text)
        yield event
        if isinstance(event, Finished):
            return


def _document(request: Reply, preset: Preset | None, answer: _Answer) -> dict[str, Any]:
    """What --json prints; its keys are a contract."""
    finished = answer.finished
    alignment = request.alignment
    strength, guard = strength_and_guard(alignment.method, alignment.strength, alignment.guard)
    document: dict[str, Any] = {
        "text": finished.text,
        "token_ids": finished.token_ids,
        "finish_reason": finished.reason,
        "method": alignment.method,
        "strength": strength,
        "guard": guard,
        "preset": preset.name if preset else None,
        "model": answer.model,
        "seed": request.seed,
        "stats": {key: getattr(finished.stats, key) for key in _STATS},
    }
    if finished.thought:
        document["thought"] = finished.thought
    if request.trace:
        document["steps"] = [
            {key: getattr(step, key) for key in ("token", "text", *_MEASURES)}
            for step in answer.steps
        ]
    return document
