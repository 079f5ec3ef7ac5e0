"""The chat without its screen: what is asked, waits, is answered, stops, dies and goes on."""

from __future__ import annotations

from amulet_local.errors import UsageError
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Died, Failed, Loading, Notice, Prefilling, Reply
from amulet_local.settings import Settings
from tests.fake_engine import HOLD, LOADED, FakeEngine
from tests.tui.session.sessions import (
    DEATH,
    MODEL,
    PRESETS,
    TOLD,
    activity,
    ask,
    begin,
    hear,
    kinds,
    last,
    said,
    stored,
)
from tui.session.changes import (
    Activity,
    BranchChanged,
    Ended,
    GivenBack,
    Noticed,
    Unusable,
    Wrote,
)
from tui.session.steering import SteeringChoice


def test_a_message_is_answered_and_both_are_part_of_the_conversation() -> None:
    engine = FakeEngine(["By ", "the ", "", "sea."])
    session = begin(engine)
    changes = ask(session, engine)
    assert kinds(changes) == [BranchChanged, BranchChanged, Wrote, Wrote, Wrote, Ended]
    assert [node.message for node in session.path] == [
        Message("user", "Where to?"),
        Message("assistant", "By the sea.", (100, 101, 102, 103)),
    ]
    assert session.status.activity is Activity.READY
    assert stored(session) == said(session)


def test_the_next_message_goes_with_all_before_it() -> None:
    engine = FakeEngine(["A."], ["B."])
    session = begin(engine)
    ask(session, engine, "a?")
    ask(session, engine, "b?")
    assert [message.text for message in engine.requests[1].messages] == ["a?", "A.", "b?"]
    assert engine.requests[1].messages[1].token_ids == (100,)


def test_loading_is_told_and_uses_the_options() -> None:
    engine = FakeEngine(loading=(Loading(0.43), HOLD))
    session = begin(engine)
    assert (session.status.activity, session.status.done) == (Activity.LOADING, 0.43)
    assert engine.loads == [("/models/small.gguf", LoadOptions(context=512))]
    engine.go_on()
    hear(session, engine)
    assert (session.status.activity, session.status.context) == (Activity.READY, LOADED.context)


def test_messages_before_the_model_is_ready_wait_and_are_sent_in_turn() -> None:
    engine = FakeEngine(["A."], ["B."], loading=(HOLD,))
    session = begin(engine)
    assert kinds(session.ask("a?") + session.ask("b?")) == [BranchChanged, BranchChanged]
    assert session.waiting == ("a?", "b?")
    assert not engine.requests
    engine.go_on()
    assert kinds(hear(session, engine)) == [BranchChanged, Wrote, Ended] * 2
    assert said(session) == ["a?", "A.", "b?", "B."]


def test_without_a_preset_the_model_is_asked_as_it_is() -> None:
    engine = FakeEngine()
    ask(begin(engine, SteeringChoice(strength=3.0)), engine)
    request = engine.requests[0]
    assert (request.alignment.preference, request.alignment.method, request.alignment.strength) == (
        "",
        "base",
        0.0,
    )
    assert (request.system, request.alignment.sampling, request.trace) == (
        DEFAULT_SYSTEM,
        Sampling(),
        False,
    )


def test_a_preset_gives_its_words_guard_placement_and_sampling() -> None:
    preset = PRESETS["concise"]
    engine = FakeEngine()
    settings = Settings(system="Be brief.", max_tokens=7)
    ask(begin(engine, SteeringChoice.to_preset(preset, -1.5), settings), engine)
    request = engine.requests[0]
    assert (request.alignment.preference, request.alignment.method, request.alignment.strength) == (
        preset.words(),
        "amulet",
        -1.5,
    )
    assert request.trace
    assert (request.alignment.guard, request.alignment.placement) == (
        preset.guard,
        preset.placement,
    )
    assert (request.alignment.sampling, request.max_tokens) == (preset.sampling, 7)
    assert request.system == "Be brief."


def test_every_reply_has_a_seed_of_its_own_and_it_is_kept() -> None:
    engine = FakeEngine()
    session = begin(engine)
    for _ in range(3):
        ask(session, engine)
    seeds = [request.seed for request in engine.requests]
    assert len(set(seeds)) == 3
    assert [node.origin.seed for node in session.path if node.origin] == seeds


