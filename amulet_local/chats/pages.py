"""The pages of a SQLite file, read without SQLite: for a disk that refuses, and for damaged files.

A path goes in. Out come the bytes of the whole file with the log beside it put in, which needs no
file of its own as SQLite's reading does; or the rows that stand on its pages, each by itself, so
that one damaged page costs what is on it and no more. The format is that of sqlite.org/fileformat2.

Nothing here knows what the rows mean.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from amulet_local.system import paths

Value = int | float | str | bytes | None
Row = tuple[Value, ...]

_HEADER = 100  # bytes of the first page
USUAL_SIZE = 4096  # bytes of a page
_SIZES = {1 << power for power in range(9, 17)}
_LEAF = 0x0D  # of a table; all rows are on such pages
_MOST_COLUMNS = 64
_LONGEST = 1 << 30  # bytes of a row
_LOG_MAGIC = 0x377F0682  # and 1 more where its words are big endian
_LOG_HEADER, _FRAME_HEADER = 32, 24


class Pages:
    """The pages of a file, from 1; those that the log has are as they are there.

    size: of a page, in bytes; 0 for what the file says. Raises OSError where the file, or the log,
    cannot be read.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        self._body = path.read_bytes()
        self.size = size or _page_size(self._body)
        log = path.with_name(f"{path.name}-wal")
        self._newer, length = _log(log.read_bytes() if paths.is_file(log) else b"", self.size)
        self.count = length or -(-len(self._body) // self.size)

    def __getitem__(self, number: int) -> bytes:
        """A page, filled up with zeros where the file ends before it does."""
        if (newer := self._newer.get(number)) is not None:
            return newer
        start = (number - 1) * self.size
        return self._body[start : start + self.size].ljust(self.size, b"\0")

    def whole(self) -> bytes:
        """The file as SQLite would see it, to be opened in memory."""
        body = bytearray(b"".join(self[number] for number in range(1, self.count + 1)))
        if len(body) >= _HEADER:
            body[18:20] = b"\1\1"  # there is no log beside what is in memory
        return bytes(body)

    def rows(self) -> Iterator[tuple[int, Row]]:
        """All rows with their numbers, of all tables, in no order; what cannot be read is left
        out. Rows of free pages are not there any more."""
        free = self._free()
        for number in range(1, self.count + 1):
            if number not in free:
                yield from self.rows_on(number)

    def rows_on(self, number: int) -> Iterator[tuple[int, Row]]:
        """The rows that stand on a page, as far as they can be read; none where it is no leaf."""
        page, start = self[number], _HEADER if number == 1 else 0
        if page[start] != _LEAF:
            return
        (cells,) = struct.unpack_from(">H", page, start + 3)
        for cell in range(min(cells, self.size // 4)):
            try:
                (place,) = struct.unpack_from(">H", page, start + 8 + 2 * cell)
                length, place = _varint(page, place)
                rowid, place = _varint(page, place)
                row = _row(self._payload(page, place, length))
            except (ValueError, IndexError, struct.error):
                continue
            yield _signed(rowid), row

    def _payload(self, page: bytes, place: int, length: int) -> bytes:
        """What a cell holds, with what went on to other pages. Raises ValueError, struct.error."""
        if length > _LONGEST:
            raise ValueError(length)
        most, least = self.size - 35, (self.size - 12) * 32 // 255 - 23
        here = length
        if length > most:
            here = least + (length - least) % (self.size - 4)
            here = here if here <= most else least
        parts = [page[place : place + here]]
        if length > most:
            (number,) = struct.unpack_from(">I", page, place + here)
            left, seen = length - here, set[int]()
            while left > 0:
                if not 1 < number <= self.count or number in seen:
                    raise ValueError(number)
                seen.add(number)
                parts.append(self[number][4 : 4 + left])
                left -= self.size - 4
                (number,) = struct.unpack_from(">I", self[number])
        payload = b"".join(parts)
        if len(payload) != length:
            raise ValueError(length)
        return payload

    def _free(self) -> set[int]:
        """The pages that the file's own list of free ones names, as far as it makes sense."""
        (number,) = struct.unpack_from(">I", self[1], 32)
        free = set[int]()
        while 1 < number <= self.count and number not in free:
            free.add(number)
            following, leaves = struct.unpack_from(">II", self[number])
            numbers = struct.iter_unpack(">I", self[number][8 : 8 + 4 * min(leaves, self.size)])
            free.update(leaf for (leaf,) in numbers if 1 < leaf <= self.count)
            number = following
        return free


# -- the log --------------------------------------------------------------------------------------


def _log(body: bytes, size: int) -> tuple[dict[int, bytes], int]:
    """What a log has of pages, up to its last whole transaction, and how many pages the file has
    after it; 0 for as many as there are."""
    newer, pending, count = dict[int, bytes](), dict[int, bytes](), 0
    if len(body) < _LOG_HEADER:
        return newer, count
    magic, _, page_size = struct.unpack_from(">III", body)
    if magic & ~1 != _LOG_MAGIC or page_size != size:
        return newer, count
    order = ">" if magic & 1 else "<"
    sums = _checksum(body[:24], order, (0, 0))
    if sums != struct.unpack_from(">II", body, 24):
        return newer, count
    salt, step = body[16:24], _FRAME_HEADER + size
    for start in range(_LOG_HEADER, len(body) - step + 1, step):
        head = body[start : start + _FRAME_HEADER]
        page = body[start + _FRAME_HEADER : start + step]
        sums = _checksum(page, order, _checksum(head[:8], order, sums))
        if head[8:16] != salt or sums != struct.unpack_from(">II", head, 16):
            break  # an older log's, or half written
        number, length = struct.unpack_from(">II", head)
        pending[number] = page
        if length:  # the end of a transaction
            newer.update(pending)
            pending.clear()
            count = length
    return newer, count


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    one, two = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for first in words:
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + next(words) + one) & 0xFFFFFFFF
    return one, two


# -- rows -----------------------------------------------------------------------------------------


def _page_size(body: bytes) -> int:
    size = int.from_bytes(body[16:18], "big")
    size = 1 << 16 if size == 1 else size
    return size if size in _SIZES else USUAL_SIZE


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of one to nine bytes, without its sign, and where it ends."""
    number = 0
    for length in range(8):
        byte = data[place + length]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, place + length + 1
    return number << 8 | data[place + 8], place + 9


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _row(payload: bytes) -> Row:
    """The values of a row. Raises ValueError, IndexError, struct.error where it is damaged."""
    end, place = _varint(payload, 0)
    types = []
    while place < end:
        type_, place = _varint(payload, place)
        types.append(type_)
    if place != end or len(types) > _MOST_COLUMNS:
        raise ValueError(end)
    values = []
    for type_ in types:
        value, place = _value(payload, place, type_)
        values.append(value)
    if place != len(payload):
        raise ValueError(place)
    return tuple(values)


def _value(payload: bytes, place: int, type_: int) -> tuple[Value, int]:
    match type_:
        case 0:
            return None, place
        case 7:
            return struct.unpack_from(">d", payload, place)[0], place + 8
        case 8 | 9:
            return type_ - 8, place
        case 10 | 11:
            raise ValueError(type_)
    length = (type_ - 12) // 2 if type_ >= 12 else (1, 2, 3, 4, 6, 8)[type_ - 1]
    data = payload[place : place + length]
    if len(data) != length:
        raise ValueError(length)
    if type_ < 12:
        return int.from_bytes(data, "big", signed=True), place + length
    return (data.decode(errors="replace") if type_ % 2 else data), place + length
