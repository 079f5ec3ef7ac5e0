"""Replies as OpenAI's API tells them: whole, or in chunks while they are written.

The engine's events go in, documents come out. A field `amulet` beside OpenAI's tells how a reply
was steered and what was measured of it.
"""

from __future__ import annotations

import math
import secrets
import statistics
import time
from collections.abc import Sequence
from typing import Any

from amulet_local.chats.followed import degree_of, gain_of
from amulet_local.protocol.messages import Candidate, Finished, Reply, Stats, Step

_STATS = (
    "cached_tokens",
    "evaluated_tokens",
    "streams",
    "blocks",
    "prefill_s",
    "first_token_s",
    "decode_s",
    "tokens_per_s",
)


class Choice:
    """One reply as it grows."""

    def __init__(self, index: int, request: Reply) -> None:
        self.index, self.request = index, request
        self.finished: Finished | None = None
        self.steps: list[Step] = []
        self.told = 0  # characters of the text
        self.thought = ""
        self._listed = request.likeliest is not None

    def add(self, event: Step | Finished) -> str:
        """Take an event; returns what it adds to the text."""
        if isinstance(event, Step):
            self.steps.append(event)
            self.thought += event.thought
            self.told += len(event.text)
            return event.text
        self.finished = event
        rest = event.text[self.told :]
        self.told += len(rest)
        return rest

    @property
    def text(self) -> str:
        """All of it, once it is finished."""
        return self.finished.text if self.finished else ""

    @property
    def reason(self) -> str:
        """Why it ended, in OpenAI's words."""
        return "length" if self.finished and self.finished.reason == "length" else "stop"

    def chat_logprobs(self, steps: Sequence[Step]) -> dict[str, Any] | None:
        """Of these steps, as chat completions have them."""
        if not self._listed:
            return None
        content = []
        for step in steps:
            chosen, *likeliest = step.candidates or (Candidate(step.token, step.text, 0.0),)
            content.append({**_logprob(chosen), "top_logprobs": [*map(_logprob, likeliest)]})
        return {"content": content, "refusal": None}

    def plain_logprobs(self, steps: Sequence[Step], offset: int) -> dict[str, Any] | None:
        """Of these steps, as completions have them. offset: characters told before."""
        if not self._listed:
            return None
        chosen = [step.candidates[0] for step in steps if step.candidates]
        offsets = []
        for each in chosen:
            offsets.append(offset)
            offset += len(each.text)
        return {
            "tokens": [each.text for each in chosen],
            "token_logprobs": [_logarithm(each.p) for each in chosen],
            "top_logprobs": [
                {each.text: _logarithm(each.p) for each in reversed(step.candidates[1:])}
                for step in steps
                if step.candidates
            ],
            "text_offset": offsets,
        }

    def measured(self) -> dict[str, Any]:
        """How it was steered, and what came of that."""
        alignment = self.request.alignment
        shifts = [step.shift for step in self.steps if step.shift is not None]
        gain = gain_of(self.steps)
        document: dict[str, Any] = {
            "method": alignment.method if self.request.steered else "base",
            "preferences": [
                {"name": fader.name or None, "strength": fader.strength}
                for fader in alignment.faders
            ],
            "guard": alignment.guard,
            "placement": alignment.placement,
            "seed": self.request.seed,
            "mean_shift": statistics.fmean(shifts) if shifts else None,
            "gain": gain,
            "followed": None if gain is None else degree_of(gain),
        }
        if self.finished:
            stats = self.finished.stats
            document["stats"] = {name: getattr(stats, name) for name in _STATS}
        return document


