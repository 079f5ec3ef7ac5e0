"""Who moved a token: each preference's share in its lead over what base would rather have had.

A reading of a reply to a mix goes in; names of faders, the one that moved a token most, and marks
for the text come out. Shares are in nats and have signs (see amulet_local/measures.py).
"""

from __future__ import annotations

from amulet_local.chats.provenance import TokenMeasures
from tui.heatmap.tokens import Reading

LEAST_SHARE = 0.1  # nats, from which somebody is said to have moved a token
_RAISED = "¹²³⁴⁵⁶⁷"
_WISH = "wish"
_OWN_WORDS = "own words"


def faders_of(reading: Reading) -> tuple[str, ...]:
    """What the shares of a reply's tokens are of, in their order; empty for one preference."""
    origin = reading.node.origin
    if origin is None or not any(token.measures.shares for token in reading.tokens):
        return ()
    names = [fader.name or _OWN_WORDS for fader in origin.alignment.mix]
    return (*names, *([_WISH] if origin.wish else []))


def mover(measures: TokenMeasures) -> int | None:
    """The number of the fader with the largest share, from 0, whichever its sign; None where none
    did much."""
    shares = [abs(share) for share in measures.shares]
    most = max(shares, default=0.0)
    return shares.index(most) if most >= LEAST_SHARE else None


def marks(reading: Reading) -> list[str]:
    """Behind each token, the raised number of who moved it, where that is another one than before:
    no colour is needed to see it."""
    told, before = [], None
    for token in reading.tokens:
        who = mover(token.measures)
        changed = who is not None and who != before
        told.append(_RAISED[who] if changed and who is not None and who < len(_RAISED) else "")
        before = who
    return told
