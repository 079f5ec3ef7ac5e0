"""What realignment did at one token: how far it moved the distribution, who moved it, what else was
likely.

Rows of logits go in, as realignment.py knows them; numbers come out, in nats and probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amulet_local.realignment import Row, Rows, Workspace

LARGEST_SHARE = 1e6  # nats


@dataclass(frozen=True, slots=True)
class Measures:
    """What realignment did at one token.

    shift: KL(realigned || pref) in nats. flip: the greedy choice differs from pref's.
    flip_strength: the smallest strength above 1 at which the greedy choice among the kept tokens
    leaves pref's; inf if none does. The rest: log-probabilities of the chosen token in nats. Of a
    mix, pref is what prompting for it would say (see `prompted`).
    """

    shift: float
    flip: bool
    flip_strength: float
    logp_base: float
    logp_pref: float
    logp_realigned: float


def listed(row: Row, token: int, count: int, work: Workspace) -> tuple[tuple[int, float], ...]:
    """A token of a row of logits (vocabulary,) with its probability, then the `count` likeliest."""
    p = math.exp(float(row[token]) - _log_normaliser(row, work))
    return ((token, p), *(likeliest(row, count, work) if count else ()))


def measure(base: Row, pref: Row, token: int, guarded: bool, work: Workspace) -> Measures:
    """Compare `work.realigned` with the two rows, each float32 (vocabulary,).

    guarded: whether a floor was applied; then only the few kept tokens are looked at.
    """
    realigned = work.realigned
    z_base, z_pref = _log_normaliser(base, work), _log_normaliser(pref, work)
    chosen = [float(row[token]) for row in (base, pref, realigned)]
    kept_base, kept_pref, kept_realigned = base, pref, realigned
    if guarded:
        kept = np.flatnonzero(np.isfinite(realigned, out=work.mask))
        kept_base, kept_pref, kept_realigned = base[kept], pref[kept], realigned[kept]
    shift, z_realigned = _divergence(kept_realigned, kept_pref, z_pref, work)
    return Measures(
        shift=shift,
        flip=bool(kept_realigned.argmax() != kept_pref.argmax()),
        flip_strength=_flip_strength(kept_base, kept_pref, work),
        logp_base=chosen[0] - z_base,
        logp_pref=chosen[1] - z_pref,
        logp_realigned=chosen[2] - z_realigned,
    )


def shares(logits: Rows, strengths: Sequence[float], token: int) -> tuple[float, ...]:
    """What each preference added to a token's lead over its rival, in nats, signed.

    The rival r is base's likeliest token but for the chosen one, t. With d_k = pref_k - base,
    share_k = s_k (d_k(t) - d_k(r)), so that base's own lead and all shares sum to the realigned
    one: nothing is left over. What a stream rules out counts as LARGEST_SHARE.
    """
    base = logits[0]
    (first, second) = np.argpartition(base, -2)[-2:] if base.size > 2 else (0, base.size - 1)
    best, other = (first, second) if base[first] >= base[second] else (second, first)
    rival = other if best == token else best
    told = []
    for pref, strength in zip(logits[1:], strengths, strict=True):
        with np.errstate(invalid="ignore"):
            lead = float(pref[token] - base[token]) - float(pref[rival] - base[rival])
        share = strength * lead if strength else 0.0
        share = 0.0 if math.isnan(share) else share
        told.append(min(LARGEST_SHARE, max(-LARGEST_SHARE, share)))
    return tuple(told)


def likeliest(row: Row, count: int, work: Workspace) -> list[tuple[int, float]]:
    """The `count` likeliest tokens of a row of logits (vocabulary,), best first, with their
    probabilities; impossible ones are left out."""
    z = _log_normaliser(row, work)
    best = np.argpartition(row, -count)[-count:] if count < row.size else np.arange(row.size)
    ordered = best[np.argsort(row[best])[::-1]]
    return [(int(token), math.exp(row[token] - z)) for token in ordered if np.isfinite(row[token])]


def _weigh(row: Row, out: Row) -> tuple[float, float]:
    """Unnormalised probabilities into `out`; returns their sum, and the log-normaliser."""
    best = row.max()
    np.subtract(row, best, out=out)
    np.exp(out, out=out)
    total = float(out.sum())
    return total, float(best) + math.log(total)


def _log_normaliser(row: Row, work: Workspace) -> float:
    return _weigh(row, work.scratch[0])[1]


def _divergence(p: Row, q: Row, log_z_q: float, work: Workspace) -> tuple[float, float]:
    """KL(p || q) in nats of two rows of logits, and p's log-normaliser."""
    weight, ratio = work.scratch[0, : p.size], work.scratch[1, : p.size]
    total, log_z_p = _weigh(p, weight)
    with np.errstate(invalid="ignore"):
        np.subtract(p, q, out=ratio)
        ratio *= weight
    np.copyto(ratio, 0, where=np.equal(weight, 0, out=work.mask[: p.size]))
    mean = float(ratio.sum(dtype=np.float64)) / total
    return max(0.0, mean - log_z_p + log_z_q), log_z_p


def _flip_strength(base: Row, pref: Row, work: Workspace) -> float:
    """The smallest s at which some token v overtakes pref's best b; with d = pref - base that is
    s - 1 = (pref_b - pref_v) / (d_v - d_b), and happens only where d_v > d_b."""
    best = int(pref.argmax())
    gap, rise, needed = work.scratch[:, : pref.size]
    rising = work.mask[: pref.size]
    with np.errstate(invalid="ignore", over="ignore"):
        np.subtract(pref[best], pref, out=gap)
        np.subtract(pref, base, out=rise)
        rise -= pref[best] - base[best]
        np.greater(rise, 0, out=rising)
        needed.fill(np.inf)
        np.divide(gap, rise, out=needed, where=rising)
    return 1 + float(needed.min())
