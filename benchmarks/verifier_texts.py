"""Texts with which verifiers are compared where no model has written any: varied on purpose.

A few replies as models write them, in English and other languages, are taken apart, put together
and changed: upper and lower case, commas, bullets, quotation marks, titles, JSON, asterisks.
Arguments stand near what a text has, so that an outcome turns on one word more or less.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

ENGLISH = (
    "Sure! Here's a short review of the film.\n\nThe film is slow, quiet and very beautiful. It "
    "took me a while to like it, but I did. Would I watch it again? Yes, I would.",
    "Here are three tips for better sleep:\n\n* Keep the room dark and cool.\n* Go to bed at the "
    "same time every day.\n* Don't drink coffee after 3 p.m.\n\nI hope this helps!",
    "**1. Plan ahead.** Write down what you need.\n\n**2. Start small.** One step at a time, e.g. "
    "ten minutes a day.\n\n**3. Keep going...** You can do it!",
    "Dear Mr. Smith,\n\nThank you for your letter of Jan. 5. We're sorry that the parcel arrived "
    "late; it was held up in the U.S. for two weeks.\n\nYours sincerely,\n[Your Name]\n\n"
    "P.S. Please find a voucher of $20 enclosed.",
    'My answer is yes. A golden retriever is a good dog for a family: it is patient, it likes '
    "children, and it doesn't bark much.",
    '{"name": "Ada", "age": 36, "skills": ["mathematics", "poetry"]}',
    "SECTION 1\nThe river rises in the mountains.\n\nSECTION 2\nIt runs through the old town, "
    "past the mill.\n\nSECTION 3\nIn the end it meets the sea.",
    "Roses are red\nViolets are blue\nSugar is sweet\nAnd so are you",
    '"Where are you going?" asked the fox. "Home," said the hare, "and you can\'t stop me!" The '
    "fox laughed; nobody had said that to him before.",
    "<<The Lost Key>>\n\nOnce upon a time there was a key that fitted no door. ***\n\nIt lay in a "
    "drawer for years.\n\n***\n\nOne day a child found it.",
    "NASA and ESA have agreed on a joint mission. It's the FIRST of its kind, says Dr. Lee, and it "
    "WON'T be the last. Launch: 10:30 AM on 4 July 2031 (UTC).",
    "To solve 3x + 5 = 20, subtract 5 from both sides: 3x = 15. Then divide by 3: x = 5. The "
    "answer is 5. Check it: 3 * 5 + 5 = 20.",
    "- *Cheap*: it costs nothing.\n- *Fast*: it takes a minute.\n- *Good*: everybody likes it.",
    "I think that the best way to learn a language is to speak it every day. You should not be "
    "afraid of mistakes. They are how we learn. Is there anything else I can help with?",
)  # fmt: skip
OTHERS = {
    "de": "Der Film ist langsam, leise und sehr schön. Ich habe eine Weile gebraucht, bis er mir "
    "gefiel, aber dann wollte ich ihn gleich noch einmal sehen.",
    "fr": "Le film est lent, calme et très beau. Il m'a fallu du temps pour l'aimer, mais je le "
    "reverrais avec plaisir.",
    "es": "La película es lenta, tranquila y muy hermosa. Tardé un poco en disfrutarla, pero la "
    "volvería a ver.",
    "it": "Il film è lento, tranquillo e molto bello. Ci ho messo un po' ad apprezzarlo, ma lo "
    "rivedrei volentieri.",
    "pt": "O filme é lento, calmo e muito bonito. Demorei um pouco para gostar dele, mas voltaria "
    "a vê-lo.",
    "ru": "Фильм медленный, тихий и очень красивый. Мне понадобилось время, чтобы полюбить его.",
    "hi": "यह फिल्म धीमी, शांत और बहुत सुंदर है। मुझे इसे पसंद करने में थोड़ा समय लगा।",
    "ja": "この映画はゆっくりとしていて、静かで、とても美しいです。もう一度見たいと思います。",
    "ar": "الفيلم بطيء وهادئ وجميل جدا. استغرق الأمر بعض الوقت حتى أحببته.",
    "ko": "이 영화는 느리고 조용하며 매우 아름답습니다. 다시 보고 싶습니다.",
    "sw": "Filamu hii ni ya polepole, tulivu na nzuri sana. Ilinichukua muda kuipenda.",
    "vi": "Bộ phim chậm rãi, yên tĩnh và rất đẹp. Tôi mất một thời gian mới thích nó.",
}

Change = Callable[[str, random.Random], str]


@dataclass(frozen=True)
class Pair:
    """An instruction, by its kind and arguments, and a text that may follow it.

    own: whether the text is a reply to a question with this instruction.
    """

    kind: str
    arguments: dict[str, object]
    text: str
    own: bool = False


def _sprinkled(what: str) -> Change:
    """Put something between two words, or at an end."""

    def change(text: str, luck: random.Random) -> str:
        gaps = [0, *(gap.start() for gap in re.finditer(r"\s", text)), len(text)]
        at = luck.choice(gaps)
        return f"{text[:at]}{what}{text[at:]}"

    return change


def _fewer_lines(text: str, luck: random.Random) -> str:
    lines = text.split("\n")
    return "\n".join(line for line in lines if luck.random() < 0.8)


def _some_in_capitals(text: str, luck: random.Random) -> str:
    return re.sub(
        r"[\w'-]+", lambda word: word[0].upper() if luck.random() < 0.2 else word[0], text
    )


def _listed(text: str, luck: random.Random) -> str:
    mark = luck.choice(["* ", "- ", "  * ", "• ", "1. ", "** "])
    return "\n".join(mark + part for part in re.split(r"(?<=[.!?])\s+|\n+", text) if part)


CHANGES: tuple[Change, ...] = (
    lambda text, luck: text,
    lambda text, luck: text.upper(),
    lambda text, luck: text.lower(),
    lambda text, luck: text.replace(",", ""),
    lambda text, luck: f'"{text}"',
    lambda text, luck: f"“{text}”",
    lambda text, luck: f"<<A Title>>\n{text}",
    lambda text, luck: f"Sure! Here it is:\n{text}",
    lambda text, luck: f"{text}\nLet me know if you need more, please.",
    lambda text, luck: f"*{text}*",
    lambda text, luck: json.dumps({"answer": text}),
    lambda text, luck: f"```json\n{json.dumps([text])}\n```",
    lambda text, luck: f"{text}\n***\n{luck.choice(ENGLISH)}",
    lambda text, luck: f"{text}******{luck.choice([text, *ENGLISH])}",
    lambda text, luck: f"{text}\n\n{luck.choice(ENGLISH)}",
    lambda text, luck: f"{text}\n\nP.S. I nearly forgot: my answer is no.",
    lambda text, luck: re.sub(r"\n+", "\n", text),
    lambda text, luck: re.sub(r"\s+", " ", text),
    lambda text, luck: text[: luck.randrange(len(text) + 1)],
    lambda text, luck: luck.choice(list(OTHERS.values())),
    lambda text, luck: luck.choice(["", " \n", "\n\n\n", "***", "...", "7", "\0", "?", '"']),
    *map(_sprinkled, [" *so it goes* ", " **much** ", " ** ", "* ", "\n* ", "\n- ", "******"]),
    *map(_sprinkled, [" [name] ", " [[x]] ", " <<T>> ", ", ", '"', "\n\n", "\n***\n", "\n\n\n"]),
    *map(_sprinkled, [" UN ", " I'M ", " U.K. ", " CO-OP ", " A/B ", " CAN'T ", "\0", "! ", "? "]),
    *map(_sprinkled, [" SECTION 4 ", " P.P.S. ", " p. s. ", " Ph.D. ", " wait... ", " etc. "]),
    *map(_sprinkled, [". ", " My answer is maybe. ", " the key "]),
    _fewer_lines,
    _some_in_capitals,
    _listed,
)  # fmt: skip


def _near(count: int, luck: random.Random) -> int:
    return max(1, count + luck.choice([-2, -1, 0, 0, 1, 2]))


def _relation(luck: random.Random) -> str:
    return luck.choice(["at least", "less than"])


def _word(text: str, luck: random.Random) -> str:
    """A word of the text, or of another."""
    words: list[str] = re.findall(r"[^\W\d_]+", luck.choice([text, *ENGLISH[:2]]))
    return luck.choice(words or ["key"])


def _beginning(text: str, luck: random.Random) -> str:
    return luck.choice([text.strip()[: luck.randrange(1, 60)].strip() or "What", ENGLISH[0][:20]])


def _ending(text: str, luck: random.Random) -> str:
    end = text.strip()[-luck.randrange(1, 40) :].strip()
    return luck.choice(
        [end if end.strip('"') else "end", "Is there anything else I can help with?"]
    )


def _paragraph(text: str, luck: random.Random) -> dict[str, object]:
    paragraphs = [part for part in text.split("\n\n") if part.strip()]
    number = _near(len(paragraphs), luck) if luck.random() < 0.3 else max(1, len(paragraphs))
    nth = luck.randint(1, number)
    begins = paragraphs[nth - 1] if nth <= len(paragraphs) else "the"
    words = re.findall(r"[\w-]+", begins) or ["the"]
    word = words[0] if luck.random() < 0.8 else luck.choice(words)
    return {"num_paragraphs": number, "nth_paragraph": nth, "first_word": word}


def _counted(name: str, pattern: str) -> Callable[[str, random.Random], dict[str, object]]:
    """A number close to what the text has."""
    return lambda text, luck: {name: _near(len(re.findall(pattern, text)), luck)}


def _compared(
    name: str, pattern: str, relation: str = "relation"
) -> Callable[[str, random.Random], dict[str, object]]:
    counted = _counted(name, pattern)
    return lambda text, luck: counted(text, luck) | {relation: _relation(luck)}


def _letter(text: str, luck: random.Random) -> dict[str, object]:
    letter = luck.choice("aeiknqstz")
    return {
        "letter": letter,
        "let_frequency": _near(text.lower().count(letter), luck),
        "let_relation": _relation(luck),
    }


def _frequency(text: str, luck: random.Random) -> dict[str, object]:
    word = _word(text, luck)
    count = len(re.findall(re.escape(word), text, re.IGNORECASE))
    return {"keyword": word, "frequency": _near(count, luck), "relation": _relation(luck)}


def _nothing(text: str, luck: random.Random) -> dict[str, object]:
    return {}


ARGUMENTS: dict[str, Callable[[str, random.Random], dict[str, object]]] = {
    "change_case:capital_word_frequency": _compared(
        "capital_frequency", r"\b[A-Z]+\b", "capital_relation"
    ),
    "change_case:english_capital": _nothing,
    "change_case:english_lowercase": _nothing,
    "combination:repeat_prompt": lambda text, luck: {"prompt_to_repeat": _beginning(text, luck)},
    "combination:two_responses": _nothing,
    "detectable_content:number_placeholders": _counted("num_placeholders", r"\[.*?\]"),
    "detectable_content:postscript": lambda text, luck: {
        "postscript_marker": luck.choice(["P.S.", "P.P.S"])
    },
    "detectable_format:constrained_response": _nothing,
    "detectable_format:json_format": _nothing,
    "detectable_format:multiple_sections": lambda text, luck: {
        "section_spliter": luck.choice(["SECTION", "SECTION", "Section"]),
        "num_sections": _near(text.count("SECTION "), luck),
    },
    "detectable_format:number_bullet_lists": _counted("num_bullets", r"(?:^|\n)[*-]"),
    "detectable_format:number_highlighted_sections": _counted("num_highlights", r"\*\b[^*]*\*"),
    "detectable_format:title": _nothing,
    "keywords:existence": lambda text, luck: {
        "keywords": [_word(text, luck) for _ in range(luck.randint(1, 2))]
    },
    "keywords:forbidden_words": lambda text, luck: {"forbidden_words": [_word(text, luck)]},
    "keywords:frequency": _frequency,
    "keywords:letter_frequency": _letter,
    "language:response_language": lambda text, luck: {
        "language": next((code for code, words in OTHERS.items() if words == text), "en")
        if luck.random() < 0.8
        else luck.choice(list(OTHERS))
    },
    "length_constraints:nth_paragraph_first_word": _paragraph,
    "length_constraints:number_paragraphs": _counted("num_paragraphs", r"[^*]+\*{0,3}"),
    "length_constraints:number_sentences": _compared("num_sentences", r"[.?!]+[\s\"*)]"),
    "length_constraints:number_words": _compared("num_words", r"\w+"),
    "punctuation:no_comma": _nothing,
    "startend:end_checker": lambda text, luck: {"end_phrase": _ending(text, luck)},
    "startend:quotation": _nothing,
}

# Changes from which the rarer outcome of a kind comes: beside chance, every third text has one.
HELPFUL: dict[str, tuple[Change, ...]] = {
    "change_case:english_capital": (lambda text, luck: text.upper(),),
    "change_case:english_lowercase": (lambda text, luck: text.lower(),),
    "combination:two_responses": (
        lambda text, luck: f"{text}\n******\n{luck.choice(ENGLISH)}",
        lambda text, luck: f"******{text}******{luck.choice(ENGLISH)}******",
    ),
    "detectable_content:postscript": (lambda text, luck: f"{text}\n\nP. S. And P.P.S. as well.",),
    "detectable_format:constrained_response": (_sprinkled(" My answer is no. "),),
    "detectable_format:json_format": (
        lambda text, luck: json.dumps({"text": text}, indent=luck.choice([None, 2])),
        lambda text, luck: f"```JSON\n{json.dumps(text)}```",
        lambda text, luck: f"Here it is:\n{json.dumps(text)}",
        lambda text, luck: f"```\n{json.dumps(text)}\n```\nThere you are.",
    ),
    "detectable_content:number_placeholders": (lambda text, luck: "[a] [b c]" * 3 + text,),
    "detectable_format:multiple_sections": (lambda text, luck: f"{ENGLISH[6]}\n{text}",),
    "detectable_format:number_bullet_lists": (lambda text, luck: f"* One\n* Two\n{text}",),
    "detectable_format:number_highlighted_sections": (lambda text, luck: f"*a* **b**\n{text}",),
    "detectable_format:title": (lambda text, luck: f"<<{text[:20]}>>{text[20:]}",),
    "language:response_language": (lambda text, luck: luck.choice(list(OTHERS.values())),),
    "punctuation:no_comma": (lambda text, luck: text.replace(",", ""),),
    "startend:quotation": (lambda text, luck: f'"{text}"', lambda text, luck: f'Sure:\n"{text}"'),
}


def pairs(each: int, seed: int = 0) -> list[Pair]:
    """So many different pairs of each kind."""
    luck = random.Random(seed)
    made: dict[str, Pair] = {}
    for kind, arguments in ARGUMENTS.items():
        wanted = len(made) + each
        while len(made) < wanted:
            text = luck.choice(ENGLISH)
            for _ in range(luck.randint(0, 4)):
                text = luck.choice(CHANGES)(text, luck)
            if luck.random() < 1 / 3:
                text = luck.choice(HELPFUL.get(kind, CHANGES))(text, luck)
            pair = Pair(kind, arguments(text, luck), text)
            made.setdefault(repr(pair), pair)
    return list(made.values())
