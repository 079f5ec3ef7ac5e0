"""Chats as files: JSON loses nothing, Markdown reads well, and bad files are told of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amulet_local.chats.chat import Chat
from amulet_local.chats.conversation import Conversation, Node, Thought
from amulet_local.chats.export import (
    export_chat,
    file_name,
    import_chat,
    kind_of,
    to_json,
    to_markdown,
)
from amulet_local.chats.history import History
from amulet_local.chats.ids import new_chat_id, new_id
from amulet_local.chats.provenance import Ending, Origin, TokenMeasures, pack, unpack
from amulet_local.errors import NotUsableError, UsageError
from amulet_local.protocol.alignment import STRONGEST, Alignment, Fader
from amulet_local.protocol.message import LONGEST_WISH, Message
from amulet_local.protocol.messages import Reply, Stats
from tests.checks import some

STATS = Stats(30, 0, 60, 3, 0.1, 0.12, 0.5, 25.0, 33, 2)

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
origins = st.builds(
    Origin,
    model=words,
    file=words,
    system=words,
    seed=st.integers(0, 0xFFFFFFFE),
    alignment=st.builds(
        Alignment,
        preference=words,
        strength=st.floats(-STRONGEST, STRONGEST),
        guard=st.floats(0, 1),
    ),
    wish=words,
)
endings = st.builds(
    Ending,
    st.sampled_from(["stop", "length", "cancelled", "died", "interrupted"]),
    st.none() | st.just(STATS),
)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Trees with everything that a message can carry."""
    nodes: list[Node] = []
    for _ in range(draw(st.integers(1, 12))):
        above = draw(st.sampled_from([None, *nodes]))
        name, parent, text = new_id(), above.id if above else None, draw(words)
        if above is None or above.message.role == "assistant":
            nodes.append(Node(name, parent, Message("user", text, wish=draw(words))))
            continue
        token_ids = tuple(draw(st.lists(st.integers(0, 2**31 - 1), max_size=5)))
        strengths = draw(st.lists(st.floats(width=32, allow_nan=False), max_size=5))
        measures = pack(TokenMeasures(0, strength, flip=True) for strength in strengths)
        message = Message("assistant", text, token_ids)
        node = Node(name, parent, message, draw(origins), draw(endings), measures)
        nodes.append(replace(node, thought=Thought(draw(words), token_ids)))
    return Conversation(nodes, draw(st.sampled_from(nodes)).id)


@pytest.fixture
def store() -> Iterator[History]:
    with History(None) as opened:
        yield opened


def a_chat(store: History, conversation: Conversation, title: str = "Walking") -> Chat:
    chat = new_chat_id()
    store.add_chat(chat, title, conversation, conversation.nodes[-1].made)
    return Chat(store, chat)


def talk(*texts: str) -> Conversation:
    conversation = Conversation()
    for place, text in enumerate(texts):
        if place % 2 == 0:
            conversation.add(conversation.question(text))
            continue
        origin = Origin(model="SmolLM2", file="/m.gguf", seed=7, system="You help.")
        reply = conversation.reply(conversation.leaf or "", origin)
        conversation.add(replace(reply.grown(text, (1, 2), b""), ending=Ending("stop", STATS)))
    return conversation


# -- JSON -----------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(conversation=conversations())
def test_a_chat_exported_and_imported_elsewhere_is_the_same_chat(
    conversation: Conversation, tmp_path: Path
) -> None:
    path = tmp_path / "chat.json"
    with History(None) as here, History(None) as there:
        chat = a_chat(here, conversation)
        path.write_text(to_json(chat), "ascii")
        imported = import_chat(there, path)
        assert (imported.id, imported.title) == (chat.id, chat.title)
        assert imported.conversation.nodes == conversation.nodes
        assert imported.conversation.leaf == conversation.leaf
        assert there.chats()[0] == here.chats()[0]
        assert to_json(imported) == to_json(chat)


