"""`amulet chats`: listing, reading, searching, exporting, importing and removing."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from pathlib import Path

import pytest
from rich.prompt import Confirm

from amulet_local.chats.chat import Chat
from amulet_local.chats.history import History, history_file
from amulet_local.chats.ids import new_chat_id
from amulet_local.chats.provenance import Origin
from tests.chats.test_export import talk
from tests.cli.conftest import Amulet

ORIGIN = Origin(model="SmolLM2", file="/m.gguf", seed=7, system="You help.")


def keep(*texts: str, days: float = 0, title: str = "") -> str:
    """A chat of so many days ago; returns its id."""
    chat, conversation = new_chat_id(), talk(*texts)
    with History(history_file()) as history:
        changed = time.time() - days * 24 * 3600
        history.add_chat(chat, title or texts[0], conversation, changed)
    return chat


def test_without_chats_it_says_how_to_begin_one(amulet: Amulet) -> None:
    result = amulet("chats")
    assert (result.code, result.err) == (0, "")
    assert "start one with: amulet" in result.out
    assert amulet("chats", "--json").document["chats"] == []


def test_chats_are_listed_by_day_the_newest_first(amulet: Amulet) -> None:
    old = keep("Where to?", "To Wales.", days=40)
    new = keep("[bold]\x1b[2JWhat?[/bold]", "That.", "And?")
    result = amulet("chats")
    assert (result.code, result.err) == (0, "")
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[1] == ["Today"]
    assert lines[2][:3] == [new, "[bold][2JWhat?[/bold]", "3"]
    assert datetime.strptime(lines[2][3], "%H:%M")
    assert len(lines[3]) == 4, "a day in words"
    assert lines[4][:4] == [old, "Where", "to?", "2"]
    assert amulet("chats", "list").out == result.out


def test_a_list_that_is_cut_says_how_much_more_there_is(amulet: Amulet) -> None:
    for number in range(4):
        keep(f"Question {number}")
    result = amulet("chats", "list", "-n", "3")
    assert result.out.splitlines()[-1] == "1 more; list them all with: amulet chats list -n 4"
    document = amulet("chats", "list", "-n", "3", "--json").document
    assert (document["total"], len(document["chats"])) == (4, 3)
    assert document["file"] == str(history_file())


def test_a_chat_is_shown_by_the_beginning_of_its_id(amulet: Amulet) -> None:
    chat = keep("Where to?", "To Wales.")
    result = amulet("chats", "show", chat[:6])
    assert (result.code, result.err) == (0, "")
    assert "## You\n\nWhere to?\n\n## SmolLM2\n\nTo Wales." in result.out
    document = amulet("chats", "show", chat, "--json").document
    assert (document["id"], document["title"]) == (chat, "Where to?")
    question, reply = document["messages"]
    assert (question["text"], question["origin"]) == ("Where to?", None)
    assert (reply["version"], reply["versions"], reply["origin"]["seed"]) == (1, 1, 7)
    assert reply["ending"]["stats"]["tokens"] == 3


def test_what_a_model_wrote_does_not_steer_the_terminal(amulet: Amulet) -> None:
    chat = keep("Colour?", "\x1b[31mred\x07")
    for command in (("show", chat), ("search", "red"), ("list",), ("export", chat)):
        shown = amulet("chats", *command, terminal=True).out
        assert "\x1b[31m" not in shown
        assert "\x07" not in shown


def test_what_nobody_sees_does_not_reach_the_terminal(amulet: Amulet) -> None:
    chat = keep("Sender\u202e?", "a\u200eb\u2067c\U000e0041d\u202ee", title="שלום\u202e")
    for command in (("show", chat), ("search", "Sender"), ("list",), ("export", chat)):
        shown = amulet("chats", *command, terminal=True).out
        assert not set("\u202e\u200e\u2067\U000e0041") & set(shown)
    assert "\u2068שלום\u2069" in amulet("chats", "list", terminal=True).out
    assert "a\u200eb\u2067c\U000e0041d\u202ee" in amulet("chats", "export", chat).out  # into a file


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_a_chat_that_is_not_there_is_a_sentence(name: str, amulet: Amulet) -> None:
    keep("Where to?")
    for command in ("show", "export", "remove"):
        result = amulet("chats", command, name)
        assert (result.code, result.out) == (3, "")
        assert result.err == (
            f"amulet: no chat has an id that begins with {name!r}; list them with: amulet chats\n"
        )


def test_search_shows_where_and_what(amulet: Amulet) -> None:
    chat = keep("Where is a coast path?", "In Wales, along the coast.")
    result = amulet("chats", "search", "coast", "path")
    assert result.out.splitlines() == [
        f"{chat}  Where is a coast path?",
        "  you: Where is a coast path?",
    ]
    (hit,) = amulet("chats", "search", "along the", "--json").document["hits"]
    assert (hit["chat"], hit["role"]) == (chat, "assistant")
    snippet = hit["snippet"]
    assert [snippet["text"][start:end] for start, end in snippet["marks"]] == ["along", "the"]


def test_search_says_when_there_is_nothing_and_when_there_is_more(amulet: Amulet) -> None:
    keep("coast", "coast", "coast")
    assert amulet("chats", "search", "hills").out == "No message contains all of these words.\n"
    assert amulet("chats", "search", "hills", "--json").document == {"hits": []}
    assert "to see more, add: -n 20" in amulet("chats", "search", "coast", "-n", "2").out


def test_what_is_exported_as_json_is_imported_again(
    amulet: Amulet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = keep("Où ça ?", "To Wales 🏴.")
    file = tmp_path / "chat.json"
    result = amulet("chats", "export", chat, "-o", str(file))
    assert (result.code, result.out) == (0, f"Exported to {file}\n")
    assert amulet("chats", "export", chat, "--format", "json").out == file.read_text("ascii")
    assert amulet("chats", "export", chat, "--format", "json", "--json").out == file.read_text()
    monkeypatch.setenv("AMULET_HOME", str(tmp_path / "elsewhere"))
    result = amulet("chats", "import", str(file))
    assert (result.code, result.out) == (0, f"Imported Où ça ? as {chat}\n")
    assert amulet("chats", "export", chat, "--format", "json").out == file.read_text("ascii")
    again = amulet("chats", "import", str(file), "--json").document
    assert (again["title"], again["messages"]) == ("Où ça ?", 2)
    assert again["id"] != chat


def test_markdown_is_what_export_writes_if_nothing_else_is_said(
    amulet: Amulet, tmp_path: Path
) -> None:
    chat = keep("Where to?", "To Wales.")
    out = amulet("chats", "export", chat).out
    assert out.startswith("# Where to?\n")
    assert amulet("chats", "export", chat, "--json").document == {
        "id": chat,
        "format": "md",
        "text": out,
    }
    file = tmp_path / "chat.md"
    document = amulet("chats", "export", chat, "-o", str(file), "--json").document
    assert document == {"id": chat, "format": "md", "path": str(file)}
    assert file.read_text("utf-8") == out


def test_a_dash_is_standard_output(
    amulet: Amulet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chat = keep("Where to?", "To Wales.")
    before = {*tmp_path.iterdir()}
    for more in ([], ["--json"], ["--format", "json"]):
        assert amulet("chats", "export", chat, "-o", "-", *more).out == (
            amulet("chats", "export", chat, *more).out
        )
    assert {*tmp_path.iterdir()} == before


def test_files_that_cannot_be_used_are_a_sentence(amulet: Amulet, tmp_path: Path) -> None:
    chat = keep("Where to?")
    result = amulet("chats", "export", chat, "-o", str(tmp_path / "no" / "folder.md"))
    assert (result.code, result.out) == (2, "")
    assert "cannot be written" in result.err
    result = amulet("chats", "import", str(tmp_path / "nowhere.json"))
    assert (result.code, result.out) == (3, "")
    (tmp_path / "bad.json").write_text(json.dumps({"format": "amulet-chat"}))
    result = amulet("chats", "import", str(tmp_path / "bad.json"))
    assert (result.code, result.out) == (3, "")
    assert "is not an Amulet chat export" in result.err


def test_a_chat_is_removed_for_good_after_asking(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = keep("Where to?", "To Wales.")
    asked: list[str] = []

    def no(question: object, **_: object) -> bool:
        asked.append(str(question))
        return False

    monkeypatch.setattr(Confirm, "ask", no)
    assert amulet("chats", "remove", chat).out == f"Kept Where to? ({chat})\n"
    assert asked == ["Permanently remove Where to? (2 messages)?"]
    assert amulet("chats", "remove", chat, "--yes").out == f"Removed Where to? ({chat})\n"
    assert amulet("chats", "--json").document["total"] == 0


def test_nobody_is_asked_where_nobody_is(amulet: Amulet) -> None:
    chat = keep("Where to?")
    result = amulet("chats", "remove", chat, piped=b"y\n")
    assert (result.code, result.out) == (2, "")
    assert f"add --yes to remove {chat}" in result.err
    result = amulet("chats", "remove", chat[:8], "-y", "--json", piped=b"")
    assert result.document == {"removed": [chat]}


def test_a_damaged_store_is_told_of_and_begun_anew(amulet: Amulet) -> None:
    keep("Where to?")
    history_file().write_bytes(b"garbage " * 1000)
    result = amulet("chats", "--json")
    assert (result.code, result.document["chats"]) == (0, [])
    assert result.err.startswith("amulet: Your chats file was damaged")


def test_a_store_that_cannot_be_there_is_a_sentence(amulet: Amulet, home: Path) -> None:
    home.write_text("a file where the folder should be")
    result = amulet("chats")
    assert (result.code, result.out) == (0, "No chats yet; start one with: amulet\n")
    assert result.err.endswith("chats.sqlite (Not a directory).\n")
    result = amulet("chats", "wipe", "--yes")
    assert (result.code, result.out) == (2, "")
    assert "set AMULET_HOME to another folder" in result.err


def test_a_reply_under_way_elsewhere_can_be_read(amulet: Amulet) -> None:
    with History(history_file()) as history:
        chat = Chat(history)
        chat.reply(chat.ask("Where to?").id, ORIGIN)
        document = amulet("chats", "show", chat.id, "--json").document
        assert document["messages"][-1]["ending"] is None


def test_chats_are_read_where_nothing_can_be_written_and_not_changed(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = keep("Where to?")
    before = history_file().read_bytes()
    monkeypatch.setattr(os, "access", lambda *_: False)
    for arguments in (["list"], ["show", chat], ["search", "where"], ["export", chat]):
        result = amulet("chats", *arguments)
        assert result.code == 0
        assert "Where to?" in result.out
        assert "(Permission denied).\n" in result.err
    result = amulet("chats", "remove", chat, "-y")
    assert (result.code, result.out) == (2, "")
    assert "(Permission denied); make it writable" in result.err
    assert history_file().read_bytes() == before


def test_files_of_others_in_our_folders_stay(amulet: Amulet, home: Path) -> None:
    others = [home / name for name in ("data/film.mkv.part", "data/films/b.part", "log/own.log")]
    ours = [home / name for name in ("log/engine.log", "log/app.log")]
    remnant = home / "data/films/a.json.999999999 1.0.part"
    for path in (*others, *ours, remnant):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert amulet("chats", "wipe", "--yes").code == 0
    assert [path.exists() for path in (*others, *ours, remnant)] == [True] * 3 + [False] * 3