class Document:
    """The answer to one request, whole or in chunks. kind: "chat" or "text"."""

    def __init__(self, model: str, requests: Sequence[Reply], *, chat: bool) -> None:
        self._chat = chat
        self._head = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
        }
        self.choices = {
            request.id: Choice(index, request) for index, request in enumerate(requests)
        }

    def whole(self, usage: dict[str, Any]) -> dict[str, Any]:
        """All of it, once all choices are finished."""
        choices = []
        for choice in self.choices.values():
            shared = {"index": choice.index, "finish_reason": choice.reason}
            if self._chat:
                message: dict[str, Any] = {
                    "role": "assistant",
                    "content": choice.text,
                    "refusal": None,
                }
                if choice.thought:
                    message["reasoning_content"] = choice.thought
                logprobs = choice.chat_logprobs(choice.steps)
                choices.append({**shared, "message": message, "logprobs": logprobs})
            else:
                logprobs = choice.plain_logprobs(choice.steps, 0)
                choices.append({**shared, "text": choice.text, "logprobs": logprobs})
        return {
            **self._head,
            "object": "chat.completion" if self._chat else "text_completion",
            "choices": choices,
            "usage": usage,
            "amulet": self._measured(),
        }

    def begin(self) -> list[dict[str, Any]]:
        """The chunks before any text."""
        if not self._chat:
            return []
        delta = {"role": "assistant", "content": "", "refusal": None}
        return [
            self._chunk(choice, {"delta": delta, "logprobs": None})
            for choice in self.choices.values()
        ]

    def chunks(self, event: Step | Finished) -> list[dict[str, Any]]:
        """What is to be told of an event."""
        choice = self.choices[event.id]
        before = choice.told
        text = choice.add(event)
        steps = [event] if isinstance(event, Step) else []
        thought = event.thought if isinstance(event, Step) else ""
        chunks = []
        if text or thought or (steps and choice.request.likeliest is not None):
            if self._chat:
                delta = {"content": text} if text or not thought else {}
                delta |= {"reasoning_content": thought} if thought else {}
                told: dict[str, Any] = {"delta": delta, "logprobs": choice.chat_logprobs(steps)}
            else:
                told = {"text": text, "logprobs": choice.plain_logprobs(steps, before)}
            chunks.append(self._chunk(choice, told))
        if isinstance(event, Finished):
            last: dict[str, Any] = {"delta": {}} if self._chat else {"text": ""}
            end = self._chunk(choice, {**last, "logprobs": None}, choice.reason)
            chunks.append({**end, "amulet": choice.measured()})
        return chunks

    def usage_chunk(self, usage: dict[str, Any]) -> dict[str, Any]:
        """The last one, where it was asked for; it has no choices."""
        return {**self._head, "object": self._kind, "choices": [], "usage": usage}

    def usage(self) -> dict[str, Any]:
        """Tokens of the prompt and of all choices."""
        stats = [choice.finished.stats for choice in self.choices.values() if choice.finished]
        prompt = max((each.prompt_tokens for each in stats), default=0)
        written = sum(each.tokens for each in stats)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": _cached(stats)},
        }

    @property
    def _kind(self) -> str:
        return "chat.completion.chunk" if self._chat else "text_completion"

    def _chunk(
        self, choice: Choice, told: dict[str, Any], reason: str | None = None
    ) -> dict[str, Any]:
        shared = {"index": choice.index, **told, "finish_reason": reason}
        return {**self._head, "object": self._kind, "choices": [shared]}

    def _measured(self) -> Any:
        measured = [choice.measured() for choice in self.choices.values()]
        return measured[0] if len(measured) == 1 else measured


def _cached(stats: Sequence[Stats]) -> int:
    """Of the first choice's longest prompt, at most: streams count theirs together."""
    return min((stats[0].cached_tokens, stats[0].prompt_tokens)) if stats else 0


def _logprob(candidate: Candidate) -> dict[str, Any]:
    # A part of a character is no text, and which bytes it has is not known here.
    whole = "\ufffd" not in candidate.text
    return {
        "token": candidate.text,
        "logprob": _logarithm(candidate.p),
        "bytes": list(candidate.text.encode()) if whole else None,
    }


def _logarithm(p: float) -> float:
    """Natural, and a number even where it is impossible, as OpenAI has it."""
    return min(0.0, math.log(p)) if p > 0 else -9999.0
