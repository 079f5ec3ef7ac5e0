"""What could have been said at every token of a reply, asked of the engine once and then kept.

A Reading goes in; candidates by the token's number come out, or a sentence that says why there are
none (yet). Nothing here knows of widgets.
"""

from __future__ import annotations

from pathlib import Path

from amulet_local.engine.client import EngineHandle
from amulet_local.path_text import as_text
from amulet_local.protocol.messages import (
    Candidates,
    Died,
    Event,
    Examined,
    Failed,
    Loaded,
    Prefilling,
    Reply,
)
from tui.heatmap.tokens import Reading
from tui.session.requests import old_request
from tui.session.session import Session

_UNKNOWN = "Alternatives cannot be shown: not all tokens of this reply are known."
_THOUGHT = "Alternatives cannot be shown: the thinking before it is not known."
_DAMAGED = "Alternatives cannot be shown: the engine sees other tokens in this reply."


class Alternatives:
    """One reply, looked at. `ask` may be called at any time; the engine is asked once."""

    def __init__(self, session: Session, reading: Reading) -> None:
        self._session, self._reading = session, reading
        self._places: dict[int, Candidates] = {}
        self._request: Reply | None = None
        self._why = ""
        self._closed = False

    def at(self, number: int) -> Candidates | None:
        """What could have been said in place of a token, once that is known."""
        return self._places.get(self._reading.before + number)

    @property
    def why(self) -> str:
        """Why some of it is not known, in a sentence; empty where all is."""
        return self._why

    def ask(self) -> None:
        """Ask the engine, if it can be asked and has not been."""
        if self._request or self._closed:
            return
        self._why = self._obstacle()
        session, node = self._session, self._reading.node
        if self._why or node.origin is None or session.model is None:
            return
        path = session.chat.conversation.path(node.parent)
        request = old_request(
            session.next_id(), session.chat.id, path, session.model, node, node.origin
        )
        strengths = [token.measures.used for token in self._reading.tokens]
        before = [strengths[0]] * self._reading.before

        def begin(engine: EngineHandle) -> None:
            engine.examine(request, (*before, *strengths))

        if refusal := session.lend(self._take, begin):
            self._why = f"{refusal} Alternatives will be shown after that."
        else:
            self._request, self._why = request, "Reading the reply…"

    def close(self) -> None:
        """Nobody looks any more; what the engine is asked next is not stopped by this."""
        if self._request and self._why and not self._closed:
            self._session.take_back()
        self._closed = True

    def _obstacle(self) -> str:
        """Why the engine is not to be asked about this reply."""
        origin, model = self._reading.node.origin, self._session.model
        if not self._reading.known or origin is None:
            return _UNKNOWN
        if (thought := self._reading.node.thought).text and not thought.token_ids:
            return _THOUGHT
        if model is None:
            return f"Alternatives need {origin.model}, but no model is loaded."
        if as_text(model.path.name) != Path(origin.file).name:
            written = Path(origin.file).name or origin.model
            return (
                f"Alternatives need the model that wrote this reply, {written}, but "
                f"{model.path.name} is loaded."
            )
        return ""

    def _take(self, event: Event) -> None:
        request = self._request.id if self._request else 0
        match event:
            case Loaded() if self._why:
                self._why = "Reading the reply…"
            case Prefilling() if self._why:
                self._why = f"Reading the reply… {event.done:,}/{event.total:,}"
            case Examined() if event.id == request:
                self._take_places(event)
            case Failed() if event.id == request:
                self._why = f"Alternatives cannot be shown: {event.text}"
            case Failed(id=None) | Died():
                self._why = event.text

    def _take_places(self, event: Examined) -> None:
        end = event.start + len(event.candidates)
        if event.total != len(self._reading.node.message.token_ids) or end > event.total:
            self._why = _DAMAGED
            return
        self._places |= dict(enumerate(event.candidates, event.start))
        known = len(self._places)
        self._why = "" if known == event.total else f"Reading the reply… {known:,}/{event.total:,}"
