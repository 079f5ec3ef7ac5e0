"""`amulet bench`: what realignment costs here, as bars, as a Markdown table, or as JSON."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from amulet_local.cli.loading import chat_model
from amulet_local.cli.options import Subparsers, add_device_options, add_fields, value, with_given
from amulet_local.cli.output import StatusLine, console, keeps, print_json, say, write
from amulet_local.path_text import as_text
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.numbers import Positive
from amulet_local.settings import load_settings
from models import lookup

if TYPE_CHECKING:
    from amulet_local.bench.report import QuickReport, Report
    from amulet_local.runtime.load_defaults import Autotuned

_LOADING = {
    "context": "context length in tokens (0: 3072)",
    "threads": "number of threads (0: one per physical core)",
    "flash_attention": "flash attention",
    "kv_type": "data type of the KV cache",
}
_BAR = 30


def add_parser(subparsers: Subparsers) -> None:
    """Add `bench`; it sets `run`, which returns the exit code."""
    parser = subparsers.add_parser("bench", help="measure what realignment costs on this machine")
    parser.add_argument("-m", "--model", metavar="MODEL", help="a model name, or a GGUF file")
    parser.add_argument("--draft", metavar="MODEL", help="a small model that drafts ahead for it")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="find the fastest settings for this model on this machine, and save them",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="measure only what you notice in a chat; in less than a minute for a small model",
    )
    parser.add_argument("--tokens", type=value(Positive), default=40, help="tokens per repetition")
    parser.add_argument("--repeat", type=value(Positive), default=3, help="repetitions")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print one JSON document")
    shown.add_argument("--markdown", action="store_true", help="print tables in Markdown")
    loading = parser.add_argument_group("loading")
    add_fields(loading, LoadOptions, _LOADING)
    add_device_options(loading)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and report."""
    settings = load_settings(say)
    model = as_text(chat_model(args.model or settings.model))
    given = {name: v for name, v in vars(args).items() if name != "draft"}
    options = with_given(settings.engine, argparse.Namespace(**given))
    status = StatusLine()
    try:
        if args.calibrate:
            return _calibrate(model, options, status, as_json=args.json)
        if args.quick:
            return _quick(model, options, status, args)
        from amulet_local.bench.report import run as measure

        report = measure(
            model,
            options,
            lambda what: status.show(f"measuring: {what}"),
            draft=str(lookup.resolve(args.draft)) if args.draft else "",
            tokens=args.tokens,
            repeat=args.repeat,
        )
    finally:
        status.clear()
    if args.json:
        print_json(report)
    elif args.markdown:
        write("\n".join(markdown(report)) + "\n")
    else:
        _print(report)
    return 0


def _calibrate(model: str, options: LoadOptions, status: StatusLine, *, as_json: bool) -> int:
    from amulet_local.runtime.autotune import autotune, keep_autotuned

    kept = False

    def try_to_keep(path: str, found: Autotuned) -> None:
        nonlocal kept
        status.clear()
        kept = keeps(partial(keep_autotuned, path, found))

    def progress(what: str) -> None:
        status.show(f"calibrating: {what}")

    found = autotune(model, options, progress, keep=try_to_keep)
    if as_json:
        print_json(found)
    else:
        choices = msgspec.structs.asdict(found)
        for name, choice in choices.items():
            write(f"{name:10} {choice}\n")
        if kept:
            write(
                "Saved for this model on this machine, and used unless an option says otherwise.\n"
            )
    return 0


def _quick(model: str, options: LoadOptions, status: StatusLine, args: argparse.Namespace) -> int:
    from amulet_local.bench.report import run_quick

    quick = run_quick(model, options, lambda what: status.show(f"measuring: {what}"))
    status.clear()
    if args.json:
        print_json(quick)
    else:
        write("\n".join(_quick_lines(quick, as_markdown=args.markdown)) + "\n")
    return 0


