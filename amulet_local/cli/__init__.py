"""The command `amulet`: the chat, or one of the commands in the modules beside this one.

Only what the chosen command needs is imported, so that the chat opens at once. Every failure that
a user can meet ends here as one sentence on standard error and an exit code.
"""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from amulet_local import __version__
from amulet_local.cli.options import Parser, add_chat_options
from amulet_local.cli.output import is_dumb, say
from amulet_local.cli.standard_input import piped
from amulet_local.cli.streams import is_closed, make_whole, replace_closed, write_no_more
from amulet_local.errors import INTERRUPTED, AmuletError, NotUsableError, UsageError, advice, cause
from amulet_local.settings import load_settings, mend_folders

_COMMANDS = ("ask", "models", "presets", "chats", "bench", "eval", "calibrate", "serve", "doctor")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. --help and --version raise SystemExit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see __main__.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    replace_closed()
    make_whole()
    try:
        try:
            code = _run(sys.argv[1:] if arguments is None else list(arguments))
        except SystemExit:  # of --help and --version
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except AmuletError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has read enough
        write_no_more()
        return 0
    except ModuleNotFoundError as error:
        say(f"the package {error.name} is missing; reinstall Amulet with its dependencies.")
        return NotUsableError.exit_code
    except ImportError as error:  # a library that the system does not load; the last line says why
        why = str(error).strip().rpartition("\n")[2] or "no reason was given"
        say(
            f"a part of Amulet cannot be loaded ({why}); free some memory, or reinstall Amulet "
            "with its dependencies."
        )
        return NotUsableError.exit_code
    except MemoryError:
        say("there is not enough memory; close other programs, then try again.")
        return AmuletError.exit_code
    except OSError as error:
        closed = error.errno == errno.EBADF and is_closed()
        try:
            sys.stdout.flush()
        except OSError:
            write_no_more()  # else the interpreter tries once more, and complains
        if closed:
            say(
                "standard output is closed, so there is nowhere to write the result; leave it open."
            )
            return AmuletError.exit_code
        named = error.filename2 or error.filename  # of a rename, what it was to be
        place = f"{named}: " if named else ""
        remedy = advice(error, "fix that and try again")
        say(f"the operating system reported an error ({place}{cause(error)}); {remedy}.")
        return AmuletError.exit_code
    except Exception as error:  # what nobody foresaw
        from amulet_local.unexpected import told

        say(told(error))
        return AmuletError.exit_code
    return code


def _run(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first in _COMMANDS:
        commands: tuple[str, ...] = (first,)
    elif {"-h", "--help"} & set(arguments):
        commands = _COMMANDS
    elif first and not first.startswith("-"):
        raise UsageError(
            f"there is no command {first!r}, only {', '.join(_COMMANDS)}; to ask a question, "
            f"type: amulet ask {shlex.quote(first)}"
        )
    elif first != "--version" and piped():
        return _run(["ask", *arguments])
    else:
        commands = ()
    args = _parser(commands).parse_args(arguments)
    mend_folders()
    code: int = args.run(args)
    return code


def _parser(commands: Sequence[str]) -> Parser:
    """A parser that knows these commands, and the chat."""
    parser = Parser(
        prog="amulet",
        description="Chat with a local model, with every token realigned to your preference.",
        epilog="Without a command, the chat opens; piped input is answered as with ask.",
    )
    parser.add_argument("--version", action="version", version=f"amulet {__version__}")
    parser.add_argument(
        "--temporary", action="store_true", help="begin with a chat that is never saved"
    )
    add_chat_options(parser)
    parser.set_defaults(run=_chat)
    if commands:
        subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
        for command in commands:
            import_module(f"amulet_local.cli.{command}").add_parser(subparsers)
    return parser


def _chat(args: argparse.Namespace) -> int:
    if is_dumb():
        raise UsageError(
            f"this terminal cannot show the chat (TERM is {os.environ['TERM']}); use another, or "
            'ask one question at a time: amulet ask "question"'
        )
    settings = load_settings()  # what is to be told of them, the app tells
    from amulet_local.cli.loading import load_options
    from amulet_local.cli.preferences import chosen_preferences
    from tui.app import run_chat

    chosen = chosen_preferences(args.preferences, settings.preset)

    return run_chat(
        model=args.model or settings.model,
        faders=chosen.faders,
        together=chosen.together,
        strength=args.strength,
        thinking=args.thinking,
        temporary=args.temporary,
        options=load_options(settings, args),
    )
