"""`amulet ask`: one question, one reply, written to standard output as it comes.

Options become a request (request.py), and the engine's events an answer (answer.py): text or, with
--json, one document.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, get_args

from amulet_local.chats.followed import Followed, checks_of, gain_of
from amulet_local.cli.answer import Answer, follow
from amulet_local.cli.loading import chat_model, load_options
from amulet_local.cli.options import (
    AddPreference,
    Subparsers,
    add_chat_options,
    add_fields,
    add_paper,
    apply_paper,
    value,
    words,
)
from amulet_local.cli.output import print_json, say
from amulet_local.cli.preferences import Selection, chosen_preferences
from amulet_local.cli.request import build_request, read_question, told_unread
from amulet_local.engine.client import EngineProcess
from amulet_local.engine.requests import strength_of
from amulet_local.errors import INTERRUPTED, UsageError
from amulet_local.path_text import as_text
from amulet_local.protocol.alignment import Alignment, Method, Sampling
from amulet_local.protocol.messages import Reply
from amulet_local.protocol.numbers import Positive
from amulet_local.protocol.voices import held_back
from amulet_local.settings import load_settings
from amulet_local.strengths import strength_and_guard
from models import lookup
from models.memory import needs_of

_REPLYING = {
    "max_tokens": "maximum length of the reply",
    "seed": "the same seed gives the same reply",
}
_STEERING = {
    "guard": "plausibility floor that prevents broken text (0: off, as in the paper)",
    "placement": "where the preference goes: the system prompt, or the newest message",
}
_SAMPLING = {
    "temperature": "0 always picks the likeliest token",
    "top_k": "sample from the K likeliest tokens (0: all)",
    "top_p": "sample from the likeliest tokens that make up P of the probability",
    "min_p": "sample from tokens at least P times as likely as the likeliest",
    "dry_multiplier": "above 0: penalise repeated passages (0.8 is usual)",
}
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
        help="what to ask; if left out, the question is read from standard input",
    )
    parser.add_argument(  # an option to argparse, so that it may stand anywhere
        "-",
        dest="below",
        action="store_true",
        help="read standard input and append it to the question",
    )
    add_chat_options(parser)
    reply = parser.add_argument_group("reply")
    reply.add_argument(
        "--preference",
        metavar="TEXT[:S]",
        action=AddPreference,
        dest="preferences",
        help="a preference in words, beside or instead of presets; may be repeated",
    )
    reply.add_argument(
        "--wish",
        metavar="TEXT",
        type=words,
        action="append",
        dest="wishes",
        default=[],
        help="a wish for this reply, beside any preset; may be repeated",
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
        help="end the reply when this text appears",
    )
    add_paper(reply)
    reply.add_argument("--trace", action="store_true", help="measure every token; needs --json")
    reply.add_argument("--json", action="store_true", help="print one JSON document")
    update = parser.add_argument_group("the paper's parameters, instead of --strength")
    update.add_argument("--iterations", metavar="T", type=value(Positive))
    update.add_argument("--alpha", metavar="A", type=value(float))
    update.add_argument("--lambda", metavar="L", type=value(float), dest="lambda_")
    update.add_argument("--eta", metavar="E", type=value(float))
    add_fields(parser.add_argument_group("sampling"), Sampling, _SAMPLING)


def run(args: argparse.Namespace) -> int:
    """Answer; returns 0, or INTERRUPTED where the user stopped the reply."""
    if args.trace and not args.json:
        raise UsageError("--trace adds to the JSON output; use it together with --json.")
    apply_paper(args)
    settings = load_settings(say)
    question = read_question(args.question, args.wishes, below=args.below)
    reads = args.below or args.question in (None, "-")
    told = reads or told_unread()
    chosen = chosen_preferences(args.preferences, settings.preset)
    model = chat_model(args.model or settings.model)
    request = build_request(args, settings, question, chosen, as_text(model))
    engine = EngineProcess(needs_of)
    try:
        engine.load(as_text(model), load_options(settings, args))
        answer = follow(
            engine,
            request,
            _better_name(model),
            show_text=not args.json,
            to_think=bool(args.thinking),
        )
    finally:
        engine.close()
    if not told:
        told_unread()  # what came late
    followed = _followed(request, answer)
    if args.json:
        print_json(_document(request, chosen, answer, followed, traced=args.trace))
    elif followed.told and sys.stderr.isatty():
        say(f"{', '.join(followed.told)}.")
    return INTERRUPTED if answer.finished.reason == "cancelled" else 0


def _better_name(model: Path) -> str:
    """What to call a model whose file's name says nothing, or is that of a part; else ""."""
    name = lookup.called(model)
    return "" if name == as_text(model.stem) else name


def _followed(request: Reply, answer: Answer) -> Followed:
    """Whether the reply did as was asked."""
    finished = answer.finished
    if not request.steered:
        return Followed()
    asked, ended = (request.alignment.preferences, request.wish), finished.reason == "stop"
    held = held_back(request.alignment, request.wish)
    return Followed(
        gain_of(answer.steps[finished.stats.thought_tokens :]),
        checks_of(*asked, finished.text, held) if ended else (),
        held,
    )


def _document(
    request: Reply, chosen: Selection, answer: Answer, followed: Followed, *, traced: bool
) -> dict[str, Any]:
    """What --json prints; its keys are a contract."""
    finished = answer.finished
    alignment = request.alignment
    _, guard = strength_and_guard(alignment.method, alignment.strength, alignment.guard)
    document: dict[str, Any] = {
        "text": finished.text,
        "token_ids": finished.token_ids,
        "finish_reason": finished.reason,
        "method": alignment.method,
        "strength": strength_of(request),
        "guard": guard,
        "preset": chosen.preset.name if chosen.preset else None,
        "model": answer.model,
        "seed": request.seed,
        "stats": {key: getattr(finished.stats, key) for key in _STATS},
    }
    if alignment.mix:
        document["mix"] = alignment.mix
    if request.wish:
        document["wish"] = request.wish
    if followed.gain is not None:
        document["gain"], document["followed"] = followed.gain, followed.degree
    if followed.checks:
        document["checks"] = followed.checks
    if finished.thought:
        document["thought"] = finished.thought
    if traced:
        each_fader = ("strengths", "shares") if alignment.mix else ()
        document["steps"] = [
            {key: getattr(step, key) for key in ("token", "text", *_MEASURES, *each_fader)}
            for step in answer.steps
        ]
    return document
