"""Addresses in Markdown without marks around them become links: a rule for markdown-it."""

from __future__ import annotations

import re

from markdown_it.rules_inline import StateInline

_SCHEME = re.compile(
    r"(?<![A-Za-z0-9+.-])(?:https?(?=://\w)|mailto(?=:[^\s@]{1,99}@\w))", re.IGNORECASE
)
_LONGEST_SCHEME = len("mailto")
_ADDRESS = re.compile(r":[^\s<>\[\]\"`|\\^{}]*")
_AFTER_ADDRESS = "?!.,:;*_~'"


def address_rule(state: StateInline, silent: bool) -> bool:
    """An address without marks around it, as far as it goes without what ends a sentence."""
    source, colon = state.src, state.pos
    if source[colon] != ":" or state.linkLevel:
        return False
    scheme = next(
        (
            match[0]
            for start in range(max(0, colon - _LONGEST_SCHEME), colon)
            if (match := _SCHEME.match(source, start)) and match.end() == colon
        ),
        "",
    )
    if not scheme or not (silent or state.pending.endswith(scheme)):
        return False
    match = _ADDRESS.match(source, colon, state.posMax)
    rest = _without_end(match[0]) if match else ""
    if not rest.strip(":/"):
        return False
    address = state.md.normalizeLink(scheme + rest)
    if not silent:
        state.pending = state.pending[: -len(scheme)]
        state.push("link_open", "a", 1).attrs = {"href": address}
        state.push("text", "", 0).content = state.md.normalizeLinkText(scheme + rest)
        state.push("link_close", "a", -1)
    state.pos += len(rest)
    return True


def _without_end(address: str) -> str:
    """An address without the marks of a sentence behind it, nor brackets that it did not open."""
    surplus = address.count(")") - address.count("(")
    end = len(address)
    while end and (address[end - 1] in _AFTER_ADDRESS or (address[end - 1] == ")" and surplus > 0)):
        surplus -= address[end - 1] == ")"
        end -= 1
    return address[:end]
