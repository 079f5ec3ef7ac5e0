"""Whether a reply followed what was wished: in the document, and told to who sits there."""

from __future__ import annotations

import pytest

from amulet_local.protocol.messages import Finished, FinishReason, Stats
from tests.cli.conftest import Amulet, use
from tests.fake_engine import FakeEngine, Measured


def a_followed_reply(monkeypatch: pytest.MonkeyPatch, reason: FinishReason = "stop") -> FakeEngine:
    """Of two tokens whose gains are 0.5 and 0 nats."""
    stats = Stats(1, 0, 1, 2, 0.1, 0.1, 0.1, 20.0, 3, 2)
    steps = [Measured("a ", logp=(-1.5, -1.0, -1.0)), Measured("walk", logp=(-1.0, -1.0, -1.0))]
    fake = FakeEngine((*steps, Finished(1, "a walk", (1, 2), reason, stats)))
    use(fake, monkeypatch)
    return fake


def test_whether_the_reply_followed_is_in_the_document(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = a_followed_reply(monkeypatch)
    wish = "in lower case, at least 3 words"
    document = amulet("ask", "Where to?", "--wish", wish, "--json").document
    assert (document["gain"], document["followed"]) == (0.25, "clearly")
    assert document["checks"] == [
        {"words": "in lower case", "follows": True},
        {"words": "at least 3 words", "follows": False},
    ]
    assert "steps" not in document
    assert fake.requests[0].trace


def test_whether_the_reply_followed_is_said_to_who_sits_there(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_followed_reply(monkeypatch)
    assert amulet("ask", "Where to?", "--wish", "in lower case").err == ""
    a_followed_reply(monkeypatch)
    result = amulet("ask", "Where to?", "--wish", "in lower case", terminal=True)
    assert result.out == "a walk\n"
    assert result.err.endswith("amulet: clearly followed +0.25, ✓ in lower case.\n")


def test_a_reply_that_was_cut_off_is_not_checked(
    amulet: Amulet, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_followed_reply(monkeypatch, "length")
    document = amulet("ask", "Where to?", "--wish", "in lower case", "--json").document
    assert document["followed"] == "clearly"
    assert "checks" not in document


@pytest.mark.parametrize("options", [(), ("-p", "concise", "--method", "pref")])
def test_where_one_stream_is_enough_nothing_is_measured(
    amulet: Amulet, engine: FakeEngine, options: tuple[str, ...]
) -> None:
    document = amulet("ask", "Where to?", *options, "--json").document
    assert not engine.requests[0].trace
    assert "gain" not in document
