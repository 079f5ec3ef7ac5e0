"""Counts since the server began, as Prometheus reads them. They say nothing of what was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from amulet_local.protocol.messages import Stats
from amulet_local.server.slots import Slots


class Metrics:
    """Counters; for one event loop."""

    def __init__(self) -> None:
        self._responses: Counter[tuple[str, int]] = Counter()
        self._sums: Counter[str] = Counter()

    def answered(self, path: str, status: int) -> None:
        """A request had this answer."""
        self._responses[path, status] += 1

    def replied(self, stats: Stats) -> None:
        """A reply came to its end."""
        for name in ("prompt_tokens", "cached_tokens", "tokens", "first_token_s", "decode_s"):
            self._sums[name] += getattr(stats, name)
        self._sums["replies"] += 1

    def text(self, slots: Slots) -> str:
        """All of them."""
        return "\n".join([*self._lines(slots), ""])

    def _lines(self, slots: Slots) -> Iterator[str]:
        yield "# TYPE amulet_responses_total counter"
        for (path, status), count in sorted(self._responses.items()):
            yield f'amulet_responses_total{{path="{path}",status="{status}"}} {count}'
        for name, told in (
            ("replies", "replies_total"),
            ("prompt_tokens", "prompt_tokens_total"),
            ("cached_tokens", "cached_tokens_total"),
            ("tokens", "tokens_total"),
            ("first_token_s", "first_token_seconds_total"),
            ("decode_s", "decode_seconds_total"),
        ):
            yield f"# TYPE amulet_{told} counter"
            yield f"amulet_{told} {self._sums[name]:g}"
        for told, value in (
            ("slots", slots.count),
            ("slots_taken", slots.count - slots.free),
            ("requests_waiting", slots.waiting),
        ):
            yield f"# TYPE amulet_{told} gauge"
            yield f"amulet_{told} {value}"