def test_a_change_of_steering_counts_from_the_next_message() -> None:
    engine = FakeEngine(["A", HOLD], ["B"])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"], 5.65))
    ask(session, engine)
    session.steering = SteeringChoice.to_preset(PRESETS["verbose"], 2.0)
    assert session.replying == SteeringChoice.to_preset(PRESETS["concise"], 5.65)
    assert session.status.steering.strength == 5.65
    engine.go_on()
    hear(session, engine)
    assert session.replying is None
    ask(session, engine)
    assert [request.alignment.strength for request in engine.requests] == [5.65, 2.0]
    assert [node.origin.alignment.strength for node in session.path if node.origin] == [5.65, 2.0]


def test_reading_and_writing_are_told_with_progress_speed_and_context() -> None:
    engine = FakeEngine([Prefilling(100, 400), HOLD, "a", "b", "c", HOLD])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"], 1.0))
    ask(session, engine)
    status = session.status
    assert (status.activity, status.done, status.total) == (Activity.READING, 100, 400)
    engine.go_on()
    hear(session, engine)
    status = session.status
    assert status.activity is Activity.WRITING
    assert status.context_used == 400 // 2 + 3  # two streams, three tokens
    assert status.tokens_per_s == 2.0  # two more tokens in the second since the first
    engine.go_on()
    hear(session, engine)
    assert (session.status.tokens_per_s, session.status.context_used) == (25.0, 33)


def test_a_stopped_reply_keeps_what_was_written() -> None:
    engine = FakeEngine(["By the ", HOLD])
    session = begin(engine)
    ask(session, engine)
    assert session.stop() == []
    assert activity(session) is Activity.STOPPING
    assert session.stop() == []
    (ended,) = hear(session, engine)
    assert ended == Ended(last(session))
    ending = last(session).ending
    assert ending
    assert ending.reason == "cancelled"
    assert engine.stops == 1
    assert activity(session) is Activity.STOPPED
    assert stored(session)[-1] == "By the "


def test_a_reply_stopped_before_its_first_word_gives_the_message_back() -> None:
    engine = FakeEngine([HOLD])
    session = begin(engine)
    ask(session, engine)
    session.stop()
    assert hear(session, engine) == [BranchChanged(), GivenBack("Where to?")]
    assert said(session) == stored(session) == []
    assert session.history.chats() == []


def test_a_message_comes_back_with_its_wish_as_it_is_typed() -> None:
    engine = FakeEngine([HOLD])
    session = begin(engine)
    session.ask("Where to?", "short\nkind")
    session.ask("And then?", "long")
    assert session.waiting == ("And then?\n!! long",)
    given_back = GivenBack("And then?\n!! long")
    assert session.stop() == [given_back, BranchChanged()]
    assert GivenBack("Where to?\n!! short\n!! kind") in hear(session, engine)


def test_a_message_that_is_sent_while_the_reply_before_it_is_stopped_is_answered() -> None:
    engine = FakeEngine([HOLD], ["By the sea."])
    session = begin(engine)
    ask(session, engine)
    session.stop()
    assert session.ask("Where to, then?") == [BranchChanged()]
    hear(session, engine)
    assert said(session) == stored(session) == ["Where to, then?", "By the sea."]
    assert session.waiting == ()


def test_stopping_gives_back_what_waits_and_leaves_the_load_alone() -> None:
    engine = FakeEngine(loading=(HOLD,))
    session = begin(engine)
    session.ask("a?")
    session.ask("b?")
    assert session.stop() == [GivenBack("a?\nb?"), BranchChanged()]
    assert engine.stops == 0
    engine.go_on()
    assert hear(session, engine) == []


def test_a_reply_of_no_words_is_a_reply() -> None:
    engine = FakeEngine([])
    session = begin(engine)
    assert kinds(ask(session, engine)) == [BranchChanged, BranchChanged, Ended]
    assert [node.message.role for node in session.path] == ["user", "assistant"]


def test_a_message_that_the_engine_refuses_comes_back_with_the_reason() -> None:
    engine = FakeEngine([Failed("the message is too long; shorten it.", 2, id=1)], ["Fine."])
    session = begin(engine)
    changes = ask(session, engine)
    assert changes[2:] == [
        BranchChanged(),
        GivenBack("Where to?"),
        Noticed("the message is too long; shorten it.", serious=True),
    ]
    assert said(session) == stored(session) == []
    assert kinds(ask(session, engine))[-1] is Ended


