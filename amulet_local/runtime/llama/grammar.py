"""JSON Schemas as grammars: which tokens may come next in a document that fits one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

import llama_cpp
import numpy as np
from llama_cpp.llama_grammar import SchemaConverter

from amulet_local.errors import UsageError
from amulet_local.realignment import Row
from amulet_local.runtime.llama.sampler import SamplerChain
from amulet_local.runtime.llama.vocabulary import Vocabulary

# What a schema may cost: llama.cpp writes repetitions out, and takes time for what is ambiguous.
_DEEPEST = 24
_MOST_NODES = 1000
_MOST_REPEATED = 200
_LONGEST_GRAMMAR = 64 * 1024  # characters
_MARKS = re.compile(r'[\\"]')  # which a grammar reads as its own
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength")


class Grammar:
    """The grammar of a JSON Schema, as far as a document has come; close it after.

    Raises UsageError for a schema that none can be made of.
    """

    def __init__(self, vocabulary: Vocabulary, schema: str) -> None:
        text = _grammar_of(schema)
        sampler = llama_cpp.llama_sampler_init_grammar(vocabulary.handle, text.encode(), b"root")
        if not sampler:
            raise UsageError("the JSON schema cannot be followed; make it simpler.")
        self._chain = SamplerChain(vocabulary)
        self._chain.add(sampler)
        self._all = np.arange(vocabulary.size, dtype=np.int32)

    def close(self) -> None:
        """Free it."""
        self._chain.close()

    def keep(self, logits: Row) -> bool:
        """Rule out (-inf), in place, what does not fit; False where nothing that was possible
        fits, and the row is then of no use."""
        possible = np.flatnonzero(np.isfinite(logits)).astype(np.int32)
        after = self._chain.reweighed(possible, logits[possible])
        logits[possible] = after
        return bool(np.isfinite(after).any())

    def allowed(self, rows: Sequence[Row]) -> list[Row]:
        """The rows, float32 (vocabulary,), without what does not fit. Raises UsageError where
        nothing does."""
        after = self._chain.reweighed(self._all, np.zeros(self._all.size, np.float32))
        fits = np.isfinite(after)
        masked = [np.where(fits, row, np.float32(-np.inf)) for row in rows]
        if not np.isfinite(masked[0]).any():
            raise UsageError("the reply cannot be continued in a way that fits the JSON schema.")
        return masked

    def accept(self, token: int) -> None:
        """It was chosen, and fits."""
        self._chain.accept(token)


class _Converter(SchemaConverter):
    """llama-cpp-python's own has backslashes in values and names read as the grammar's, so that
    what fits is no JSON, and writes what is not ASCII in halves."""

    def _format_literal(self, literal: str) -> str:
        """A text in JSON, as a literal of a grammar."""
        written = json.dumps(json.loads(literal), ensure_ascii=False)
        return '"' + _MARKS.sub(r"\\\g<0>", written) + '"'


def _grammar_of(schema: str) -> str:
    try:
        parsed = json.loads(schema)
        _check(parsed)
        converter = cast(Any, _Converter)(
            prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False
        )
        converter.visit(converter.resolve_refs(parsed, "stdin"), "")
        grammar: str = converter.format_grammar()
    except UsageError:
        raise
    except RecursionError:
        raise UsageError("the JSON schema is nested too deeply; make it simpler.") from None
    except Exception:  # llama-cpp-python's converter raises whatever it meets
        raise UsageError("the JSON schema cannot be followed; make it simpler.") from None
    if len(grammar) > _LONGEST_GRAMMAR:
        raise UsageError("the JSON schema is too large; make it simpler.")
    return grammar


def _check(schema: object) -> None:
    """Raises UsageError for what would cost too much."""
    for nodes, (depth, node) in enumerate(_nodes(schema)):
        if depth > _DEEPEST or nodes > _MOST_NODES:
            raise UsageError("the JSON schema is too large; make it simpler.")
        if isinstance(node, dict):
            if any(isinstance(node.get(k), int) and node[k] > _MOST_REPEATED for k in _COUNTS):
                raise UsageError(f"a JSON schema may ask for at most {_MOST_REPEATED} repetitions.")
            if "pattern" in node:
                raise UsageError('"pattern" is not supported in a JSON schema here; leave it out.')


def _nodes(schema: object) -> Iterator[tuple[int, object]]:
    waiting = [(0, schema)]
    while waiting:
        depth, node = waiting.pop()
        yield depth, node
        if isinstance(node, dict):
            waiting += [(depth + 1, each) for each in node.values()]
        elif isinstance(node, list):
            waiting += [(depth + 1, each) for each in node]