def _quick_lines(quick: QuickReport, *, as_markdown: bool) -> list[str]:
    """What a user notices, as text or as a table of Markdown."""
    rows = [
        (name, f"{speed.median:.1f}", f"{speed.low:.1f} to {speed.high:.1f}", f"{first.median:.2f}")
        for name, speed, first in (
            ("plain", quick.plain, quick.plain_first_s),
            ("realigned", quick.realigned, quick.realigned_first_s),
        )
    ]
    if as_markdown:
        lines = ["| | tokens/s | range | first token of a new chat, s |", "|---" * 4 + "|"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    else:
        lines = [
            f"{name:10} {median:>6} tokens/s ({spread}), first token of a new chat after {first} s"
            for name, median, spread, first in rows
        ]
    told = f"A realigned token takes {quick.ratio:.2f} times as long as a plain one."
    return [f"{quick.description}, {quick.threads} threads", "", *lines, "", told]


def _print(report: Report) -> None:
    """A bar for each way to decode, then the tables."""
    from rich.table import Table

    shown = console()
    fastest = max(arm.tokens_per_s.median for arm in report.arms)
    bars = Table(box=None, pad_edge=False, title="tokens per second", title_justify="left")
    for heading in ("decoding method", "task", ""):
        bars.add_column(heading)
    for heading in ("median", "range", "overhead"):
        bars.add_column(heading, justify="right")
    for arm in report.arms:
        speed = arm.tokens_per_s
        bar = "█" * max(1, round(_BAR * speed.median / fastest))
        numbers = (f"{speed.median:.1f}", f"{speed.low:.0f} to {speed.high:.0f}")
        bars.add_row(arm.name, arm.task, f"{bar:{_BAR}}", *numbers, f"{arm.overhead:.2f}")
    shown.print(bars)
    for title, columns, rows in _tables(report)[1:]:
        table = Table(box=None, pad_edge=False, title=f"\n{title}", title_justify="left")
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for cells in rows:
            table.add_row(*cells)
        shown.print(table)


def markdown(report: Report) -> list[str]:
    """The report as lines of Markdown: one table a subject."""
    lines = [f"{report.description}, {report.threads} threads"]
    for title, heading, rows in _tables(report):
        lines += ["", f"**{title}**", "", f"| {' | '.join(heading)} |", "|---" * len(heading) + "|"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    return lines


def _tables(report: Report) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Title, heading and rows of each table."""
    plain = report.kv[0]
    overhead = (
        "decoding method",
        "task",
        "tokens/s",
        "range",
        "plain / it",
        "wall / llama_decode",
        "tokens per step",
    )
    return [
        (
            "Decoding",
            overhead,
            [
                (
                    arm.name,
                    arm.task,
                    f"{arm.tokens_per_s.median:.1f}",
                    f"{arm.tokens_per_s.low:.1f} to {arm.tokens_per_s.high:.1f}",
                    f"{arm.overhead:.2f}",
                    f"{arm.layer:.3f}",
                    f"{arm.tokens_per_step:.2f}",
                )
                for arm in report.arms
            ],
        ),
        (
            "Blocks on two streams",
            ("tokens in the block", "ms", "cost in single steps"),
            [
                (str(size), f"{ms:.1f}", f"{ms / report.block_ms[1]:.2f}")
                for size, ms in report.block_ms.items()
            ],
        ),
        (
            "Reading prompts",
            ("what", "seconds to first token", "range", "rows", "wall / llama_decode"),
            [
                (
                    turn.name,
                    f"{turn.time.median:.3f}",
                    f"{turn.time.low:.3f} to {turn.time.high:.3f}",
                    str(turn.rows),
                    f"{turn.layer:.3f}",
                )
                for turn in report.turns
            ],
        ),
        (
            "KV memory for a full context",
            ("arrangement", "cells", "MB", "relative to plain"),
            [
                (kv.name, str(kv.cells), f"{kv.size / 1e6:.1f}", f"{kv.size / plain.size:.2f}")
                for kv in report.kv
            ],
        ),
        (
            f"Time per token outside llama_decode, vocabulary {report.vocabulary:,}",
            ("part", "ms"),
            [(part, f"{ms:.3f}") for part, ms in report.outside_ms.items()],
        ),
    ]