class RefusingEngine(FakeEngine):
    """Cannot send a reply's request, or cannot start at all."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def reply(self, request: Reply) -> None:
        raise self.error

    def load(self, model: str, options: LoadOptions) -> None:
        if isinstance(self.error, OSError):
            raise self.error
        super().load(model, options)


def test_a_message_that_cannot_be_sent_comes_back_with_the_reason() -> None:
    engine = RefusingEngine(UsageError("a message of 17,000,000 bytes exceeds the limit."))
    session = begin(engine)
    assert kinds(session.ask("long")) == [BranchChanged, BranchChanged, GivenBack, Noticed]
    assert said(session) == stored(session) == []


def test_an_engine_that_cannot_be_started_is_told_of() -> None:
    session = begin(RefusingEngine(PermissionError(13, "Permission denied")), loaded=False)
    (change,) = session.load(MODEL)
    assert isinstance(change, Unusable)
    assert "Permission denied" in change.text
    assert session.status.activity is Activity.NO_MODEL


def test_a_model_that_cannot_be_loaded_is_told_of_and_messages_wait_on() -> None:
    engine = FakeEngine(["A."], loading=(Failed("no memory for it; choose a smaller one.", 3),))
    session = begin(engine, loaded=False)
    session.ask("a?")
    session.load(MODEL)
    told = f"no memory for it; choose a smaller one. Your next message will try {MODEL.name} again."
    assert hear(session, engine) == [Unusable(told)]
    assert session.status.activity is Activity.NO_MODEL
    engine.loading = ()
    session.load(MODEL)
    assert kinds(hear(session, engine)) == [BranchChanged, Wrote, Ended]


def test_a_model_that_could_not_be_loaded_is_tried_again_with_the_next_message() -> None:
    engine = FakeEngine(["A."], ["B."], loading=(Failed("no memory for it.", 3),))
    session = begin(engine, loaded=False)
    session.load(MODEL)
    hear(session, engine)
    session.ask("a?")
    assert kinds(hear(session, engine)) == [Unusable]
    assert (session.waiting, len(engine.loads)) == (("a?",), 2)
    engine.loading = ()
    session.ask("b?")
    hear(session, engine)
    assert said(session) == ["a?", "A.", "b?", "B."]


def test_notices_of_the_engine_are_passed_on() -> None:
    engine = FakeEngine([Notice("The oldest 2 messages are left out."), "A."])
    changes = ask(begin(engine), engine)
    assert Noticed("The oldest 2 messages are left out.") in changes


def test_after_a_death_what_was_written_is_kept_and_the_next_message_starts_anew() -> None:
    engine = FakeEngine(["By ", DEATH], ["B."])
    session = begin(engine)
    changes = ask(session, engine, "a?")
    assert isinstance(changes[-2], Ended)
    assert changes[-1] == TOLD
    assert session.status.activity is Activity.DIED
    assert said(session) == stored(session) == ["a?", "By "]
    changes = ask(session, engine, "b?")
    assert kinds(changes) == [BranchChanged, BranchChanged, Wrote, Ended]
    assert len(engine.loads) == 2
    assert [message.text for message in engine.requests[1].messages] == ["a?", "By ", "b?"]


def test_a_death_before_the_first_word_gives_back_all_that_has_no_answer() -> None:
    engine = FakeEngine([HOLD, DEATH])
    session = begin(engine)
    ask(session, engine, "a?")
    session.ask("b?")
    engine.go_on()
    back = [change for change in hear(session, engine) if not isinstance(change, BranchChanged)]
    assert back == [GivenBack("b?"), GivenBack("a?"), TOLD]
    assert said(session) == stored(session) == []


def test_a_death_while_loading_does_not_load_again_by_itself() -> None:
    engine = FakeEngine(loading=(DEATH,))
    session = begin(engine, loaded=False)
    session.ask("a?")
    session.load(MODEL)
    assert kinds(hear(session, engine)) == [GivenBack, BranchChanged, Noticed]
    assert len(engine.loads) == 1


def test_where_the_next_engine_has_a_lighter_load_the_reply_goes_on_by_itself() -> None:
    short = Died("CUDA0 ran out of memory.", lighter=True)
    engine = FakeEngine(["By ", short], [short], ["sea."])
    session = begin(engine)
    changes = ask(session, engine, "a?")
    assert changes.count(Noticed(short.text, serious=True)) == 2
    assert len(engine.loads) == 3
    first, second, third = engine.requests
    assert (first.begun, third.begun) == (None, second.begun)
    assert second.begun
    assert second.begun.text == "By "
    assert session.status.activity is Activity.READY


def test_a_question_is_asked_again_where_nothing_was_written_yet() -> None:
    short = Died("CUDA0 ran out of memory.", lighter=True)
    engine = FakeEngine([short], ["By sea."])
    session = begin(engine)
    session.ask("a?")
    session.ask("b?")
    hear(session, engine)
    assert said(session)[:2] == stored(session)[:2] == ["a?", "By sea."]
