"""What files of text may hold: chat templates, presets, config.toml and exported chats.

Templates are drawn from a grammar of what costs much and what is odd; the others are good files of
which values were exchanged for what cannot be, or bytes for any.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from amulet_local.chats.export import import_chat, to_json, to_markdown
from amulet_local.chats.history import History
from amulet_local.errors import AmuletError, NotUsableError
from amulet_local.presets.preset import load_presets
from amulet_local.prompts import templates
from amulet_local.prompts.prompting import PromptWriter
from amulet_local.prompts.templates import TemplateError
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Reply
from amulet_local.settings import config_folder, load_settings, presets_folder
from tests.torture.part import Part

_LONGEST = 600  # characters of a sentence


def check_sentence(sentence: str) -> None:
    assert len(sentence) < _LONGEST, sentence
    assert "\n" not in sentence, sentence


# -- chat templates -------------------------------------------------------------------------------

_NUMBERS = ["0", "1", "-1", "9", "64", "99999", "10**9", "2**31", "2**63", "1e308", "9" * 50, "''"]
_TEXTS = ["''", "'x'", "'<s>'", "'\\n'", "messages[0].content", "messages[-1]['content']"]
_TEXTS += ["bos_token", "'\\ud800'", "'é' * 99", "missing", "messages[0].role", "'{}'", "'%s'"]
_LISTS = [
    "[]",
    "messages",
    "range(9)",
    "range(99999)",
    "[1, [2]]",
    "{}",
    "{'a': 1}",
    "'abc'",
    "none",
]
_FILTERS = ["trim", "upper", "length", "list", "string", "int", "tojson", "first", "last", "join"]
_FILTERS += ["reverse", "sort", "unique", "sum", "center({n})", "indent({n})", "wordwrap({n})"]
_FILTERS += ["replace({t}, {t})", "join({t})", "batch({n})", "slice({n})", "default({t})", "pprint"]
_FILTERS += ["format({n})", "round({n})", "truncate({n})", "tojson(indent={n})", "map('upper')"]
_FILTERS += [
    "selectattr('role')",
    "groupby('role')",
    "urlize",
    "escape",
    "xmlattr",
    "filesizeformat",
]
_METHODS = [".split({t})", ".ljust({n})", ".zfill({n})", ".replace({t}, {t})", ".format({n})"]
_METHODS += [".strip()", ".join({l})", ".count({t})", ".encode()", ".__class__", "[{n}]", "[:{n}]"]
_OPERATORS = ["+", "*", "**", "~", "%", "//", "-", "and", "or", "in", "==", "<", "is not"]
_LOOP = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
_ENVIRONMENT = [
    "{% raw %}",
    "{% endraw %}",
    "{#",
    "#}",
    "{{",
    "}}",
    "{%",
    "%}",
    "{%- if",
    "<|im_start|>",
]


def _expression(random: Random, depth: int = 2) -> str:
    pick = random.randrange(8) if depth < 4 else random.randrange(3)
    if pick < 3:
        return random.choice([_NUMBERS, _TEXTS, _LISTS][pick])
    left = _expression(random, depth + 1)
    match pick:
        case 3:
            return f"({left} | {_filled(random, random.choice(_FILTERS), depth)})"
        case 4:
            return f"({left}){_filled(random, random.choice(_METHODS), depth)}"
        case 5:
            return f"[{', '.join([left] * random.choice([1, 2, 50]))}]"
        case 6:
            return f"({left} if {_expression(random, depth + 1)} else 1)"
    return f"({left} {random.choice(_OPERATORS)} {_expression(random, depth + 1)})"


def _filled(random: Random, form: str, depth: int) -> str:
    for mark, choices in (("{n}", _NUMBERS), ("{t}", _TEXTS), ("{l}", _LISTS)):
        while mark in form:
            value = (
                random.choice(choices) if random.random() < 0.8 else _expression(random, depth + 1)
            )
            form = form.replace(mark, value, 1)
    return form


def _statement(random: Random, depth: int = 0) -> str:
    inner = _statement(random, depth + 1) if depth < random.randint(0, 3) else "."
    match random.randrange(11):
        case 0:
            return f"{{% for a in {_expression(random)} %}}{inner}{{% endfor %}}"
        case 1:
            return f"{{% set x = {_expression(random)} %}}{inner}{{{{ x }}}}"
        case 2:
            return f"{{% if {_expression(random)} %}}{inner}{{% endif %}}"
        case 3:
            return f"{{% macro f(n) %}}{inner}{{{{ f(n) }}}}{{% endmacro %}}{{{{ f(1) }}}}"
        case 4:
            return f"{{% set n = namespace(v={_expression(random)}) %}}{inner}{{{{ n.v }}}}"
        case 5:
            deep = random.choice([2, 50, 2_000])
            return "{% if 1 %}" * deep + inner + "{% endif %}" * deep
        case 6:
            return random.choice(_ENVIRONMENT) + inner + random.choice(_ENVIRONMENT)
        case 7:
            return f"{{{{ raise_exception({_expression(random)}) }}}}"
        case 8:
            return f"{{{{ strftime_now({random.choice(_TEXTS)}) }}}}{inner}"
        case 9:
            return "\ue000" + str(random.choice([0, 1, 5, 10**9, 10**30])) + "\ue001" + inner
    return f"{{{{ {_expression(random)} }}}}{inner}"


def _template(random: Random, folder: Path) -> str:
    """It is used, or refused in a sentence, and then a transcript takes its place."""
    source = "".join(random.choice([_statement(random), ""]) for _ in range(2)) + _LOOP
    source += _statement(random) if random.random() < 0.5 else ""
    if random.random() < 0.1:
        source = source[: random.randrange(len(source))]
    chat = [Message("user", "Hi"), Message("assistant", "Yo"), Message("user", "Go")]
    time = templates.TIME_LIMIT_S
    templates.TIME_LIMIT_S = 0.25  # of the processor, so that many can be tried
    try:
        writer = PromptWriter(source, "<s>", "</s>")
        check_sentence(writer.problem)
        for messages in (chat, chat[:1], chat * 5):
            try:
                writer.text("Be good.", messages, "Be brief.")
                _ = writer.thinks
            except TemplateError as error:
                check_sentence(str(error))
                return "failed for a chat"
    finally:
        templates.TIME_LIMIT_S = time
    return "refused" if writer.problem else "used"


# -- presets and config.toml ----------------------------------------------------------------------

VALUES = ["1", "-1", "1e999", "nan", "inf", "0x" + "f" * 99, "9" * 500, '"x"', "''", "true", "[]"]
VALUES += ["{}", "[[[]]]", "[" * 500, "1979-05-27", "07:32:00", '"\\u0000"', '"\\uD800"', "2**3"]
VALUES += [
    '"""\n"""',
    "{a.b.c = 1}",
    "1_000",
    "_1",
    '"' + "x" * 9999 + '"',
    "-9223372036854775809",
]
_KEYS = ["title", "description", "group", "strength", "guard", "placement", "system"]
_CONFIG_KEYS = ["preset", "system", "max_tokens", "thinking", "theme", "model_folders"]
ODD_LINES = [
    "a.b = 1",
    f"{'.'.join('a' * 99)} = 1",
    '"q" = 1',
    " = 1",
    f"{'k' * 999} = 1",
    "é = 1",
]
ODD_LINES += [
    "[[sampling]]",
    "[a.b]",
    "[",
    "[]",
    f"[{'.'.join('a' * 40)}]",
    "x",
    "\x00",
    "#\x1b[2J",
]
_IN_TABLES = ["temperature", "top_k", "penalty_last_n", "iterations", "alpha", "lambda", "eta"]
_IN_TABLES += ["context", "threads", "devices", "tensor_split", "step_cost", "rpc", "draft"]


def toml(random: Random, begin: str, keys: Sequence[str], tables: Sequence[str]) -> bytes:
    """A file that says what can be, but for a value, a key or a table or two that cannot."""
    lines = [begin]
    for _ in range(random.choice([0, 1, 1, 2])):
        lines.append(f"{random.choice(keys)} = {random.choice(VALUES)}")
    if random.random() < 0.3:
        lines.append(random.choice(tables))
        lines.append(f"{random.choice(_IN_TABLES)} = {random.choice(VALUES)}")
    if random.random() < 0.1:
        lines.insert(random.randrange(len(lines)), random.choice(ODD_LINES))
    data = bytearray("\n".join(lines).encode())
    while data and random.random() < 0.1:
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def _settings(random: Random, folder: Path) -> str:
    """Other presets are there; a file is used, or told of in a sentence."""
    presets_folder().mkdir(parents=True)
    for name in ("one", "two"):
        data = toml(random, 'preference = "Rhyme."', _KEYS, ["[sampling]", "[update]"])
        (presets_folder() / f"{name}.toml").write_bytes(data)
    data = toml(random, 'model = "a"', _CONFIG_KEYS, ["[engine]", "[keys]"])
    (config_folder() / "config.toml").write_bytes(data)
    found = load_presets()
    assert "concise" in found.presets
    for problem in found.problems:
        check_sentence(problem)
    for preset in found.presets.values():
        assert preset.words()
        assert msgspec.msgpack.encode(preset, enc_hook=str)
    try:
        settings = load_settings()
        assert msgspec.msgpack.encode(settings)
    except NotUsableError as error:
        check_sentence(str(error))
        return "config refused"
    return "config used"


# -- exported chats -------------------------------------------------------------------------------

_ODD: list[Any] = [0, 1, -1, 2**31, 2**63, 2**64, 10**30, 0.5, 1e308, -1e308, "", "x", "\0", None]
_ODD += [True, [], {}, [[]], "A" * 99, "\u202e", "x" * 9999, {"a": 1}, [2**40], "AAAA", "0" * 26]


def _chat() -> dict[str, Any]:
    ids = [f"0{'0' * 24}{digit}" for digit in "12345"]
    stats: dict[str, float] = dict.fromkeys(
        ["prompt_tokens", "cached_tokens", "evaluated_tokens", "tokens"], 5
    )
    stats |= dict.fromkeys(["prefill_s", "first_token_s", "decode_s", "tokens_per_s"], 0.5)
    stats |= {"context_tokens": 9, "streams": 2}
    messages: list[dict[str, Any]] = []
    for number, name in enumerate(ids):
        message: dict[str, Any] = {"id": name, "role": "user", "text": "Where to?"}
        if number:
            message["parent"] = ids[number - 1]
        if number % 2:
            origin: dict[str, Any] = {"model": "m", "file": "/m", "seed": 7, "system": "s"}
            origin |= {"strength": 2.0, "wish": "Rhyme."}
            if number > 1:
                faders = [{"preference": "Rhyme.", "strength": -1.0, "name": "a", "muted": True}]
                origin["mix"] = [*faders, {"preference": "Be brief.", "strength": 2.0}]
            message |= {"role": "assistant", "origin": origin, "token_ids": [1, 2]}
            message["ending"] = {"reason": "stop", "stats": dict(stats)}
        messages.append(message)
    return {
        "format": "amulet-chat",
        "version": 2,
        "id": "abc",
        "title": "Walking",
        "leaf": ids[-1],
        "messages": messages,
    }


def _holders(value: Any) -> list[Any]:
    """All lists and tables in a document."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [each for part in inside for each in _holders(part)] + ([value] if inside else [])