def test_a_chat_imported_twice_is_there_twice(store: History, tmp_path: Path) -> None:
    chat = a_chat(store, talk("Where to?", "To Wales."))
    path = tmp_path / "chat.json"
    path.write_text(to_json(chat))
    copy = import_chat(store, path)
    assert copy.id != chat.id
    assert copy.conversation.messages() == chat.conversation.messages()
    assert store.count() == 2
    store.remove(chat.id)
    assert import_chat(store, path).id != chat.id, "a removed chat may come back"


def test_a_reply_exported_while_it_was_written_is_imported_as_interrupted(
    store: History, tmp_path: Path
) -> None:
    conversation = talk("Where to?", "To Wal")
    conversation.replace(replace(conversation.path()[-1], ending=None))
    path = tmp_path / "chat.json"
    path.write_text(to_json(a_chat(store, conversation)))
    assert import_chat(store, path).conversation.path()[-1].ending == Ending("interrupted")


def a_file() -> dict[str, Any]:
    with History(None) as store:
        document: dict[str, Any] = json.loads(to_json(a_chat(store, talk("What?", "That."))))
    return document


def _put(document: dict[str, Any], key: str, value: object) -> str:
    return json.dumps({**document, key: value})


def _another(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "format": "another"}


def _put_in_message(document: dict[str, Any], place: int, key: str, value: object) -> str:
    document["messages"][place][key] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    "damaged",
    [
        lambda d: "",
        lambda d: "No JSON.",
        lambda d: "[" * 100_000,
        lambda d: json.dumps(d)[:-40],
        lambda d: "[]",
        lambda d: _put(d, "format", "another"),
        lambda d: _put(d, "version", 0),
        lambda d: _put(d, "version", "2"),
        lambda d: _put(_another(d), "version", 3),
        lambda d: _put(d, "more", "keys"),
        lambda d: _put(d, "id", "../../escape"),
        lambda d: _put(d, "id", "line\n"),
        lambda d: _put_in_message(d, 1, "id", new_id() + "\n"),
        lambda d: _put(d, "messages", []),
        lambda d: _put(d, "messages", d["messages"] * 2),
        lambda d: _put(d, "messages", d["messages"][1:]),
        lambda d: _put_in_message(d, 1, "role", "user"),
        lambda d: _put_in_message(d, 1, "role", "system"),
        lambda d: _put_in_message(d, 1, "parent", d["messages"][1]["id"]),
        lambda d: _put_in_message(d, 1, "id", "z" * 26),
        lambda d: _put_in_message(d, 1, "token_ids", [2**40]),
        lambda d: _put_in_message(d, 1, "measures", "AAAA"),
        lambda d: _put_in_message(d, 1, "measures", "no base64"),
        lambda d: _put_in_message(d, 1, "measures", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA//8AAAA="),
        lambda d: _put_in_message(d, 1, "ending", {"reason": "gone"}),
        lambda d: _put_in_message(d, 0, "wish", "x" * (LONGEST_WISH + 1)),
    ],
)
def test_a_file_that_is_no_chat_is_refused_in_a_sentence_and_changes_nothing(
    damaged: Callable[[dict[str, Any]], str], store: History, tmp_path: Path
) -> None:
    path = tmp_path / "chat.json"
    path.write_text(damaged(a_file()))
    with pytest.raises(NotUsableError, match="is not an Amulet chat export") as raised:
        import_chat(store, path)
    assert len(str(raised.value)) < 400
    assert store.count() == 0


LIES = [10**30, 2**63, 2**64 - 1, -(2**63), -(10**30), 1e308, -1e308]


@pytest.mark.slow
@pytest.mark.parametrize("number", LIES)
def test_statistics_that_cannot_be_are_refused_in_a_sentence(
    number: float, store: History, tmp_path: Path
) -> None:
    path = tmp_path / "chat.json"
    for name, usual in some(a_file()["messages"][1]["ending"]["stats"].items()):
        document = a_file()
        document["messages"][1]["ending"]["stats"][name] = type(usual)(number)
        path.write_text(json.dumps(document))
        with pytest.raises(NotUsableError, match=f"is not an Amulet chat export .*{name}"):
            import_chat(store, path)
    assert store.count() == 0


