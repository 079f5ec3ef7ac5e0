"""A file read front to back: numbers, bytes, and strings that are passed over many at a time.

A file goes in, values come out, as far as somebody asks; what was passed over is not kept, and
nothing beyond a bound is read. Strings are preceded by their length as uint64, numbers are little
endian. What the values mean is not known here.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NoReturn

from amulet_local.errors import NotUsableError

_WINDOW = 1 << 16  # bytes of strings passed over at once
_PIECE = 2 * _WINDOW  # bytes in memory: small enough for the allocator to hand the same ones out
_FEW = 256
_SINGLY = 1_000  # strings; so many take no longer one by one than NumPy does to be imported
_MANY = 10_000  # strings; fewer are walked through in no time

_U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")

# Strings that were walked through lately, with their number.
_familiar: deque[tuple[int, bytes]] = deque(maxlen=8)


class Reader:
    """A place in a file that only moves on.

    It reads instead of mapping the file: a mapped file that shrinks or cannot be read meanwhile
    kills the process. file: unbuffered, at the place to begin from. size: of the file; most: how
    far it is read; both in bytes. Reading past either raises NotUsableError.
    """

    def __init__(self, path: Path, file: FileIO, size: int, most: int) -> None:
        self._path, self._file, self._size, self._most = path, file, size, most
        if hasattr(os, "posix_fadvise"):  # or the system reads ahead, megabytes that nobody wants
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        self.data = bytearray(_PIECE)  # of which `_filled` bytes are the file's, from `_passed` on
        self._passed, self._filled, self._at = file.tell(), 0, 0

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._passed + self._at

    def u32(self) -> int:
        """A number of four bytes."""
        value: int = _U32.unpack_from(self.data, self.advance(_U32.size))[0]
        return value

    def u64(self) -> int:
        """A number of eight bytes."""
        value: int = U64.unpack_from(self.data, self.advance(U64.size))[0]
        return value

    def take(self, length: int) -> bytes:
        """So many bytes."""
        start = self.advance(length)
        return bytes(self.data[start : self._at])

    def advance(self, length: int) -> int:
        """Pass over the next bytes, which are then in `data`; returns where they start."""
        if self._at + length > self._filled:
            self._read_to(self._at + length)
        start = self._at
        self._at += length
        return start

    def skip(self, length: int) -> None:
        """Pass over bytes that nobody wants to see."""
        end = self.position + length
        self._check_bound(end)
        if end > self._size:
            self._cut_short(self._size)
        self._go_to(end)

    def skip_strings(self, count: int) -> None:
        """Pass over strings: most of a header is the vocabulary.

        Models of a family share theirs, byte by byte, so that those which were walked through
        before need only be compared.
        """
        known = [strings for number, strings in list(_familiar) if number == count]
        if any(map(self._goes_on_with, known)):
            return
        start = self.position
        self._walk_through(count)
        if count >= _MANY:
            self._remember(count, start)

    def _goes_on_with(self, known: bytes) -> bool:
        """Pass over these very bytes, if they come next."""
        start, compared = self.position, 0
        while compared < len(known):
            if self._at == self._filled:
                self._read()
            length = min(self._filled - self._at, _WINDOW)
            piece = known[compared : compared + length]
            if not piece or not self.data.startswith(piece, self._at):
                self._go_to(start)
                return False
            self._at += len(piece)
            compared += len(piece)
        return True

    def _remember(self, count: int, start: int) -> None:
        """Keep the strings from `start` to here."""
        end = self.position
        self._file.seek(start)
        if len(walked := self._file.read(end - start)) == end - start:
            _familiar.append((count, walked))
        self._filled = self._at = 0
        self._passed = self._file.seek(end)

    def _walk_through(self, count: int) -> None:
        if count <= _SINGLY:
            deque(self.strings(count), maxlen=0)
            return
        from models.end_to_end import strings_end_to_end

        while count:
            if self._filled - self._at < _WINDOW:
                self._read()
            window = memoryview(self.data)[self._at : min(self._at + _WINDOW, self._filled)]
            passed, length = strings_end_to_end(window, count)
            del window  # which would keep `data` from growing
            self._at += length
            count -= passed
            if passed < _FEW:  # not what vocabularies look like
                singly = min(count, _FEW)
                deque(self.strings(singly), maxlen=0)
                count -= singly

    def strings(self, count: int) -> Iterator[slice]:
        """Passes over strings and tells where in `data` each one is, for somebody to look at."""
        data, length = self.data, U64.unpack_from
        for _ in range(count):
            start = self._at + U64.size
            if start > self._filled:
                start = self._read_to(start)
            end = start + length(data, self._at)[0]
            if end > self._filled:
                end = self._read_to(end)
                start = self._at + U64.size
            self._at = end
            yield slice(start, end)

    def damaged(self, defect: str) -> NoReturn:
        """Raises NotUsableError over what the file says."""
        raise NotUsableError(
            f"{self._path} has a damaged header ({defect}); fetch or copy it again."
        )

    def _go_to(self, place: int) -> None:
        """To a place in the file, wherever that is."""
        if self._passed <= place <= self._passed + self._filled:
            self._at = place - self._passed
        else:
            self._file.seek(place)
            self._passed, self._filled, self._at = place, 0, 0

    def _read_to(self, end: int) -> int:
        """Have the bytes from here to `end` in `data`; returns where they then end."""
        self._check_bound(self._passed + end)
        length = end - self._at
        if self._passed + end > self._size:
            self._cut_short(self._size)
        self._read(length)
        if length > self._filled:  # it is shorter than it was
            self._cut_short(self._passed + self._filled)
        return length

    def _read(self, least: int = 0) -> None:
        """Have as much as there is room for, in place of what was passed over."""
        rest = self._filled - self._at
        self.data[:rest] = self.data[self._at : self._filled]
        self._passed, self._filled, self._at = self.position, rest, 0
        self.data.extend(bytes(max(0, least - len(self.data))))
        with memoryview(self.data)[: self._most - self._passed] as view:
            while count := self._file.readinto(view[self._filled :]):
                self._filled += count

    def _check_bound(self, end: int) -> None:
        if end > self._most:
            self.damaged(f"it would be over {self._most >> 20} MiB long")

    def _cut_short(self, after: int) -> NoReturn:
        raise NotUsableError(
            f"{self._path} is cut short: it ends inside its header, after {after:,} bytes; fetch "
            "or copy it again."
        )
