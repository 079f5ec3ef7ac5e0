"""`amulet serve`: the model for other programs, by OpenAI's API, with the dial."""

from __future__ import annotations

import argparse
import logging
import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import msgspec

from amulet_local.cli.loading import chat_model, load_options
from amulet_local.cli.options import Subparsers, add_load_options, add_preset, value, words
from amulet_local.cli.output import StatusLine, say, write
from amulet_local.cli.preferences import chosen_preferences
from amulet_local.engine.client import EngineProcess
from amulet_local.errors import AmuletError, EngineDiedError, NotUsableError, UsageError
from amulet_local.path_text import as_text
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Strength
from amulet_local.protocol.loading import LoadOptions, Memory
from amulet_local.protocol.messages import MOST_PARALLEL, Died, Failed, Loaded, Loading, Notice
from amulet_local.server.address import Address, told
from amulet_local.server.app import make_app
from amulet_local.server.asking import Limits
from amulet_local.server.desk import Desk
from amulet_local.server.keys import read_or_make_key
from amulet_local.server.running import listening_socket, serve, url_of
from amulet_local.server.security import LOOPBACK, Access
from amulet_local.server.steering import House
from amulet_local.settings import data_folder, load_settings
from amulet_local.system.heap import give_back_large_blocks
from amulet_local.system.process_ids import this_process
from models import lookup
from models.memory import needs_of

_PORT = 8017
_PARALLEL = 8
_WAITING = 4  # for each slot
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/]+", re.IGNORECASE)


def add_parser(subparsers: Subparsers) -> None:
    """Add `serve`; it sets `run`, which returns the exit code."""
    parser = subparsers.add_parser(
        "serve",
        help="serve the model to other programs over OpenAI's API",
        description="Serve the model to other programs on this computer over OpenAI's API. They "
        "choose preferences with extra fields, or in the model's name: NAME@concise:2.5.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("-m", "--model", metavar="MODEL", help="a model name, or a GGUF file")
    parser.add_argument("--host", default="127.0.0.1", type=words, help="the address to listen on")
    parser.add_argument(
        "--port",
        metavar="N",
        type=value(_whole(0, 65535)),
        default=_PORT,
        help="the port to listen on; 0 picks a free one",
    )
    parser.add_argument(
        "--parallel",
        metavar="N",
        type=value(_whole(1, MOST_PARALLEL)),
        default=_PARALLEL,
        help="how many replies are written at once; other requests wait",
    )
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        type=Path,
        help="the file with the key that clients must send; created if it does not exist",
    )
    parser.add_argument(
        "--allow-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="a website that may use the server, such as http://localhost:3000; may be repeated",
    )
    parser.add_argument(
        "--ignore-tools",
        action="store_true",
        help="answer requests that offer tools in words; otherwise they are refused",
    )
    usual = parser.add_argument_group("preferences for requests that do not name their own")
    add_preset(usual)
    usual.add_argument(
        "--strength", metavar="S", type=value(Strength), help="how strongly they are followed"
    )
    parser.set_defaults(preferences=None)
    add_load_options(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal asks for the end; returns 0."""
    give_back_large_blocks()
    settings = load_settings(say)
    usual = chosen_preferences(args.preferences, "")
    origins = _origins(args.allow_origin)
    model = chat_model(args.model or settings.model)
    with listening_socket(args.host, args.port) as listening:
        # A key is made last, once nothing else is missing.
        access = Access(_key(args.key_file, args.host), origins)
        engine = EngineProcess(partial(_needs, args.parallel), parallel=args.parallel)
        previous = signal.signal(signal.SIGTERM, _end)
        try:
            card = _load(engine, model, load_options(settings, args))
            name = _name_of(model, card)
            house = House(
                name,
                as_text(model),
                system=settings.system or DEFAULT_SYSTEM,
                usual=usual.faders,
                together=usual.together,
                strength=args.strength,
            )
            limits = Limits(
                card.context, args.parallel, settings.max_tokens, ignores_tools=args.ignore_tools
            )
            desk = Desk(engine, args.parallel, _WAITING * args.parallel)
            url = url_of(listening)
            logging.basicConfig(level=logging.ERROR, format="amulet: %(message)s")
            # The server raises once more what ended it, when it has ended.
            with told(Address(url, name, this_process())), suppress(KeyboardInterrupt):
                _greet(url, name, access)
                serve(make_app(desk, house, limits, access), listening)
        finally:
            engine.close()
            signal.signal(signal.SIGTERM, previous)
    return 0


def _whole(least: int, most: int) -> object:
    return Annotated[int, msgspec.Meta(ge=least, le=most)]


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """While the model is loaded; afterwards the server's own handler stands here."""
    raise KeyboardInterrupt


def _origins(given: Sequence[str]) -> tuple[str, ...]:
    for origin in given:
        if not _ORIGIN.fullmatch(origin):
            raise UsageError(
                f"--allow-origin must be a page's origin, such as http://localhost:3000, not "
                f"{origin!r}."
            )
    return tuple(given)


def _key(file: Path | None, host: str) -> str:
    """What clients must send; "" for nothing. A key is needed where other machines can reach the
    server."""
    if file is None and host.strip("[]").casefold() not in LOOPBACK:
        file = data_folder() / "server.key"
    if file is None:
        return ""
    key, made = read_or_make_key(file.absolute())
    if made:
        say(f"clients must send this key, which is kept in {as_text(file)}: {key}")
    else:
        say(f"clients must send the key in {as_text(file)}.")
    return key


def _needs(parallel: int, model: str, options: LoadOptions) -> tuple[Memory, ...]:
    """What the model takes with the cells of so many replies in place of two streams'."""
    times = max(2, parallel // 2) / 2
    return tuple(
        msgspec.structs.replace(memory, kv=int(memory.kv * times))
        for memory in needs_of(model, options)
    )


def _load(engine: EngineProcess, model: Path, options: LoadOptions) -> Loaded:
    status = StatusLine()
    engine.load(as_text(model), options)
    try:
        while True:
            event = engine.events.get()
            match event:
                case Loading():
                    status.show(f"Loading the model: {event.fraction:.0%}")
                case Loaded():
                    return event
                case Notice():
                    status.clear()
                    say(event.text)
                case Failed():
                    raise _error(event)
                case Died():
                    raise EngineDiedError(event.text)
    finally:
        status.clear()


def _error(failed: Failed) -> AmuletError:
    kinds = {kind.exit_code: kind for kind in (UsageError, NotUsableError, EngineDiedError)}
    return kinds.get(failed.exit_code, AmuletError)(failed.text)


def _name_of(model: Path, card: Loaded) -> str:
    """What clients call it: without what a model's name has a meaning for here."""
    called = lookup.called(model) or card.model
    return re.sub(r"[^A-Za-z0-9._/-]+", "-", called.rpartition("/")[2]).strip("-") or "model"


def _greet(url: str, name: str, access: Access) -> None:
    key = ' -H "Authorization: Bearer KEY"' if access.key else ""
    write(
        f"{name} is served at {url}/v1, for example: curl {url}/v1/chat/completions{key} "
        f"""-d '{{"model": "{name}@concise", "messages": """
        """[{"role": "user", "content": "Hello!"}]}'\n"""
    )
