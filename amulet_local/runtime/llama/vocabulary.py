"""The tokens of a model: text to token ids and back, and those with a meaning of their own."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import llama_cpp

_LONGEST_PIECE = 64  # bytes, of most


@dataclass(frozen=True)
class SpecialToken:
    """A token that stands for itself in a template's text, never for what a user types."""

    token: int
    text: str
    strips_left: bool
    strips_right: bool


def _named(model: llama_cpp.llama_model_p, key: str, token: int) -> int | None:
    """The token that llama.cpp uses, if it is the one that the header names under this key.

    Where the header names none, or one that is not there, llama.cpp takes a number that was right
    for the first model with such a tokenizer: 1 and 2 for SentencePiece, 11 for GPT-2's.
    """
    value = ctypes.create_string_buffer(32)
    size = llama_cpp.llama_model_meta_val_str(model, key.encode(), value, len(value))
    return token if token >= 0 and size >= 0 and value.value == b"%d" % token else None


class Vocabulary:
    """Text to token ids and back."""

    def __init__(self, model: llama_cpp.llama_model_p) -> None:
        handle = llama_cpp.llama_model_get_vocab(model)
        assert handle is not None
        self.handle = handle
        self.size: int = llama_cpp.llama_vocab_n_tokens(handle)
        self._bos = _named(model, "tokenizer.ggml.bos_token_id", llama_cpp.llama_vocab_bos(handle))
        self._eos = _named(model, "tokenizer.ggml.eos_token_id", llama_cpp.llama_vocab_eos(handle))
        self.beginning = self._bos if llama_cpp.llama_vocab_get_add_bos(handle) else None

    @property
    def bos_text(self) -> str:
        """What a template may write for the token that begins a text; "" without one."""
        return self._special_text(self._bos)

    @property
    def eos_text(self) -> str:
        """What a template may write for the token that ends a text; "" without one."""
        return self._special_text(self._eos)

    def _special_text(self, token: int | None) -> str:
        return "" if token is None else self.piece(token, special=True).decode("utf-8", "replace")

    def tokenize(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Token ids of a text; without parse_special, control tokens in it are plain text."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 2
        while True:
            tokens = (llama_cpp.llama_token * size)()
            count = llama_cpp.llama_tokenize(
                self.handle, data, len(data), tokens, size, False, parse_special
            )
            if count >= 0:
                return tokens[:count]
            size = -count

    def pieces(self) -> Iterator[bytes]:
        """The piece of every token, in order; several times as fast as asking for each."""
        buffer = ctypes.create_string_buffer(_LONGEST_PIECE)
        say, handle = llama_cpp.llama_token_to_piece, self.handle
        for token in range(self.size):
            count = say(handle, token, buffer, _LONGEST_PIECE, 0, False)
            yield buffer.raw[:count] if count >= 0 else self.piece(token)

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes a token adds to the text, possibly part of a character.

        Control tokens are empty unless `special`.
        """
        size = 32
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self.handle, token, buffer, size, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def equals(self, other: Vocabulary) -> bool:
        """Whether every token id stands for the same text in both."""
        return self.size == other.size and all(
            llama_cpp.llama_vocab_get_text(self.handle, token)
            == llama_cpp.llama_vocab_get_text(other.handle, token)
            for token in range(self.size)
        )

    def ends_turn(self, token: int) -> bool:
        """Whether the token ends generation (end of text, of turn, of message…).

        Where the header names no token that ends a text, llama.cpp takes one by its number, be it
        a comma. Those that it knows by their texts are control tokens.
        """
        if not llama_cpp.llama_vocab_is_eog(self.handle, token):
            return False
        if self._eos is None and token == llama_cpp.llama_vocab_eos(self.handle):
            attributes = llama_cpp.llama_vocab_get_attr(self.handle, token)
            return bool(attributes & llama_cpp.LLAMA_TOKEN_ATTR_CONTROL)
        return True

    @cached_property
    def special_tokens(self) -> list[SpecialToken]:
        """Control and unknown tokens with their texts, longest first, as llama.cpp matches them."""
        wanted = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
        attribute, handle = llama_cpp.llama_vocab_get_attr, self.handle
        found = []
        for token in range(self.size):
            flags = attribute(handle, token)
            text = (
                self.piece(token, special=True).decode("utf-8", "replace") if flags & wanted else ""
            )
            if text:
                found.append(
                    SpecialToken(
                        token,
                        text,
                        strips_left=bool(flags & llama_cpp.LLAMA_TOKEN_ATTR_LSTRIP),
                        strips_right=bool(flags & llama_cpp.LLAMA_TOKEN_ATTR_RSTRIP),
                    )
                )
        return sorted(found, key=lambda special: len(special.text), reverse=True)
