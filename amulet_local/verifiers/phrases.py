"""The phrases of plain English that wish what a verifier can check, and the verifiers they mean.

Each is a pattern that a whole clause must match, in small letters, with a sign in the place of each
quoted phrase; `recognise` makes clauses so. What may mean different things is not here: "in JSON"
(may words stand around it?), "in 100 words" (about, or at most?), "use the word limit".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

from amulet_local.verifiers import Verifier, verifier

FIRST_SIGN = 0xE000  # the sign of the first quoted phrase; the others follow it
SIGN = "[\ue000-\ue0ff]"

Found = re.Match[str]
Build = Callable[[Found, list[str]], list[Verifier]]  # of a clause and what is quoted in it

# -- parts of phrases -----------------------------------------------------------------------------

_MODAL = r"(?:should|must|has to|have to|needs? to)"
NOT = (
    r"(?:(?:you )?(?:(?:do|does|must|should|may|can) not|(?:do|does|must|should|ca)n't|cannot)"
    r"|(?:you are |it is )?not (?:allowed|permitted) to|never|not|(?:make|be) sure (?:not to"
    r"|(?:that )?(?:you|it) (?:do not|does not|don't|doesn't|never))"
    r"|(?:that|which) (?:does not|doesn't))"
)
_REPLY = r"(?:the|your){} (?:reply|response|answer|text|message|output)"
ANY_REPLY, _WHOLE_REPLY = _REPLY.format("(?: whole| entire)?"), _REPLY.format(" (?:whole|entire)")
_IT = rf"(?:it|everything|{ANY_REPLY})"
_SURE = r"(?:(?:make|be) sure (?:that )?)"
_YOU = (
    rf"(?:(?:make|be) sure to|(?:{_SURE}you|always)(?! never)|you {_MODAL}|i (?:want|need) you to"
    r"|i(?:'d| would) like you to|remember to|(?:don't|do not) forget to)"
)
_FRAME = (
    rf"(?:please )?(?:also )?(?:{_YOU} )?(?:"
    r"(?:answer|reply|respond|write|type)(?: to me| me)?(?: only| entirely)? "
    r"|(?:write|give)(?: me)? (?:your|the) (?:reply|response|answer) "
    rf"|(?:keep|make|write|put|wrap|enclose|format|type|i want) {_IT} "
    rf"|(?:everything|{_WHOLE_REPLY}) |{_SURE}{_IT} (?:is )?|(?:that|which) "
    rf"|{_IT} (?:{_MODAL} (?:be )?|(?={NOT})))?"
)
_TAIL = rf"(?: (?:(?:any|some)where )?(?:in|throughout) {_IT}| somewhere| anywhere| at all)?"
_LEAD = (
    r"(?:(?:in|with|as|use|using|have|has|contain|contains|include|includes|give|give me|list"
    r"|as a list of|in the form of) )?"
)
_INCLUDE = (
    r"(?:includ(?:e|es|ing)|us(?:e|es|ing)|contain(?:s|ing)?|mention(?:s|ing)?|say|add|with"
    r"|ha(?:ve|s))"
)
_WITHOUT = (
    rf"(?:(?:(?:with|use|have|has|contain|contains|there {_MODAL} be|{_SURE}there (?:are|is)) )?"
    r"(?:no|not a single|zero)|without|i don't want)(?: any)?"
)

_NAMES = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {name: number for number, name in enumerate(_NAMES.split(" "))}
_NUMBERS |= {"a single": 1, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
_NUMBERS |= {"a hundred": 100, "one hundred": 100, "two hundred": 200, "a thousand": 1000}
NUMBER = rf"(\d{{1,6}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_BULLETS = r"bullet points?|bullets?"
_UNIT = rf"(words?|sentences?|paragraphs?|{_BULLETS})"
_AT_MOST = r"(?:at most|(?:no|not|never) (?:more|longer) than|(?:a )?max(?:imum)?(?: of)?|up to)"
_AT_LEAST = r"(?:at least|no less than|no fewer than|not less than|(?:a )?min(?:imum)?(?: of)?)"

# -- case, marks, form ----------------------------------------------------------------------------


def _plain(kind: str, **arguments: object) -> Build:
    return lambda found, quoted: [verifier(kind, arguments)]


_LOWER = r"lower[- ]?case(?: letters| text)?"
_UPPER = r"(?:upper[- ]?case(?: letters| text)?|capitals|capital letters|block capitals|caps)"
_CAPITALS = r"(?:capitals?|capital letters?|upper[- ]?case(?: letters?)?)"
_SMALL = r"(?:small|lower[- ]?case) letters?"
_ALL = r"(?:all|only|all in|only in|in all|in only|entirely in|completely in|contain only|only use)"
_LETTERS = rf"(?:{_SURE}?all (?:of )?(?:the )?letters (?:(?:are|{_MODAL} be) (?:in )?)?)"
_ALLOWED = r"(?:(?: are)? allowed)?"
_BANNED = r"(?:not allowed|not permitted|forbidden|banned)"

_CASE = {
    rf"(?:(?:use )?{_ALL}|in|{_LETTERS}) ?(?:{_LOWER})(?: only)?": _plain("change_case:lowercase"),
    rf"(?:use )?{_ALL} small letters": _plain("change_case:lowercase"),
    r"lower[- ]?case(?: letters)?(?: only)?(?: for everything)?": _plain("change_case:lowercase"),
    rf"{_WITHOUT} {_CAPITALS}{_ALLOWED}": _plain("change_case:lowercase"),
    rf"{NOT} use(?: any| a single)? {_CAPITALS}": _plain("change_case:lowercase"),
    rf"{NOT} capitali[sz]e (?:anything|any letters?)": _plain("change_case:lowercase"),
    rf"{_CAPITALS} are {_BANNED}": _plain("change_case:lowercase"),
    rf"(?:(?:use )?{_ALL}|in|{_LETTERS}) ?{_UPPER}(?: only)?": _plain("change_case:capital"),
    r"(?:upper[- ]?case|all caps)(?: letters)?(?: only)?": _plain("change_case:capital"),
    r"(?:use )?(?:caps|capitals|capital letters) (?:only|for everything)": _plain(
        "change_case:capital"
    ),
    r"use all caps": _plain("change_case:capital"),
    rf"{_WITHOUT} {_SMALL}{_ALLOWED}": _plain("change_case:capital"),
}
_COMMAS = {
    rf"{_WITHOUT}(?: using| the use of)?(?: any)? commas?{_ALLOWED}": _plain(
        "punctuation:no_comma"
    ),
    rf"commas are {_BANNED}": _plain("punctuation:no_comma"),
    rf"{NOT} (?:use|have|contain|include)(?: any| a| a single)? commas?": _plain(
        "punctuation:no_comma"
    ),
    r"(?:avoid|omit|skip|leave out|refrain from)(?: using| the use of)?(?: any| all| the)? commas"
    "": _plain("punctuation:no_comma"),
}
_ONE_JSON = r"(?:a |one )?(?:single )?(?:valid )?json(?: object)?(?: format)?"
_JSON = {
    rf"(?:(?:in|as|with|output|return|give me) )?{_ONE_JSON} only": _plain(
        "detectable_format:json_format"
    ),
    rf"(?:(?:in|as|with|output|return|give me) )?(?:only|just) (?:in |with )?{_ONE_JSON}": _plain(
        "detectable_format:json_format"
    ),
    rf"(?:{_YOU} |i want )?(?:(?:wrap|put|format|write) )?(?:everything|{_WHOLE_REPLY})"
    rf"(?: (?:{_MODAL} be|is))? (?:(?:in|as) )?{_ONE_JSON}": _plain(
        "detectable_format:json_format"
    ),
}
_QUOTED = r"(?:wrapped |enclosed |put )?(?:in|inside|within|with|by)"
_MARKS = r"(?:double )?(?:quotation marks|quotes)"
_PARTS = {
    rf"{_WITHOUT} (?:bullet points|bullets|bullet lists?)": _plain(
        "detectable_format:bullets", num_bullets=1, relation="less than"
    ),
    rf"(?:avoid|{NOT} use)(?: any)? (?:bullet points|bullets|bullet lists?)": _plain(
        "detectable_format:bullets", num_bullets=1, relation="less than"
    ),
    rf"(?:in|inside|within) {_MARKS}": _plain("startend:quotation"),
    rf"(?:(?:wrap|put|enclose|surround) {ANY_REPLY}|{ANY_REPLY} {_MODAL} be) {_QUOTED} {_MARKS}"
    "": _plain("startend:quotation"),
    rf"put {_MARKS} around {ANY_REPLY}": _plain("startend:quotation"),
    rf"(?:(?:with|use|add|include|includes|have|has|contain|contains|give {_IT}) )?a title"
    r"(?: wrapped| enclosed| contained| written)? (?:in|inside) double (?:angle|angular) brackets"
    "": _plain("detectable_format:title"),
    r"(?:(?:with|(?:explicitly )?add|include|have|has|contain|end with|finish with|write) )?"
    r"a (?:p_s_|postscript)(?: at the end)?(?: (?:(?:starting|beginning)|that (?:begins|starts))"
    r" with p_s_)?(?: at the end)?": _plain(
        "detectable_content:postscript", postscript_marker="P.S."
    ),
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


_LONG = r"(?: long| in total)?"
_TO = rf"(?:limit (?:{_IT}|yourself)|keep {_IT}) to"
_AMOUNTS = {
    rf"{_LEAD}(?:under|below|less than|fewer than|shorter than) {NUMBER} {_UNIT}{_LONG}": _under,
    rf"(?:{_LEAD}|{_TO} ){_AT_MOST} {NUMBER} {_UNIT}{_LONG}": _at_most,
    rf"(?:{_LEAD}|{_TO} ){NUMBER} {_UNIT} (?:at most|max|maximum|or less|or fewer)": _at_most,
    rf"{_LEAD}{NUMBER} (?:or less|or fewer) {_UNIT}": _at_most,
    rf"{NOT} (?:exceed|go over|use more than|write more than) {NUMBER} {_UNIT}": _at_most,
    rf"{_TO} {NUMBER} {_UNIT}": _at_most,
    rf"{_LEAD}{_AT_LEAST} {NUMBER} {_UNIT}{_LONG}": _at_least,
    rf"{_LEAD}{NUMBER} {_UNIT} (?:at least|min|minimum|or more)": _at_least,
    rf"{_LEAD}{NUMBER}(?:\+| or more) {_UNIT}": _at_least,
    rf"{_LEAD}(?:over|above|more than|longer than) {NUMBER} {_UNIT}{_LONG}": _over,
    rf"{_LEAD}exactly {NUMBER} {_UNIT}{_LONG}": _exactly,
    rf"{_LEAD}(?:just )?{NUMBER} (sentences?|paragraphs?|{_BULLETS})(?: only| long)?": _exactly,
    rf"{_LEAD}(?:from )?{NUMBER} to {NUMBER} {_UNIT}{_LONG}": _range,
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


_SAY = r"(?:use|say|include|mention|contain|have|write)"
_EXCLUDE = (
    r"(?:(?:without|avoid|refrain from)(?: using| saying| mentioning)?|omit|exclude|leave out|skip"
    rf"|{NOT} {_SAY}|{_WITHOUT}(?: use of)?|stay away from)"
)
_THE_WORDS = r"(?:the )?(?:exact |following )?(?:words?|phrases?|keywords?|terms?):?"
_THOSE = rf"(?:{_SURE})?(?:{_THE_WORDS} )"  # as what the clause is about
_USED = rf"(?:used|included|mentioned|present|in {_IT})"
_LAST = (
    r"(?:the|your) (?:very )?(?:last|final) (?:sentence|line|words?|phrase)"
    rf"(?: (?:of|in) {ANY_REPLY})?"
)

_WORDS = {
    rf"{_INCLUDE} {_THE_WORDS} {_ALL_OF}": _all_of,
    rf"(?:includ(?:e|es|ing)|contain(?:s|ing)?|mention(?:s|ing)?) {_ALL_OF}": _all_of,
    rf"{_THOSE}{_ALL_OF} (?:(?:is|are|{_MODAL} be) {_USED}|(?:{_MODAL} )?appears?)": _all_of,
    rf"{_INCLUDE} the word {_UNQUOTED}": _unquoted("keywords:existence", "keywords"),
    rf"(?:include|use|mention) (?:the )?(?:word|phrase) {_ONE} (twice|at least {NUMBER} times)"
    "": _often,
    rf"{_EXCLUDE} {_THE_WORDS} {_NONE_OF}": _none_of,
    rf"(?:{NOT} (?:use|say|include|mention|contain)|(?:without|avoid|refrain from) (?:saying"
    rf"|mentioning)) {_NONE_OF}": _none_of,
    rf"{_THOSE}{_NONE_OF} (?:is|are) {_BANNED}": _none_of,
    rf"{_THOSE}{_NONE_OF} (?:(?:is|are|{_MODAL}) not(?: be)? {_USED}|{NOT} appear)": _none_of,
    rf"leave {_THE_WORDS} {_NONE_OF} out": _none_of,
    rf"{_EXCLUDE} the word {_UNQUOTED}": _unquoted("keywords:forbidden_words", "forbidden_words"),
    rf"(?:end|ends|ending|finish|finishing|close|conclude)(?: {_IT})? with(?: the)?(?: exact)?"
    rf"(?: words?| phrase| sentence| question| line)?:? {_ONE}": _end,
    rf"{_LAST} {_MODAL} (?:be|read):? {_ONE}": _end,
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
    rf"(?:only |entirely )?in (?:the |entirely )?{_TONGUE}(?: language)?(?: only)?": _language,
    rf"(?:speak|talk|let's speak)(?: only)?(?: in)? {_TONGUE}(?: only)?": _language,
    rf"us(?:e|ing)(?: only)? the {_TONGUE} language(?: only)?": _language,
    rf"use only {_TONGUE} in {_IT}": _language,
    rf"{_TONGUE} only": _language,
}

PHRASES = [
    (phrase, build)
    for phrases in (_CASE, _COMMAS, _JSON, _PARTS, _AMOUNTS, _WORDS, _TONGUES)
    for phrase, build in phrases.items()
]


@cache  # on first use, as each takes some milliseconds to compile, and most texts are none of them
def _framed(phrase: str) -> re.Pattern[str]:
    return re.compile(f"{_FRAME}(?:{phrase}){_TAIL}")


def meant(clause: str, quoted: list[str]) -> list[Verifier]:
    """What a clause wishes; empty where it is none of the phrases."""
    if _framed("|".join(phrase for phrase, _ in PHRASES)).fullmatch(clause):
        for phrase, build in PHRASES:
            if found := _framed(phrase).fullmatch(clause):
                return build(found, quoted)
    return []
