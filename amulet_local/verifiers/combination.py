"""What a text is put together of: two answers, or the question and its answer."""

from __future__ import annotations

from amulet_local.verifiers.kind import Kind, Text


class TwoResponses(Kind, frozen=True, tag="combination:two_responses"):
    """Two different answers, with six asterisks between them."""

    def follows(self, text: str) -> bool:
        """Whether there are two; dividers at both ends are allowed, two in a row are not."""
        parts = [part.strip() for part in text.split("******")]
        answers = [part for part in parts if part]
        return all(parts[1:-1]) and len(answers) == 2 and answers[0] != answers[1]


class RepeatPrompt(Kind, frozen=True, tag="combination:repeat_prompt"):
    """First the question word for word, then the answer."""

    prompt_to_repeat: Text

    def follows(self, text: str) -> bool:
        """Whether it begins with the question, in any case."""
        return text.strip().lower().startswith(self.prompt_to_repeat.strip().lower())
