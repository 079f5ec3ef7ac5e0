"""Blind votes: which strengths of presets people liked best, not knowing which was which.

Ballots go into the store, and come out counted, with the strength that they speak for. Nothing
here knows of screens or engines.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from amulet_local.chats.database import Database
from amulet_local.chats.database_errors import as_stored
from amulet_local.chats.ids import new_id

Act = Callable[[sqlite3.Connection], object]

FEWEST = 3  # votes that are worth a suggestion
_DECIMALS = 2  # of a strength, as people see it


@dataclass(frozen=True)
class Choice:
    """What stood on a ballot: a preset at a strength. 0 is base, 1 the prompt only."""

    preset: str
    strength: float


@dataclass(frozen=True)
class Tally:
    """How the votes for a preset went. won: by strength, rounded; what never won is left out."""

    votes: int
    won: dict[float, int]

    @property
    def favourite(self) -> float | None:
        """The strength with most votes; None while there are few, or several have as many."""
        ranked = sorted(self.won.items(), key=lambda item: -item[1])
        if self.votes < FEWEST or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
            return None
        return ranked[0][0]


@dataclass(frozen=True)
class Ballot:
    """A vote between mixes, each as its presets' strengths, and the number of the one that won."""

    mixes: tuple[Mapping[str, float], ...]
    chosen: int


class Votes:
    """The ballots of a store. Every method raises as those of History do."""

    def __init__(self, database: Database, save: Callable[[Act], object]) -> None:
        self._database, self._save = database, save

    def add(self, model: str, ballot: Sequence[Choice], chosen: int) -> None:
        """Keep a ballot. model: what wrote the replies. chosen: the number of the choice."""
        name = new_id()
        rows = [
            (name, model, choice.preset, round(choice.strength, _DECIMALS), at == chosen)
            for at, choice in enumerate(ballot)
        ]
        add = "INSERT INTO votes (ballot, model, preset, strength, won) VALUES (?, ?, ?, ?, ?)"
        self._save(lambda db: db.executemany(add, rows))

    def add_mixes(self, model: str, ballot: Sequence[Mapping[str, float]], chosen: int) -> None:
        """Keep a ballot of mixes, each as its presets' strengths; one without any is base."""
        name = new_id()
        rows = [
            (name, model, preset, round(strength, _DECIMALS), number == chosen, number)
            for number, mix in enumerate(ballot)
            for preset, strength in (mix or {"": 0.0}).items()
        ]
        add = (
            "INSERT INTO votes (ballot, model, preset, strength, won, choice) "
            "VALUES (?, ?, ?, ?, ?, ?)"
        )
        self._save(lambda db: db.executemany(add, rows))

    def ballots(self, model: str) -> list[Ballot]:
        """All votes on a model, oldest first; what has one preset is a mix of one."""
        with self._database.reading() as db:
            found_rows = db.execute(
                """SELECT ballot, coalesce(choice, number), preset, strength, won FROM votes
                WHERE model = ? ORDER BY number""",
                (model,),
            ).fetchall()
            rows = as_stored(found_rows, list[tuple[str, int, str, float, int]])
        found: dict[str, dict[int, dict[str, float]]] = {}
        chosen: dict[str, int] = {}
        for ballot, choice, preset, strength, won in rows:
            mixes = found.setdefault(ballot, {})
            mixes.setdefault(choice, {}).update({preset: strength} if preset else {})
            if won:
                chosen[ballot] = list(mixes).index(choice)
        return [
            Ballot(tuple(found[name].values()), chosen[name]) for name in found if name in chosen
        ]

    def tally(self, model: str, preset: str) -> Tally:
        """How the votes between strengths of a preset went, on a model.

        Votes that another preset won say nothing about this one's strengths, and are left out.
        """
        with self._database.reading() as db:
            rows = db.execute(
                """SELECT strength, count(*) FROM votes
                WHERE model = ? AND preset = ? AND won AND choice IS NULL
                GROUP BY strength""",
                (model, preset),
            ).fetchall()
            won = as_stored(rows, list[tuple[float, int]])
        return Tally(sum(count for _, count in won), dict(won))