def _import(random: Random, folder: Path) -> str:
    """It is imported, can be shown, exported and asked from again; or it is refused."""
    document = _chat()
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        holder = random.choice(_holders(document))
        place = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        if random.random() < 0.15:
            del holder[place]
        else:
            same = [value for value in _ODD if type(value) is type(holder[place])]
            # A copy, since a later change may be one of what was put there.
            holder[place] = deepcopy(random.choice(same or _ODD if random.random() < 0.8 else _ODD))
        if not _holders(document):
            break
    data = bytearray(json.dumps(document).encode())
    while random.random() < 0.05:
        data[random.randrange(len(data))] = random.randrange(256)
    path = folder / "chat.json"
    path.write_bytes(data)
    with History(None) as store:
        try:
            chat = import_chat(store, path)
        except AmuletError as error:
            check_sentence(str(error))
            assert store.count() == 0
            return "refused"
        to_markdown(chat)
        path.write_text(to_json(chat))
        import_chat(store, path)
        for node in chat.conversation.nodes:
            if origin := node.origin:
                asked = Reply(1, (Message("user", "x"),), origin.seed, "", origin.alignment)
                msgspec.msgpack.decode(msgspec.msgpack.encode(asked), type=Reply)
    return "imported"


PARTS = [
    Part("templates", _template, quick=20, full=5_000),
    Part("settings", _settings, quick=50, full=5_000),
    Part("imports", _import, quick=50, full=5_000),
]
