"""The request for one reply: what was typed, over the preset, the settings, and what is usual.

Arguments of `amulet ask` go in, a Reply for the engine comes out; what contradicts itself raises
UsageError.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from typing import cast

from msgspec import structs

from amulet_local.chats.wishes import split_wish, user_message
from amulet_local.cli.options import with_given
from amulet_local.cli.output import say
from amulet_local.cli.preferences import Selection
from amulet_local.cli.standard_input import piped, read_input, unread_input
from amulet_local.errors import UsageError
from amulet_local.presets.calibrated import calibrated_strength, usual_strength
from amulet_local.presets.mixing import Chosen, borne, scaled, total
from amulet_local.presets.preset import bounded_strength, explodes
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Alignment, Fader, Method, Sampling
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import LARGEST_SEED, Reply
from amulet_local.settings import Settings
from amulet_local.strengths import AMULET, BASE, METHODS, Update


def read_question(typed: str | None, wishes: Sequence[str], *, below: bool) -> Message:
    """The question; standard input where there is none, and below it only where that was asked for:
    in a loop, the rest of it is not for this command, and a pipe may stay open for ever.

    wishes: given by themselves, behind those that were typed with the question. What is piped is
    text, whatever it looks like.
    """
    if not all(map(str.strip, wishes)):
        raise UsageError("--wish is empty; say in words what this reply should be like.")
    wish = ""
    if typed is None or typed == "-":
        if not below and typed is None and not piped():
            raise UsageError('there is no question; type one like this: amulet ask "question"')
        typed = read_input()
    else:
        typed, wish = split_wish(typed)
        if below and (text := read_input()):
            typed = f"{typed}\n\n{text}"
        elif below:
            say("standard input is empty, so nothing was appended to the question.")
    if not typed.strip() and not wish:
        raise UsageError('the question is empty; type one like this: amulet ask "question"')
    return user_message(typed, "\n".join([wish, *wishes]))


def told_unread() -> bool:
    """Whether something was piped for nothing; then that is said."""
    if unread := unread_input():
        say("standard input was not read; to append it to the question, add: -")
    return unread


def build_request(
    args: argparse.Namespace,
    settings: Settings,
    question: Message,
    chosen: Selection,
    model: str,
) -> Reply:
    """What was typed, over the preset or mix, over the settings, over what is usual."""
    only, together = chosen.only, chosen.together
    steered = bool(chosen.faders or question.wish)
    method, strength = _steering(args, chosen, model, steered=steered)
    alignment = Alignment(
        preference=only.preference if only else "",
        method=method,
        strength=strength,
        guard=together.guard,
        placement=together.placement,
        sampling=with_given(_usual_sampling(args, chosen, steered=steered), args),
        mix=_mix(args, chosen, model) if chosen.faders and not only else (),
    )
    request = Reply(
        id=1,
        messages=(question,),
        seed=secrets.randbelow(LARGEST_SEED + 1),
        system=together.system or settings.system or DEFAULT_SYSTEM,
        alignment=with_given(alignment, args),
        max_tokens=settings.max_tokens,
        stop=tuple(args.stop_at),
        thinking=settings.thinking,
    )
    compares = METHODS[method].guarded  # so that what it did costs next to nothing to measure
    # What is to come out the same once more is not to depend on what was learned meanwhile.
    repeats = args.seed is not None or request.alignment.sampling.temperature == 0
    return structs.replace(
        with_given(request, args), trace=args.trace or compares, learns=not repeats
    )


def _mix(args: argparse.Namespace, chosen: Selection, model: str) -> tuple[Fader, ...]:
    """The faders, turned together where a strength was typed; what they come to is said where the
    model does not bear it."""
    faders = tuple(each.on(model) for each in chosen.faders)
    if args.strength is not None:
        return scaled(faders, args.strength)
    most = borne(model, [each.preset for each in chosen.faders if each.preset])
    if args.method in (None, "amulet") and total(faders) > most:
        say(
            f"the strengths add up to {total(faders):.3g}, but this model can take only about "
            f"{most:.3g}; to scale them together, add: --strength {most:.3g}"
        )
    return faders


def _steering(
    args: argparse.Namespace, chosen: Selection, model: str, *, steered: bool
) -> tuple[Method, float]:
    """The method and the strength that it comes to. steered: whether there is something to
    follow."""
    typed = _chosen_strength(args)
    if not steered:
        if typed is not None or args.method not in (None, "base"):
            raise UsageError(
                "there is no preference to realign to; add -p PRESET, --preference TEXT or "
                "--wish TEXT."
            )
        return "base", BASE
    method: Method = args.method or "amulet"
    fixed = METHODS[method].strength
    if chosen.faders and not chosen.only and typed != args.strength:
        raise UsageError(
            "the paper's parameters are for one preference; give a --strength instead."
        )
    if typed is not None and chosen.only and chosen.only.strength is not None and not chosen.mix:
        raise UsageError("the strength is given twice; leave out one of the two.")
    if fixed is None:
        return method, _usual_strength(args, chosen.only, model) if typed is None else typed
    if typed is not None:
        raise UsageError(
            f"--method {method} has a strength of its own, {fixed:g}; leave out the method or the "
            "strength."
        )
    return method, fixed


def _usual_strength(args: argparse.Namespace, only: Chosen | None, model: str) -> float:
    """Where none was typed: what suits the preset, as it is used, on this model."""
    if only is None or only.preset is None or only.strength is not None:
        return (only or Chosen()).on(model).strength
    used = with_given(only.preset, args)
    if calibrated_strength(model, used) is not None:
        say(
            f"using strength {usual_strength(model, used):g}, calibrated for {used.name} on this "
            "model."
        )
    return usual_strength(model, used)


def _usual_sampling(args: argparse.Namespace, chosen: Selection, *, steered: bool) -> Sampling:
    """What the preset or the mix says; the paper has no penalties."""
    return Sampling() if args.paper or not steered else chosen.together.sampling


def _chosen_strength(args: argparse.Namespace) -> float | None:
    """The strength that was typed, as such or as the paper's parameters."""
    names = ("iterations", "alpha", "lambda_", "eta")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if not given:
        return cast("float | None", args.strength)
    if args.strength is not None:
        raise UsageError("--strength and the paper's parameters cannot be combined; choose one.")
    try:
        update = Update(**given)
        strength = bounded_strength(update)
    except ValueError as error:
        raise UsageError(f"{error}.") from None
    if explodes(update):
        say(
            "with alpha above lambda, iterations make the strength grow without limit: here it "
            f"is {strength:.3g}, while the paper's defaults give {AMULET:.3g}."
        )
    return strength
