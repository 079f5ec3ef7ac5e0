"""The phrases of plain English that wish what a verifier can check, and the verifiers they mean.

Each is a pattern that a whole clause must match, in small letters, with a sign in the place of each
quoted phrase; `recognise` makes clauses so. What may mean different things is not here: "in JSON"
(may words stand around it?), "in 100 words" (about, or at most?), "use the word limit".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec

from amulet_local.verifiers import Verifier, verifier

FIRST_SIGN = 0xE000  # the sign of the first quoted phrase; the others follow it
SIGN = "[\ue000-\ue0ff]"

Found = re.Match[str]
Build = Callable[[Found, list[str]], list[Verifier]]  # of a clause and what is quoted in it

# -- parts of phrases -----------------------------------------------------------------------------

NOT = r"(?:(?:do|must|should) not|don't|mustn't|shouldn't|never|not|(?:make|be) sure not to)"
_REPLY = r"(?:the|your){} (?:reply|response|answer|text|message|output)"
_ANY_REPLY, _WHOLE_REPLY = _REPLY.format("(?: whole| entire)?"), _REPLY.format(" (?:whole|entire)")
_IT = rf"(?:it|everything|{_ANY_REPLY})"
_FRAME = (
    r"(?:please )?(?:also )?(?:(?:make|be) sure to "
    r"|(?:answer|reply|respond|write)(?: to me| me)?(?: only| entirely)? "
    rf"|(?:keep|make|write|put|wrap|format) {_IT} "
    rf"|{_IT} (?:should|must|has to|needs to) (?:be )?)?"
)
_LEAD = r"(?:(?:in|with|use|using|have|contain|include|give|give me|list) )?"
_INCLUDE = r"(?:include|including|use|using|contain|containing|mention|mentioning|with)"
_WITHOUT = r"(?:(?:use |have |contain )?(?:no|without)(?: any)?)"

_NAMES = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {name: number for number, name in enumerate(_NAMES.split(" "))}
_NUMBERS |= {"a single": 1, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
_NUMBERS |= {"a hundred": 100, "one hundred": 100, "two hundred": 200, "a thousand": 1000}
NUMBER = rf"(\d{{1,6}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_BULLETS = r"bullet points?|bullets?"
_UNIT = rf"(words?|sentences?|paragraphs?|{_BULLETS})"
_AT_MOST = r"(?:at most|no more than|not more than|(?:a )?max(?:imum)?(?: of)?|up to)"
_AT_LEAST = r"(?:at least|no less than|no fewer than|not less than|(?:a )?min(?:imum)?(?: of)?)"

# -- case, marks, form ----------------------------------------------------------------------------


def _plain(kind: str, **arguments: object) -> Build:
    return lambda found, quoted: [verifier(kind, arguments)]


_LOWER = r"lower[- ]?case(?: letters| text)?"
_UPPER = r"(?:upper[- ]?case(?: letters| text)?|capitals|capital letters|block capitals)"
_CAPITALS = r"(?:capitals|capital letters|upper[- ]?case letters)"
_ALL = r"(?:all|only|all in|only in|in all|in only|entirely in|completely in)"

_CASE = {
    rf"(?:(?:use )?{_ALL}|in) {_LOWER}(?: only)?": _plain("change_case:lowercase"),
    r"lower[- ]?case(?: only)?": _plain("change_case:lowercase"),
    rf"{_WITHOUT} {_CAPITALS}": _plain("change_case:lowercase"),
    rf"{NOT} use(?: any)? {_CAPITALS}": _plain("change_case:lowercase"),
    rf"(?:(?:use )?{_ALL}|in) {_UPPER}(?: only)?": _plain("change_case:capital"),
    r"upper[- ]?case(?: only)?": _plain("change_case:capital"),
    r"(?:use )?(?:in )?all caps": _plain("change_case:capital"),
    rf"{_WITHOUT} (?:small|lower[- ]?case) letters": _plain("change_case:capital"),
}
_COMMAS = {
    rf"{_WITHOUT}(?: using)? commas?": _plain("punctuation:no_comma"),
    rf"{NOT} (?:use|have|contain|include)(?: any| a)? commas?": _plain("punctuation:no_comma"),
    r"(?:avoid|omit|refrain from)(?: using)?(?: any| all)? commas": _plain("punctuation:no_comma"),
}
_JSON = {
    r"(?:(?:in|as|with|output) )?(?:valid )?json(?: format)? only": _plain(
        "detectable_format:json_format"
    ),
    r"(?:(?:in|as|with|output) )?only (?:in )?(?:valid )?json": _plain(
        "detectable_format:json_format"
    ),
    rf"(?:wrap|put|format|write) {_WHOLE_REPLY} (?:in|as) json(?: format)?": _plain(
        "detectable_format:json_format"
    ),
}
_PARTS = {
    rf"{_WITHOUT} (?:bullet points|bullets|bullet lists?)": _plain(
        "detectable_format:bullets", num_bullets=1, relation="less than"
    ),
    r"(?:in|inside|within)(?: double)? (?:quotation marks|quotes)": _plain("startend:quotation"),
    r"(?:(?:with|use|add|include|have|contain|give it) )?a title(?: wrapped| enclosed| written)? "
    r"(?:in|inside) double (?:angle|angular) brackets": _plain("detectable_format:title"),
    r"(?:(?:with|add|include|have|contain|end with|finish with|write) )?a (?:p_s_|postscript)"
    r"(?: at the end)?": _plain("detectable_content:postscript", postscript_marker="P.S."),
}

# -- amounts --------------------------------------------------------------------------------------

_KINDS = {  # by the first letter of the unit
    "w": ("length_constraints:number_words", "num_words"),
    "s": ("length_constraints:number_sentences", "num_sentences"),
    "p": ("length_constraints:paragraphs", "num_paragraphs"),
    "b": ("detectable_format:bullets", "num_bullets"),
}


def _between(unit: str, low: int | None, high: int | None) -> list[Verifier]:
    """At least low and at most high of a unit; nothing where no reply could have so many."""
    if low == 0 or (high is not None and high < (low or 1)):
        return []
    if unit[0] == "b" and low == high:
        return [verifier("detectable_format:number_bullet_lists", {"num_bullets": low})]
    kind, key = _KINDS[unit[0]]
    made = []
    if low is not None:
        made.append(verifier(kind, {key: low, "relation": "at least"}))
    if high is not None:
        made.append(verifier(kind, {key: high + 1, "relation": "less than"}))
    return made


def _number(words: str) -> int:
    return _NUMBERS[words] if words in _NUMBERS else int(words)


def _under(found: Found, quoted: list[str]) -> list[Verifier]:
    return _between(found[2], None, _number(found[1]) - 1)


def _at_most(found: Found, quoted: list[str]) -> list[Verifier]:
    return _between(found[2], None, _number(found[1]))


def _at_least(found: Found, quoted: list[str]) -> list[Verifier]:
    return _between(found[2], _number(found[1]), None)


def _over(found: Found, quoted: list[str]) -> list[Verifier]:
    return _between(found[2], _number(found[1]) + 1, None)


def _exactly(found: Found, quoted: list[str]) -> list[Verifier]:
    return _between(found[2], _number(found[1]), _number(found[1]))


def _range(found: Found, quoted: list[str]) -> list[Verifier]:
    return _between(found[3], _number(found[1]), _number(found[2]))


_AMOUNTS = {
    rf"{_LEAD}(?:under|below|less than|fewer than|shorter than) {NUMBER} {_UNIT}": _under,
    rf"{_LEAD}{_AT_MOST} {NUMBER} {_UNIT}": _at_most,
    rf"{_LEAD}{NUMBER} {_UNIT} (?:at most|max|maximum|or less|or fewer)": _at_most,
    rf"{_LEAD}{NUMBER} (?:or less|or fewer) {_UNIT}": _at_most,
    rf"{NOT} (?:exceed|go over|use more than|write more than) {NUMBER} {_UNIT}": _at_most,
    rf"limit {_IT} to(?: at most)? {NUMBER} {_UNIT}": _at_most,
    rf"{_LEAD}{_AT_LEAST} {NUMBER} {_UNIT}": _at_least,
    rf"{_LEAD}{NUMBER} {_UNIT} (?:at least|min|minimum|or more)": _at_least,
    rf"{_LEAD}{NUMBER}(?:\+| or more) {_UNIT}": _at_least,
    rf"{_LEAD}(?:over|above|more than|longer than) {NUMBER} {_UNIT}": _over,
    rf"{_LEAD}exactly {NUMBER} {_UNIT}": _exactly,
    rf"{_LEAD}{NUMBER} (sentences?|paragraphs?|{_BULLETS})": _exactly,
    rf"{_LEAD}{NUMBER} to {NUMBER} {_UNIT}": _range,
}

# -- words and languages --------------------------------------------------------------------------

# "Use the word processor" and "include the word count" are about something else.
_SOMETHING_ELSE = re.compile(
    r".*ly|above|again|always|art|as|bank|below|boundary|choice|class|cloud|counts?|counter|doc"
    r"|document|families|family|files?|for|form|format|forms|frequency|from|games?|here|in|instead"
    r"|lengths?|limits?|lists?|meanings?|more|of|often|on|once|only|order|origins?|pairs?|play"
    r"|problems?|process|processing|processors?|puzzles?|roots?|salad|search|stems?|stress"
    r"|templates?|that|to|twice|types?|version|which|with|you"
)
_ONE = rf"({SIGN})"
_ALL_OF = rf"({SIGN}+)"
_NONE_OF = rf"({SIGN}(?:\|?{SIGN})*)"
_UNQUOTED = r"([^\W\d_][\w'-]*)"


def _phrases(signs: str, quoted: list[str]) -> list[str]:
    return [quoted[ord(sign) - FIRST_SIGN] for sign in signs.replace("|", "")]


def _all_of(found: Found, quoted: list[str]) -> list[Verifier]:
    return [verifier("keywords:existence", {"keywords": _phrases(found[1], quoted)})]


def _none_of(found: Found, quoted: list[str]) -> list[Verifier]:
    return [verifier("keywords:forbidden_words", {"forbidden_words": _phrases(found[1], quoted)})]


def _unquoted(kind: str, key: str) -> Build:
    def build(found: Found, quoted: list[str]) -> list[Verifier]:
        word = found[1]
        return [] if _SOMETHING_ELSE.fullmatch(word) else [verifier(kind, {key: [word]})]

    return build


def _often(found: Found, quoted: list[str]) -> list[Verifier]:
    (word,) = _phrases(found[1], quoted)
    number = 2 if found[2] == "twice" else _number(found[3])
    arguments = {"keyword": word, "frequency": number, "relation": "at least"}
    return [verifier("keywords:frequency", arguments)] if number else []


def _end(found: Found, quoted: list[str]) -> list[Verifier]:
    (phrase,) = _phrases(found[1], quoted)
    return [verifier("startend:end_checker", {"end_phrase": phrase})]


_EXCLUDE = (
    r"(?:(?:without|avoid)(?: using| saying)?|omit|exclude|leave out"
    rf"|{NOT} (?:use|say|include|mention|contain))"
)

_WORDS = {
    rf"{_INCLUDE} (?:the )?(?:exact )?(?:words?|phrases?) {_ALL_OF}": _all_of,
    rf"(?:include|including|contain|mention|mentioning) {_ALL_OF}": _all_of,
    rf"{_INCLUDE} the word {_UNQUOTED}": _unquoted("keywords:existence", "keywords"),
    rf"(?:include|use|mention) (?:the )?(?:word|phrase) {_ONE} (twice|at least {NUMBER} times)"
    "": _often,
    rf"{_EXCLUDE} (?:the )?(?:words?|phrases?) {_NONE_OF}": _none_of,
    rf"{NOT} (?:use|say|include|mention|contain) {_NONE_OF}": _none_of,
    rf"{_EXCLUDE} the word {_UNQUOTED}": _unquoted("keywords:forbidden_words", "forbidden_words"),
    rf"(?:end|ending|finish|finishing|close|conclude)(?: {_IT})? with(?: the)?(?: exact)?"
    rf"(?: words| phrase| sentence| question| line)?:? {_ONE}": _end,
}

# What langdetect tells apart well; it takes Danish for Norwegian, Croatian for Slovene and so on.
LANGUAGES = {
    "arabic": "ar", "bengali": "bn", "chinese": "zh", "czech": "cs", "dutch": "nl", "english": "en",
    "farsi": "fa", "finnish": "fi", "french": "fr", "german": "de", "greek": "el", "gujarati": "gu",
    "hebrew": "he", "hindi": "hi", "hungarian": "hu", "italian": "it", "japanese": "ja",
    "kannada": "kn", "korean": "ko", "malayalam": "ml", "persian": "fa", "polish": "pl",
    "portuguese": "pt", "punjabi": "pa", "romanian": "ro", "russian": "ru", "spanish": "es",
    "swahili": "sw", "swedish": "sv", "tamil": "ta", "telugu": "te", "thai": "th", "turkish": "tr",
    "ukrainian": "uk", "urdu": "ur", "vietnamese": "vi",
}  # fmt: skip
_TONGUE = rf"({'|'.join(LANGUAGES)})"


def _language(found: Found, quoted: list[str]) -> list[Verifier]:
    if find_spec("langdetect") is None:
        return []  # nothing else could check it
    return [verifier("language:response_language", {"language": LANGUAGES[found[1]]})]


_TONGUES = {
    rf"(?:only |entirely )?in (?:the )?{_TONGUE}(?: language)?(?: only)?": _language,
    rf"{_TONGUE} only": _language,
}

PHRASES = [
    (re.compile(_FRAME + phrase), build)
    for phrases in (_CASE, _COMMAS, _JSON, _PARTS, _AMOUNTS, _WORDS, _TONGUES)
    for phrase, build in phrases.items()
]


def meant(clause: str, quoted: list[str]) -> list[Verifier]:
    """What a clause wishes; empty where it is none of the phrases."""
    for phrase, build in PHRASES:
        found = phrase.fullmatch(clause)
        if found:
            return build(found, quoted)
    return []
