"""Everyday ways to wish for one thing are all recognised as it, and their neighbours as nothing."""

from __future__ import annotations

import pytest

from amulet_local.verifiers import Verifier, verifier
from amulet_local.verifiers.recognise import recognised
from tests.checks import some

INCLUDED = """
Make sure that the word "kite" is included in the output.
Make sure the word "kite" is in your answer
make sure the word "kite" appears
make sure to mention "kite"
make sure you use the word "kite"
the word "kite" must appear
the word "kite" should appear in your answer
the word "kite" should be in the reply
the word "kite" has to be in it
the reply should include the word "kite"
your answer should contain the word "kite"
it should have the word "kite" in it
be sure to include "kite"
include "kite" in your answer
include the word "kite" in your reply
please include the word kite
please mention the word kite somewhere
use the word "kite" somewhere in your reply
use the word "kite" in your answer
it must mention "kite"
I want you to use the word "kite"
I'd like you to include the word "kite"
you must use the word "kite"
you should mention "kite"
remember to include the word "kite"
don't forget to mention "kite"
with the word "kite" in it
containing the word "kite"
that contains the word "kite"
using the word "kite"
add the word "kite"
use the keyword "kite"
"""
LEFT_OUT = """
Make sure not to use the word "kite".
Make sure that the word "kite" is not in the output
make sure the word "kite" does not appear
make sure you don't use the word "kite"
the word "kite" must not appear
the word "kite" should not appear in your answer
the word "kite" is not allowed
the word "kite" is forbidden
the reply should not contain the word "kite"
it must not contain "kite"
your answer must not include the word "kite"
The output should not contain the word "kite".
never say "kite"
never mention the word kite
do not use "kite" in your answer
do not use the word "kite" anywhere
don't use the word "kite" in your reply
don't mention "kite" at all
don't write the word "kite"
do not say the word "kite"
please don't say "kite"
you must not use the word "kite"
you may not use the word "kite"
you can't use the word "kite"
you cannot say "kite"
I don't want the word "kite" in it
no use of the word "kite"
without the word "kite"
without using the word "kite"
without saying "kite"
without mentioning "kite"
avoid the word "kite"
avoid using the word "kite"
avoid saying "kite"
refrain from using the word "kite"
refrain from saying "kite"
leave out the word "kite"
leave the word "kite" out
skip the word "kite"
exclude the keyword "kite"
the answer shouldn't have the word "kite"
that does not contain the word "kite"
which doesn't use the word "kite"
stay away from the word "kite"
"""
LOWER = """
all in lower case
write in lower case
write all in lowercase letters
your entire response should be in lowercase
your whole answer should be in lowercase letters
and in all lowercase letters. No capital letters are allowed.
no capital letters are allowed
no capitals
no uppercase
no uppercase letters
no upper case
without capital letters
without any capitals
don't capitalize anything
do not capitalise anything
never use capital letters
everything lowercase
everything in lowercase
only lowercase
only small letters
in all small letters
lowercase please
all letters should be lowercase
all letters lowercase
make everything lowercase
make it lowercase
make it all lower case
keep it lowercase
keep everything lower case
please type in lowercase
type everything in lowercase
answer in lowercase letters only
contain only lowercase letters
have no capital letters
it should have no capital letters
your answer should be all lowercase
the whole text in lower case
the entire reply must be in lowercase
I want it all in lower case
make sure your entire response is in lowercase
make sure everything is in lower case
make sure that all of the letters are lowercase
use only lower case
not a single capital letter
do not use capital letters
don't use uppercase
"""
CAPITAL = """
in all caps
ALL CAPS
in caps
in capitals
in capital letters
in uppercase
use all caps
write in all caps
write everything in capitals
your entire response should be in all capital letters
your whole answer must be in capital letters
and in all capital letters
only capital letters
use only capital letters
only use capital letters
only uppercase
everything in caps
everything uppercase
no lowercase letters
no lowercase letters are allowed
without lowercase letters
no small letters
make it all caps
make everything uppercase
keep it in all caps
answer in upper case only
please answer in caps only
caps only
capitals only
type in capitals
make sure to only use capital letters
make sure everything is in capital letters
the entire reply must be in uppercase
use capitals for everything
I want everything in caps
"""
NO_COMMAS = """
no commas
without commas
no commas please
no commas allowed
no commas are allowed
commas are not allowed
commas are forbidden
do not use commas
do not use any commas
do not use commas in your response
do not use any commas in your entire reply
in your response, do not use any commas
don't use any commas in your answer
never use commas
never use a comma
not a single comma
avoid commas
avoid using commas
avoid the use of commas
refrain from using commas
refrain from using any commas in your response
without using commas
without using any commas
without the use of commas
there should be no commas
your answer should have no commas
your response should not contain any commas
the reply must not contain a comma
that doesn't use commas
that contains no commas
skip the commas
leave out commas
leave out all commas
make sure there are no commas
make sure you don't use commas
make sure not to use commas
zero commas
use no commas
use no comma
with no commas
you may not use commas
you must not use any commas
you are not allowed to use commas
I don't want any commas
"""
GERMAN = """
in German
in German please
reply in German
answer in German
answer in German only
please reply in German
please respond in German
respond only in German
respond using only the German language
respond using only the German language, no other language is allowed
use only German in your response
German only
in German only
speak German
speak only German
write in German
write it in German
write everything in German
write your reply in German
write the whole answer in German
give me your answer in German
give your answer in German
I want the answer in German
I want you to answer in German
answer me in German
your answer should be in German
your response should be in German language
your response should be in the German language
your entire response should be in German
your entire reply must be in German
your entire response should be in German, no other language is allowed
in entirely German
in German, no other language
make sure to answer in German
make sure you answer in German
make sure your answer is in German
make sure that your entire response is in German
the reply must be in German
use the German language
keep it in German
let's speak German
"""
JSON = """
JSON only
only JSON
valid JSON only
answer with JSON only
respond with only JSON
reply only with JSON
return only JSON
return valid JSON only
output only valid JSON
output JSON only
just JSON
nothing but JSON
as JSON only
respond in JSON only
your entire response should be JSON
your entire output must be valid JSON
the entire output should be in JSON format
wrap the entire output in JSON format
wrap your whole reply in JSON
format your entire output in JSON
format your entire response as JSON
I want the entire output in JSON format
the whole answer as JSON
everything in JSON
reply with a JSON object and nothing else
reply with JSON and nothing else
a JSON object only
"""
QUOTED = """
wrap your entire response with double quotation marks
put your whole response in double quotes
put double quotes around your entire response
put your entire response in double quotation marks
wrap the entire response in double quotation marks
wrap your entire response inside double quotation marks
wrap your reply in quotation marks
in quotes
in double quotes
enclose your reply in quotation marks
enclose the entire reply in double quotes
your entire response should be in double quotation marks
your reply should be wrapped in double quotation marks
your reply should be enclosed in quotation marks
surround your answer with double quotes
make sure to wrap the entire reply in double quotation marks
"""
TITLED = """
with a title in double angular brackets
include a title in double angular brackets
include a title in double angular brackets, i.e. <<title>>
it must contain a title, wrapped in double angular brackets, i.e. <<title>>
your answer must have a title contained in double angular brackets, such as <<title>>
your answer must contain a title, wrapped in double angular brackets
with a title wrapped in double angular brackets, i.e. <<title>>
have a title wrapped in double angular brackets, i.e. <<title>>
give your reply a title in double angular brackets
give your reply a title in double angular brackets, such as <<title>>
"""
ENDED = """
end with "kite"
end with the phrase "kite"
end with the exact phrase "kite"
end with the words "kite"
end your reply with "kite"
end your answer with the phrase "kite"
end your entire response with the phrase "kite"
end your response with the exact phrase "kite". No other words should follow this phrase.
finish with "kite"
finish your response with "kite"
finish your response with the exact phrase "kite"
your response should end with "kite"
your answer must end with the exact phrase "kite"
it should end with the words "kite"
the last sentence should be "kite"
the last sentence of your response should be "kite"
the very last sentence of your response should be "kite"
the last line should be "kite"
conclude with "kite"
close with "kite"
always end with "kite"
make sure to end with "kite"
make sure you end with "kite"
make sure it ends with "kite"
ends with "kite"
the final words must be "kite"
you should end your entire response with the phrase "kite"
"""
POSTSCRIPT = """
add a P.S.
add a postscript
add a postscript starting with P.S.
add a postscript at the end that begins with P.S.
end with a P.S.
with a P.S.
include a P.S. at the end
at the end of your reply, add a postscript starting with P.S.
at the end of your response, please explicitly add a postscript starting with P.S.
finish with a postscript
your reply must have a postscript
"""
NEIGHBOURS = """
no commas in the title
no commas in your first sentence
in German in the title
use the word "kite" in every sentence
use the word "kite" in the first line
don't use the word "kite" in the title
do not use the word "kite" more than once
the word "kite" must appear in bold
make sure the word "kite" appears only once
make sure the word "kite" appears at least twice as often as "Y"
the word "kite" must not appear more than twice
the word "kite" must appear before the word "Y"
the words "kite" or "Y" must appear
make sure it is in German or French
make sure your answer is not in German
make sure it is not all in lower case
your answer should not be in German
it is not in German
in your response
in your response, be kind
no other language is allowed
no other words should follow
no commas. No other language is allowed.
your entire response
don't forget to reply
no capital letters in headings
only use capital letters for names
do not use capitals in names
do not capitalize names
keep it to 3 sentences per paragraph
everything in German except code
speak German like a pirate
include the following words: "kite", "Y" or "Z"
put quotes around names
in quotes from Shakespeare
the last word should be capitalized
not a single word in capitals
with no commas and a title in double angle brackets
commas are forbidden and a title in double angle brackets
the word "kite" must not appear and include the word "Y"
without the word "kite" and use the word "Y"
do not use the word "kite" and the word "Y" must appear
avoid commas and capital letters
without commas and capital letters
"kite" is forbidden
use German
only German
use Greek yoghurt
keep it to 2 sentences or 3
not more than 3 bullet points per section
everything but JSON
no JSON
not only JSON
just JSON keys
in JSON and nothing else matters
the answer is in German
what I want is German only food
I want to speak German
I want you to translate it into German
the last sentence should be about "kite"
the last line should not be "kite"
do not end with the phrase "kite"
make sure it never ends with "kite"
you should never be in German
never in German
always use commas
always in lower case but names
remember to use commas
remember German
don't forget no commas
never forget to use the word "kite"
don't avoid the word "kite"
do not leave out the word "kite"
do not exclude the word "kite"
not without the word "kite"
don't skip the word "kite"
you cannot not use the word "kite"
you must not avoid the word "kite"
never without commas
do not write without commas
I don't want no commas
it should not have no commas
the word "kite" is not forbidden
commas are not forbidden
lower case is forbidden
don't keep it under 100 words
not at most 100 words
does not contain at least 3 words
that is not under 100 words
do not answer with one sentence
your answer should not be one sentence
don't limit it to 3 sentences
no less than 3 words and no more
with the word "kite" in bold
say "kite"
write the word "kite"
add "kite"
use "kite"
explain the word "kite"
spell the word "kite" in it
"""