@pytest.mark.parametrize("number", LIES)
@pytest.mark.parametrize("integer", [True, False])
def test_a_chat_that_lies_is_imported_with_numbers_that_can_be(
    number: float, integer: bool, store: History, tmp_path: Path
) -> None:
    document = a_file()
    reply = document["messages"][1]
    reply["origin"] |= {"strength": float(number), "guard": float(number)}
    reply["origin"] |= {"seed": int(number)} if integer else {}
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(document))
    _, imported = import_chat(store, path).conversation.path()
    assert imported.origin
    asked = Reply(
        1, (Message("user", "What?"),), imported.origin.seed, "", imported.origin.alignment
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(asked), type=Reply) == asked


@pytest.mark.parametrize("version", [3, 9, 10**15])
def test_a_chat_of_a_newer_version_is_said_to_be_one(
    version: int, store: History, tmp_path: Path
) -> None:
    path = tmp_path / "chat.json"
    path.write_text(json.dumps({**a_file(), "version": version, "messages": {"all": "new"}}))
    with pytest.raises(NotUsableError, match=r"exported by a newer Amulet .* update Amulet"):
        import_chat(store, path)
    assert store.count() == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_chat_is_imported_from_whatever_an_editor_made_of_its_file(
    encoding: str, store: History, tmp_path: Path
) -> None:
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(a_file(), ensure_ascii=False), encoding)
    assert import_chat(store, path).conversation.messages()[0].text == "What?"


def test_a_file_that_is_not_there_is_a_sentence(store: History, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.json", tmp_path):
        with pytest.raises(NotUsableError, match="cannot be read"):
            import_chat(store, path)


# -- Markdown -------------------------------------------------------------------------------------


def test_markdown_has_the_branch_that_is_read(store: History) -> None:
    conversation = talk("Where to?", "To Wales.")
    reply = conversation.path()[-1]
    origin = Origin(
        model="SmolLM2",
        file="/m.gguf",
        seed=9,
        system="",
        preset="concise",
        alignment=Alignment(preference="Be brief.", strength=5.65),
    )
    other = conversation.reply(reply.parent or "", origin).grown("Wales.", (), b"")
    conversation.add(replace(other, ending=Ending("cancelled")))
    chat = a_chat(store, conversation)
    lines = [line for line in to_markdown(chat).splitlines() if line]
    assert lines[0] == "# Walking"
    assert lines[2:] == [
        "## You",
        "Where to?",
        "## SmolLM2",
        "Wales.",
        "*concise at strength 5.65, seed 9, stopped*",
        f"*1 more on other branches; to export all of them, run: "
        f"amulet chats export {chat.id} --format json*",
    ]


@pytest.mark.parametrize(
    ("preference", "preset", "followed"),
    [
        ("", "", "wish"),
        ("Be brief.", "concise", "concise and wish"),
        ("Be brief.", "", "own preference and wish"),
    ],
)
def test_a_wish_stands_below_its_message_and_the_reply_says_what_it_followed(
    store: History, preference: str, preset: str, followed: str
) -> None:
    conversation = Conversation()
    conversation.add(conversation.question("Where to?", "in lower case"))
    alignment = Alignment(preference=preference, strength=2.0)
    origin = Origin(
        model="SmolLM2",
        file="",
        seed=9,
        system="",
        preset=preset,
        alignment=alignment,
        wish="in lower case",
    )
    measures = pack([TokenMeasures(6, 2.0, logp_base=-1.0, logp_pref=-0.95)])
    reply = conversation.reply(conversation.leaf or "", origin).grown("Wales.", (), measures)
    conversation.add(replace(reply, ending=Ending("stop")))
    assert [line for line in to_markdown(a_chat(store, conversation)).splitlines() if line][2:] == [
        "## You",
        "Where to?",
        "> !! in lower case",
        "## SmolLM2",
        "Wales.",
        f"*{followed} at strength 2.00, somewhat followed +0.05, ✗ in lower case, seed 9*",
    ]


def test_a_reply_in_the_users_words_is_not_the_models(store: History) -> None:
    conversation = talk("Where to?", "To Wales.")
    conversation.add(conversation.edited(conversation.leaf or "", "To Kent."))
    assert "## Reply, written by you\n\nTo Kent." in to_markdown(a_chat(store, conversation))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("```python\nx = 1", "```python\nx = 1\n```"),
        ("```\na\n```\nand\n~~~~\nb\n```", "```\na\n```\nand\n~~~~\nb\n```\n~~~~"),
        ("```\na\n```", "```\na\n```"),
        ("````\n```\n````", "````\n```\n````"),
    ],
)
def test_a_code_block_that_was_cut_off_ends_with_its_message(
    store: History, text: str, shown: str
) -> None:
    chat = a_chat(store, talk("Code?", text, "More?"))
    assert f"## SmolLM2\n\n{shown}\n\n*seed 7*\n\n## You" in to_markdown(chat)


