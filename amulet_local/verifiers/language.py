"""The language of a text, as the package langdetect finds it, and the kind that asks for one.

langdetect comes with amulet-local[eval], and is imported only where a language is asked for. It
draws at random, so its seed is fixed: a text has one language, always.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Literal

from amulet_local.errors import NotUsableError
from amulet_local.verifiers.kind import Kind

# Every language that langdetect knows; zh stands for both ways to write Chinese.
# fmt: off
Language = Literal[
    "af", "ar", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "fa",
    "fi", "fr", "gu", "he", "hi", "hr", "hu", "id", "it", "ja", "kn", "ko", "lt", "lv",
    "mk", "ml", "mr", "ne", "nl", "no", "pa", "pl", "pt", "ro", "ru", "sk", "sl", "so",
    "sq", "sv", "sw", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi", "zh", "zh-cn", "zh-tw",
]
# fmt: on

_HANGUL = re.compile("[\uac00-\ud7a3]")
_READ = 100_000  # langdetect itself judges 10,000 characters, but searches all for addresses first


class ResponseLanguage(Kind, frozen=True, tag="language:response_language"):
    """The text is in this language: two letters, and for Chinese zh-cn or zh-tw as well.

    `follows` raises NotUsableError where langdetect is not installed.
    """

    language: Language

    def follows(self, text: str) -> bool:
        """Whether that is its likeliest language; a text without words is in none."""
        found = language_of(text)
        if self.language == "zh":
            # It takes short texts in traditional signs for Korean, which is written in others.
            return found in {"zh-cn", "zh-tw"} or (found == "ko" and not _HANGUL.search(text))
        return found == self.language


def language_of(text: str) -> str | None:
    """The likeliest language of a text; None where it has no letters to tell by.

    Raises NotUsableError where langdetect is not installed.
    """
    return _detect()(text[:_READ])


@cache
def _detect() -> Callable[[str], str | None]:
    try:
        from langdetect import DetectorFactory, LangDetectException, detect
    except ModuleNotFoundError:
        raise NotUsableError(
            "telling languages apart needs the package langdetect; install it with: "
            'pip install "amulet-local[eval]"'
        ) from None
    DetectorFactory.seed = 0

    def detected(text: str) -> str | None:
        try:
            return str(detect(text))
        except LangDetectException:
            return None

    return detected