KINDS: list[tuple[Verifier, str]] = [
    (verifier("keywords:existence", {"keywords": ["kite"]}), INCLUDED),
    (verifier("keywords:forbidden_words", {"forbidden_words": ["kite"]}), LEFT_OUT),
    (verifier("change_case:lowercase", {}), LOWER),
    (verifier("change_case:capital", {}), CAPITAL),
    (verifier("punctuation:no_comma", {}), NO_COMMAS),
    (verifier("language:response_language", {"language": "de"}), GERMAN),
    (verifier("detectable_format:json_format", {}), JSON),
    (verifier("startend:quotation", {}), QUOTED),
    (verifier("detectable_format:title", {}), TITLED),
    (verifier("startend:end_checker", {"end_phrase": "kite"}), ENDED),
    (verifier("detectable_content:postscript", {"postscript_marker": "P.S."}), POSTSCRIPT),
]


def kinds_of(phrases: str) -> dict[str, set[Verifier]]:
    """What each of them is taken to mean."""
    return {words: set(recognised(words)) for words in some(phrases.strip().splitlines())}


@pytest.mark.parametrize(("meant", "said"), KINDS)
def test_an_everyday_phrase_means_one_thing(meant: Verifier, said: str) -> None:
    found = kinds_of(said)
    assert found == {words: {meant} for words in found}


def test_what_sounds_alike_means_nothing_certain() -> None:
    found = kinds_of(NEIGHBOURS)
    assert found == {words: set() for words in found}


def test_words_in_brackets_are_a_list_of_words() -> None:
    (both,) = recognised("Include keywords ['kite', 'wind'] in the response.")
    assert both == verifier("keywords:existence", {"keywords": ["kite", "wind"]})


def test_what_stresses_a_wish_needs_one_of_its_kind() -> None:
    assert recognised('end with "kite". No other words should follow this phrase.')
    assert recognised('use the word "kite". No other words should follow this phrase.') == ()
    assert recognised("in German, no other language is allowed")
    assert recognised("no commas, no other language is allowed") == ()