# -- files ----------------------------------------------------------------------------------------


def test_a_file_is_named_by_the_title_and_tells_its_kind() -> None:
    assert file_name("Where to, O\u00f9 ça ?") == "Where-to-Où-ça.md"
    assert file_name("../../etc/passwd", "json") == "etc-passwd.json"
    assert file_name("…") == "chat.md"
    assert len(file_name("漢" * 60, "json").encode()) < 255
    assert [kind_of(Path(name)) for name in ("a.JSON", "a.md", "a")] == ["json", "md", "md"]


def test_a_file_that_is_there_is_not_written_over_unless_that_is_wanted(
    store: History, tmp_path: Path
) -> None:
    chat = a_chat(store, talk("Where to?", "To Wales."))
    file = tmp_path / "chat.md"
    export_chat(chat, file, "md", overwrite=False)
    assert file.read_text("utf-8") == to_markdown(chat)
    with pytest.raises(FileExistsError):
        export_chat(chat, file, "json", overwrite=False)
    assert file.read_text("utf-8") == to_markdown(chat)
    export_chat(chat, file, "json", overwrite=True)
    assert file.read_text("utf-8") == to_json(chat)


def test_a_file_that_cannot_be_written_is_a_sentence(store: History, tmp_path: Path) -> None:
    chat = a_chat(store, talk("Where to?"))
    for path in (tmp_path, tmp_path / "nowhere" / "chat.md", tmp_path / ("x" * 300)):
        for overwrite in (True, False):
            with pytest.raises(UsageError, match="cannot be written"):
                export_chat(chat, path, "md", overwrite=overwrite)


def test_a_chat_with_a_mix_travels_whole_and_says_that_older_versions_cannot_read_it(
    store: History, tmp_path: Path
) -> None:
    faders = (Fader("Be brief.", 2.0, "concise"), Fader("Rhyme.", -1.5))
    origin = Origin(model="m", file="f", seed=1, system="s", alignment=Alignment(mix=faders))
    told = TokenMeasures(3, 2.0, strengths=(2.0, -1.5), shares=(0.5, -0.25))
    question = Node(new_id(), None, Message("user", "Why?"))
    reply = Node(
        new_id(),
        question.id,
        Message("assistant", "So."),
        origin,
        Ending("stop"),
        pack([told]),
    )
    chat = Chat.made_of(store, Conversation([question, reply]), "Why?", 1.0)
    path = tmp_path / "chat.json"
    export_chat(chat, path, "json", overwrite=False)
    assert json.loads(path.read_text())["version"] == 2
    again = import_chat(store, path).conversation.path()[-1]
    assert again.origin == origin
    assert unpack(again.measures) == (told,)
    assert "*concise at 2.00 and own preference at -1.50," in to_markdown(chat)
