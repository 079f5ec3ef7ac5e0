"""What the engine is asked: from a chat and how it is steered to a request, and from a stored reply
to the request that it was the answer to.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from amulet_local.chats.conversation import Node, Thought
from amulet_local.chats.provenance import Origin
from amulet_local.path_text import as_text
from amulet_local.presets.preset import USUAL_SAMPLING, Presets
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Alignment, Fader, Method
from amulet_local.protocol.message import Message, wishing
from amulet_local.protocol.messages import LARGEST_SEED, Reply
from amulet_local.settings import Settings
from amulet_local.strengths import strength_and_guard
from tui.session.changes import ChosenModel
from tui.session.steering import FaderChoice, SteeringChoice


def new_request(
    number: int,
    chat: str,
    path: Iterable[Node],
    model: ChosenModel | None,
    steering: SteeringChoice,
    settings: Settings,
    *,
    thinking: bool,
    begun: Node | None = None,
) -> Reply:
    """A reply to the last question of a path. number, chat: ids; the latter empty for a temporary
    chat. begun: what it begins with, as `own` makes it."""
    if begun and begun.origin and begun.thought.token_ids:
        thinking = begun.origin.thinking  # as it stood before this thought
    messages = tuple(own(node, model).message for node in path)
    return Reply(
        id=number,
        messages=messages,
        seed=secrets.randbelow(LARGEST_SEED + 1),
        system=steering.system or settings.system or DEFAULT_SYSTEM,
        alignment=alignment_of(steering, messages[-1].wish),
        max_tokens=settings.max_tokens,
        trace=bool(steering.preference or messages[-1].wish),
        chat=chat,
        begun=begun.message if begun else None,
        thinking=thinking,
        thought=begun.thought.token_ids if begun else (),
        learns=bool(chat),
    )


def old_request(
    number: int, chat: str, path: Iterable[Node], model: ChosenModel, reply: Node, origin: Origin
) -> Reply:
    """What a reply was asked with, to be read along both streams. path: to its question."""
    return Reply(
        id=number,
        messages=wishing([own(node, model).message for node in path], origin.wish),
        seed=origin.seed,
        system=origin.system,
        alignment=origin.alignment,
        trace=True,
        chat=chat,
        begun=reply.message,
        thinking=origin.thinking,
        thought=reply.thought.token_ids,
    )


def alignment_of(steering: SteeringChoice, wish: str) -> Alignment:
    """What the engine is told of a choice; without a preference or a wish, to leave the model as it
    is."""
    method: Method = "amulet" if steering.preference or wish else "base"
    strength, guard = strength_and_guard(method, steering.strength, steering.guard)
    return Alignment(
        preference="" if steering.mix else steering.preference,
        method=method,
        strength=strength,
        guard=guard,
        placement=steering.placement,
        sampling=USUAL_SAMPLING if wish and not steering.preference else steering.sampling,
        mix=steering.told if steering.mix else (),
    )


def own(node: Node, model: ChosenModel | None) -> Node:
    """A message as a model can read it: token ids mean something to the model alone that sampled
    them, so those of another one are left out, and its text is read."""
    if not node.message.token_ids and not node.thought.token_ids:
        return node
    if model and node.origin and as_text(model.path.name) == Path(node.origin.file).name:
        return node
    message = Message(node.message.role, node.message.text)
    return replace(node, message=message, thought=Thought(node.thought.text))


def origin_of(request: Reply, steering: SteeringChoice, model: ChosenModel | None) -> Origin:
    """What is kept of a request with the reply to it."""
    return Origin.of(
        request,
        model=model.name if model else "",
        file=as_text(model.path) if model else "",
        preset=steering.preset.name if steering.preset else "",
    )


def _fader(fader: Fader, presets: Presets) -> FaderChoice:
    preset = presets.presets.get(fader.name)
    words = "" if preset else fader.preference
    return FaderChoice(preset, words, fader.strength, muted=fader.muted)


def steering_of(origin: Origin, presets: Presets) -> SteeringChoice:
    """How a reply was steered; in words, where its preset is not there any more."""
    alignment = origin.alignment
    if alignment.mix:
        faders = [_fader(fader, presets) for fader in alignment.mix]
        mixed = SteeringChoice.to_mix(faders)
        return replace(mixed, guard=alignment.guard, placement=alignment.placement)
    if not alignment.preference and origin.wish:
        return SteeringChoice(strength=alignment.strength, guard=alignment.guard)
    if not alignment.preference:
        return SteeringChoice.to_preset(None)
    preset = presets.presets.get(origin.preset)
    words = "" if preset else alignment.preference
    return SteeringChoice(preset, words, alignment.strength, alignment.guard, alignment.placement)
