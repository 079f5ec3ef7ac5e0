"""A reply by its tokens: every character is one token's, wherever tokens split it, and a cut reply
that goes on comes to the same text."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import assume, given
from hypothesis import strategies as st
from rich.cells import cell_len

from amulet_local.chats.chat import fitted
from amulet_local.chats.conversation import Node
from amulet_local.chats.provenance import pack, unpack
from amulet_local.generation.detokenizer import GrowingText
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Candidate, Candidates, Step
from tests.fake_engine import CANDIDATES
from tui.heatmap.token_lines import LINE_FEED, NOTHING, lay_out, shown
from tui.heatmap.tokens import Reading

STOP = "\nUser:"

texts = st.text(
    st.one_of(
        st.sampled_from("ab \n\té👩‍👩‍👧‍👦日\u0301\x1b\u202e"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)
sizes = st.lists(st.integers(1, 6), max_size=200)


def pieces_of(text: str, sizes: Sequence[int]) -> list[bytes]:
    """A text as tokens of these many bytes, which mind no character."""
    data, pieces = text.encode(), []
    for size in (*sizes, len(data)):
        if data:
            pieces.append(data[:size])
            data = data[size:]
    return pieces


def written(pieces: Sequence[bytes], begun: Node | None = None) -> Node:
    """What a chat stores of a reply of these tokens. begun: what it went on from."""
    node = begun or Node("0", None, Message("assistant", ""))
    old = node.message
    growing = GrowingText(pieces.__getitem__, (STOP,), old.token_ids, old.text)
    steps = [
        Step(1, token, growing.add(token), 3.0, 0.5, False, 9.0)
        for token in range(len(old.token_ids), len(pieces))
    ]
    growing.finish()
    measures = pack(fitted(steps[: len(growing.tokens)], growing.text))
    return node.grown(growing.text, tuple(growing.tokens), measures)


@given(texts, sizes)
def test_every_character_belongs_to_one_token(text: str, sizes: list[int]) -> None:
    reading = Reading(written(pieces_of(text, sizes)))
    assert len(reading.tokens) == len(reading.node.message.token_ids)
    assert "".join(map(reading.text_of, range(len(reading.tokens)))) == reading.text
    ends = [0, *(token.end for token in reading.tokens)]
    assert [token.start for token in reading.tokens] == ends[:-1]


@given(texts, sizes, st.data())
def test_cut_at_any_token_and_gone_on_with_it_is_the_same_reply(
    text: str, sizes: list[int], data: st.DataObject
) -> None:
    pieces = pieces_of(text, sizes)
    whole = written(pieces)
    reading = Reading(whole)
    assume(reading.tokens)
    cut = reading.cut(data.draw(st.integers(0, len(reading.tokens) - 1)))
    assert len(unpack(cut.measures)) == len(cut.message.token_ids)
    again = written(pieces[: len(whole.message.token_ids)], cut)
    assert again.message == whole.message
    both = Reading(again)
    assert "".join(map(both.text_of, range(len(both.tokens)))) == whole.message.text


@given(texts, sizes, st.integers(1, 40))
def test_every_token_has_cells_of_its_own_in_lines_that_fit(
    text: str, sizes: list[int], width: int
) -> None:
    reading = Reading(written(pieces_of(text, sizes)))
    lines = lay_out([reading.text_of(number) for number in range(len(reading.tokens))], width)
    assert {run.token for line in lines for run in line} == set(range(len(reading.tokens)))
    order = [run.token for line in lines for run in line]
    assert order == sorted(order)
    for line in (*lines, lay_out([*"a\té日"], width)[0]):
        ends = [run.end for run in line]
        assert [run.start for run in line] == [0, *ends][: len(line)]
        assert [run.end - run.start for run in line] == [cell_len(run.text) for run in line]
        text = "".join(run.text for run in line)
        assert cell_len(text) <= width + 1 or len(text.strip()) <= 1
        assert not set(text) & set("\n\t\x1b\u202e")


def test_an_emoji_split_over_tokens_is_the_last_ones_and_the_others_can_be_pointed_at() -> None:
    pieces = [b"Hi ", *(bytes([byte]) for byte in "👩".encode()), b"!"]
    reading = Reading(written(pieces))
    assert list(map(reading.text_of, range(6))) == ["Hi ", "", "", "", "👩", "!"]
    (line,) = lay_out(["Hi ", "", "", "", "👩", "!"], 40)
    assert [run.text for run in line] == ["Hi ", NOTHING, NOTHING, NOTHING, "👩", "!"]


def test_words_are_wrapped_whole_and_line_feeds_are_seen() -> None:
    lines = lay_out(["Take", " the", " coast", ".\n\n", "Then", " rest"], 9)
    assert ["".join(run.text for run in line) for line in lines] == [
        "Take the ",
        f"coast.{LINE_FEED}",
        LINE_FEED,
        "Then rest",
    ]
    assert [run.token for run in lines[0]] == [0, 1, 2]  # the space is the next word's
    assert shown(" a \n") == f"␣a {LINE_FEED}"
    assert shown("") == NOTHING


def test_words_of_the_users_own_come_before_the_tokens() -> None:
    own = Node("0", None, Message("assistant", "In my words"))
    reading = Reading(
        own.grown(", and on.", (7, 8), pack(fitted(steps(", and", " on."), ", and on.")))
    )
    assert [reading.text_of(number) for number in range(2)] == [", and", " on."]
    assert reading.tokens[0].start == len("In my words")
    assert not reading.known
    assert reading.cut(1).message == Message("assistant", "In my words, and")


def steps(*texts: str) -> list[Step]:
    return [Step(1, 100 + place, text, 3.0, 0.5, True, 2.0) for place, text in enumerate(texts)]


def test_measures_that_do_not_fit_the_text_are_left_alone() -> None:
    node = Node("0", None, Message("assistant", "Hi", (100, 101)))
    assert Reading(node).tokens == ()
    long = pack(fitted(steps("Hi", " there"), "Hi there"))
    assert Reading(Node("0", None, node.message, measures=long)).tokens == ()
    assert Reading(Node("0", None, node.message, measures=b"\x00")).tokens == ()


# -- another token in its place -------------------------------------------------------------------


def reading_of(*texts: str) -> Reading:
    whole = "".join(texts)
    node = Node("0", None, Message("assistant", whole, tuple(range(100, 100 + len(texts)))))
    return Reading(Node("0", None, node.message, measures=pack(fitted(steps(*texts), whole))))


def test_another_token_takes_the_place_with_what_is_known_of_it() -> None:
    begun = reading_of("Take ", "the ", "coast.").replaced(1, CANDIDATES.pref[1], CANDIDATES)
    assert begun.message == Message("assistant", "Take Walk ", (100, 300))
    first, second = unpack(begun.measures)
    assert (first.characters, second.characters) == (5, 5)
    assert second.logp_base is None
    assert second.logp_pref is not None
    assert second.shift == 0.5


def test_a_token_within_a_character_waits_for_the_rest_of_it() -> None:
    half = Candidate(400, "\ufffd", 0.2)
    lists = Candidates((half,), (), ())
    reading = reading_of("Hi ", "", "👩")
    for number, ids in ((1, (100, 400)), (2, (100, 101, 400))):
        begun = reading.replaced(number, half, lists)
        assert begun.message == Message("assistant", "Hi ", ids)
    assert reading.replaced(2, CANDIDATES.base[0], CANDIDATES).message.text == "Hi "
