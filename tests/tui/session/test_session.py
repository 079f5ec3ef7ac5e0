"""The chat without its screen: what is asked, waits, is answered, stops, dies and goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from amulet_local.chats.conversation import Node
from amulet_local.chats.history import History, history_file
from amulet_local.errors import UsageError
from amulet_local.presets.preset import USUAL_SAMPLING, USUAL_STRENGTH, Presets, load_presets
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Sampling
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import (
    Died,
    Failed,
    Finished,
    Loading,
    Notice,
    Pace,
    Prefilling,
    Reply,
    Stats,
)
from amulet_local.settings import Settings
from tests.fake_engine import HOLD, LOADED, FakeEngine
from tui.session import stored_chats, versions
from tui.session.changes import (
    Activity,
    BranchChanged,
    Change,
    ChosenModel,
    Ended,
    GivenBack,
    Noticed,
    Unusable,
    Wrote,
)
from tui.session.session import BUSY, Session
from tui.session.steering import SteeringChoice

MODEL = ChosenModel(Path("/models/small.gguf"), "small", "Q4_1")
DEATH = Died("The engine stopped.")
TOLD = Noticed(
    "The engine stopped. The conversation is kept; the next message starts a new engine.",
    serious=True,
)
PRESETS = load_presets().presets


class Clock:
    """A second passes with every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture(autouse=True)
def history(home: Path) -> Iterator[History]:
    """The store of the test's own home."""
    global store
    with History(history_file()) as store:
        yield store


store: History


def begin(
    engine: FakeEngine,
    steering: SteeringChoice = SteeringChoice(),  # noqa: B008
    settings: Settings = Settings(),  # noqa: B008
    *,
    loaded: bool = True,
) -> Session:
    session = Session(engine, store, settings, LoadOptions(context=512), steering, Clock())
    if loaded:
        session.load(MODEL)
        hear(session, engine)
    return session


def hear(session: Session, engine: FakeEngine) -> list[Change]:
    """What changes by all that the engine has said."""
    changes: list[Change] = []
    while not engine.events.empty():
        changes += session.take(engine.events.get())
    return changes


def activity(session: Session) -> Activity:
    return session.status.activity


def kinds(changes: Sequence[Change]) -> list[type[Change]]:
    return [type(change) for change in changes]


def said(session: Session) -> list[str]:
    """The texts of the messages that are read."""
    return [node.message.text for node in session.path]


def stored(session: Session) -> list[str]:
    """The same, as the store has them."""
    return [node.message.text for node in store.load(session.chat.id).path()]


def last(session: Session) -> Node:
    return session.path[-1]


def ask(session: Session, engine: FakeEngine, text: str = "Where to?") -> list[Change]:
    return [*session.ask(text), *hear(session, engine)]


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
    assert store.chats() == []


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
    assert session.stop() == [GivenBack("a?"), GivenBack("b?"), BranchChanged()]
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
    engine = RefusingEngine(UsageError("a message of 17,000,000 bytes is over the bound."))
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
    assert hear(session, engine) == [Unusable("no memory for it; choose a smaller one.")]
    assert session.status.activity is Activity.NO_MODEL
    engine.loading = ()
    session.load(MODEL)
    assert kinds(hear(session, engine)) == [BranchChanged, Wrote, Ended]


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
    assert back == [GivenBack("a?"), GivenBack("b?"), TOLD]
    assert said(session) == stored(session) == []


def test_a_death_while_loading_does_not_load_again_by_itself() -> None:
    engine = FakeEngine(loading=(DEATH,))
    session = begin(engine, loaded=False)
    session.ask("a?")
    session.load(MODEL)
    assert kinds(hear(session, engine)) == [GivenBack, BranchChanged, Noticed]
    assert len(engine.loads) == 1


def test_where_the_next_engine_has_a_lighter_load_the_reply_goes_on_by_itself() -> None:
    short = Died("The memory of CUDA0 ran out.", lighter=True)
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
    short = Died("The memory of CUDA0 ran out.", lighter=True)
    engine = FakeEngine([short], ["By sea."])
    session = begin(engine)
    session.ask("a?")
    session.ask("b?")
    hear(session, engine)
    assert said(session)[:2] == stored(session)[:2] == ["a?", "By sea."]


# -- the dial -------------------------------------------------------------------------------------


def test_the_dial_turns_the_reply_that_is_being_written() -> None:
    engine = FakeEngine(["A", HOLD])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"], 5.65))
    ask(session, engine)
    session.turn(3.0)
    assert engine.turns == [(1, 3.0)]
    assert session.replying == session.steering
    assert session.status.steering.strength == 3.0


def test_with_another_preset_chosen_meanwhile_the_dial_is_the_next_replys() -> None:
    engine = FakeEngine(["A", HOLD])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"], 5.65))
    ask(session, engine)
    session.steering = SteeringChoice.to_preset(PRESETS["verbose"])
    session.turn(3.0)
    assert engine.turns == []
    assert session.status.steering.strength == 5.65


def test_a_preference_in_the_users_words_steers_as_a_preset_does() -> None:
    engine = FakeEngine()
    session = begin(engine, SteeringChoice.to_words("Answer in rhymes."))
    ask(session, engine)
    request = engine.requests[0]
    assert (request.alignment.preference, request.alignment.method) == (
        "Answer in rhymes.",
        "amulet",
    )
    assert (request.alignment.strength, request.alignment.sampling) == (
        USUAL_STRENGTH,
        USUAL_SAMPLING,
    )
    assert SteeringChoice.to_words("") == SteeringChoice()


def test_the_speed_against_a_plain_chats_is_known_once_it_was_measured() -> None:
    stats = Stats(30, 0, 60, 12, 0.1, 0.1, 1.0, 12.0, 42, 2, blocks=4)
    finished = Finished(1, "By the sea.", (1, 2), "stop", stats)
    engine = FakeEngine([finished], ["B."])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"]))
    session.ask("a?")
    session.take(engine.events.get())
    assert session.status.pace == 0.0
    session.take(Pace(1.5))
    assert session.status.pace == pytest.approx(12 / 4 / 1.5)


# -- going back -----------------------------------------------------------------------------------


def answers(session: Session, node: Node) -> list[str]:
    return [other.message.text for other in session.chat.conversation.siblings(node.id)]


def test_a_question_is_answered_once_more_and_both_answers_stay() -> None:
    engine = FakeEngine(["One."], ["Two."])
    session = begin(engine)
    ask(session, engine)
    versions.regenerate(session, last(session).id)
    hear(session, engine)
    assert said(session) == ["Where to?", "Two."]
    assert answers(session, last(session)) == ["One.", "Two."]
    assert [m.text for m in engine.requests[1].messages] == ["Where to?"]
    assert versions.walk(session, last(session).id, -1) == [BranchChanged()]
    assert said(session) == stored(session) == ["Where to?", "One."]
    versions.undo(session)
    assert said(session) == ["Where to?", "Two."]


def test_an_edited_question_is_answered_and_the_old_branch_stays() -> None:
    engine = FakeEngine(["One."], ["Two."], ["Three."])
    session = begin(engine)
    for text in ("a?", "b?"):
        ask(session, engine, text)
    versions.edit(session, session.path[0].id, "c?")
    hear(session, engine)
    assert said(session) == stored(session) == ["c?", "Three."]
    versions.walk(session, session.path[0].id, -1)
    assert said(session) == ["a?", "One.", "b?", "Two."]


def test_an_edited_reply_stands_beside_the_old_and_can_be_continued() -> None:
    engine = FakeEngine(["By the road."], [" and back."])
    session = begin(engine)
    ask(session, engine)
    versions.edit(session, last(session).id, "By the sea")
    assert said(session) == ["Where to?", "By the sea"]
    assert last(session).origin is None
    versions.go_on(session, last(session))
    hear(session, engine)
    assert engine.requests[1].begun == Message("assistant", "By the sea")
    assert said(session) == stored(session) == ["Where to?", "By the sea and back."]
    assert answers(session, last(session)) == [
        "By the road.",
        "By the sea",
        "By the sea and back.",
    ]


def test_a_stopped_reply_is_continued_from_its_tokens() -> None:
    engine = FakeEngine(["By ", "the ", HOLD], ["sea."])
    session = begin(engine)
    ask(session, engine)
    session.stop()
    hear(session, engine)
    versions.go_on(session, last(session))
    hear(session, engine)
    assert engine.requests[1].begun == Message("assistant", "By the ", (100, 101))
    assert last(session).message == Message("assistant", "By the sea.", (100, 101, 100))


def test_an_answer_that_comes_to_nothing_leaves_the_one_there_was() -> None:
    engine = FakeEngine(["One."], [Failed("no.", 2, id=2)], [HOLD])
    session = begin(engine)
    ask(session, engine)
    for _ in range(2):
        versions.regenerate(session, last(session).id)
        hear(session, engine)
        session.stop()
        changes = hear(session, engine)
        assert GivenBack("Where to?") not in changes
        assert said(session) == stored(session) == ["Where to?", "One."]


def test_a_deleted_message_can_be_brought_back() -> None:
    engine = FakeEngine(["One."])
    session = begin(engine)
    ask(session, engine)
    versions.delete(session, session.path[0].id)
    assert said(session) == stored(session) == []
    versions.undo(session)
    assert said(session) == stored(session) == ["Where to?", "One."]
    assert versions.undo(session) == [Noticed("There is nothing to undo.")]


@pytest.mark.parametrize("act", ["regenerate", "delete", "go_on", "undo", "load"])
def test_while_a_reply_is_written_the_branch_stays(act: str) -> None:
    engine = FakeEngine(["One", HOLD])
    session = begin(engine)
    ask(session, engine)
    node = session.path[0]
    acts: dict[str, Callable[[], list[Change]]] = {
        "regenerate": lambda: versions.regenerate(session, node.id),
        "delete": lambda: versions.delete(session, node.id),
        "go_on": lambda: versions.go_on(session, node),
        "undo": lambda: versions.undo(session),
        "load": lambda: session.load(MODEL),
    }
    assert acts[act]() == [Noticed(BUSY)]
    assert said(session)[0] == "Where to?"


# -- from chat to chat ----------------------------------------------------------------------------


def test_a_new_chat_leaves_the_old_one_with_what_was_written() -> None:
    engine = FakeEngine(["old ", HOLD], ["new"])
    session = begin(engine)
    ask(session, engine, "a?")
    left = session.chat.id
    session.new_chat()
    assert engine.stops == 1
    assert said(session) == []
    changes = ask(session, engine, "b?")
    assert [change for change in changes if isinstance(change, Wrote)] == [Wrote("new")]
    assert said(session) == ["b?", "new"]
    assert [node.message.text for node in store.load(left).path()] == ["a?", "old "]
    ended = store.load(left).path()[-1].ending
    assert ended
    assert ended.reason == "cancelled"


def test_a_chat_is_opened_as_it_was_left_and_steered_as_its_last_reply() -> None:
    engine = FakeEngine(["A."])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"], 4.0))
    ask(session, engine, "a?")
    left = session.chat.id
    session.new_chat()
    session.steering = SteeringChoice()
    session.open_chat(left, load_presets())
    assert said(session) == ["a?", "A."]
    assert session.steering == SteeringChoice.to_preset(PRESETS["concise"], 4.0)
    ask(session, engine, "b?")
    assert [m.text for m in engine.requests[1].messages] == ["a?", "A.", "b?"]
    assert {request.chat for request in engine.requests} == {left}


def test_a_preset_that_is_gone_steers_on_in_its_words() -> None:
    engine = FakeEngine(["A."])
    session = begin(engine, SteeringChoice.to_preset(PRESETS["concise"], 4.0))
    ask(session, engine, "a?")
    session.open_chat(session.chat.id, Presets({}, {}))
    assert session.steering.words == PRESETS["concise"].words()
    assert session.steering.strength == 4.0


def test_a_reply_that_fails_in_a_chat_that_was_left_is_over_for_the_screen_too() -> None:
    engine = FakeEngine(["old ", HOLD], ["older ", HOLD])
    session = begin(engine)
    ask(session, engine, "a?")
    first = session.chat.id
    session.new_chat()
    while not engine.events.empty():  # what the engine said to the stop does not come
        engine.events.get()
    assert session.expecting
    assert session.take(Failed("no memory.", 4, engine.requests[0].id)) == []
    assert not session.expecting
    left = store.load(first).path()[-1]
    assert left.message.text == "old "
    assert left.ending
    assert left.ending.reason == "died"


def test_a_reply_that_fails_before_its_first_word_leaves_nothing_in_a_chat_that_was_left() -> None:
    engine = FakeEngine([HOLD])
    session = begin(engine)
    ask(session, engine, "a?")
    first = session.chat.id
    session.new_chat()
    while not engine.events.empty():
        engine.events.get()
    session.take(Failed("no memory.", 4, engine.requests[0].id))
    assert not session.expecting
    assert [node.message.text for node in store.load(first).path()] == ["a?"]


def test_what_is_read_for_a_chat_that_was_left_is_not_the_progress_of_this_one() -> None:
    engine = FakeEngine([HOLD], [HOLD])
    session = begin(engine)
    ask(session, engine, "a?")
    session.new_chat()
    session.ask("b?")
    session.take(Prefilling(30, 60))
    assert session.status.total == 0.0


def test_a_fork_goes_on_from_a_message_and_leaves_the_chat_alone() -> None:
    engine = FakeEngine(["A."], ["B."], ["C."])
    session = begin(engine)
    ask(session, engine, "a?")
    ask(session, engine, "b?")
    first = session.chat.id
    session.fork(session.path[1].id)
    assert said(session) == ["a?", "A."]
    ask(session, engine, "c?")
    assert said(session) == ["a?", "A.", "c?", "C."]
    assert [node.message.text for node in store.load(first).path()] == ["a?", "A.", "b?", "B."]


def test_what_waits_goes_back_to_the_user_when_the_chat_is_left() -> None:
    engine = FakeEngine(loading=(HOLD,))
    session = begin(engine)
    session.ask("a?")
    assert session.new_chat() == [GivenBack("a?"), BranchChanged(), BranchChanged()]
    assert engine.stops == 0
    assert not session.waiting


def test_when_the_app_ends_the_reply_under_way_is_kept_as_it_is() -> None:
    engine = FakeEngine(["old ", HOLD], ["new ", HOLD])
    session = begin(engine)
    ask(session, engine, "a?")
    first = session.chat.id
    session.new_chat()
    session.ask("b?")
    while not engine.events.empty():
        event = engine.events.get()
        if not isinstance(event, Finished):
            session.take(event)
    session.replies.end()
    assert [node.message.text for node in store.load(first).path()] == ["a?", "old "]
    assert stored(session) == ["b?", "new "]


def test_a_store_that_fails_is_told_of_once_and_the_reply_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = FakeEngine(["a", "b", "c", HOLD])
    session = begin(engine)

    def fail(*_: object) -> None:
        raise UsageError("the disk is full.")

    monkeypatch.setattr("amulet_local.chats.chat.SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(store, "grow", fail)
    changes = ask(session, engine)
    told = [change for change in changes if isinstance(change, Noticed)]
    assert told == [Noticed("The reply is not saved: the disk is full.", True)]
    assert sum(isinstance(change, Wrote) for change in changes) == 3
    monkeypatch.undo()
    session.stop()
    hear(session, engine)
    assert stored(session) == ["Where to?", "abc"]


# -- chats of the store ---------------------------------------------------------------------------


def test_a_chat_is_open_as_long_as_the_store_has_it_as_it_is_here() -> None:
    engine = FakeEngine(["A."], ["B", HOLD])
    session = begin(engine)
    ask(session, engine, "a?")
    name = session.chat.id
    assert stored_chats.is_open(session, name)
    store.rename(name, "Another title")
    assert not stored_chats.is_open(session, name)
    session.open_chat(name, load_presets())
    assert stored_chats.is_open(session, name)
    ask(session, engine, "b?")
    store.rename(name, "A third title")
    assert stored_chats.is_open(session, name), "a reply is being written in it"
    session.new_chat()
    assert not stored_chats.is_open(session, name)
    store.remove(name)
    with pytest.raises(UsageError, match="removed meanwhile"):
        stored_chats.is_open(session, name)


def test_a_message_of_another_branch_is_turned_to() -> None:
    engine = FakeEngine(["One."], ["Two."])
    session = begin(engine)
    ask(session, engine)
    first = last(session)
    versions.regenerate(session, first.id)
    hear(session, engine)
    assert versions.turn_to(session, last(session).id) == []
    assert versions.turn_to(session, first.id) == [BranchChanged()]
    assert said(session) == stored(session) == ["Where to?", "One."]
    assert versions.turn_to(session, "nowhere") == [Noticed("That message is not there any more.")]


def test_removed_chats_come_back_one_after_the_other() -> None:
    engine = FakeEngine(["A."], ["B."])
    session = begin(engine)
    names = []
    for text in ("a?", "b?"):
        session.new_chat()
        ask(session, engine, text)
        names.append(session.chat.id)
    assert stored_chats.remove(session, names[0]) == []
    assert said(session) == ["b?", "B."]
    assert stored_chats.remove(session, names[1]) == [BranchChanged()]
    assert said(session) == []
    assert store.chats() == []
    assert [stored_chats.bring_back(session), stored_chats.bring_back(session)] == names[::-1]
    assert stored_chats.bring_back(session) is None
    assert {chat.id for chat in store.chats()} == set(names)


def test_a_title_is_given_to_any_chat() -> None:
    engine = FakeEngine(["A."])
    session = begin(engine)
    ask(session, engine, "a?")
    name = session.chat.id
    stored_chats.rename(session, name, "Mine")
    assert session.chat.title == store.summary(name).title == "Mine"
    session.new_chat()
    stored_chats.rename(session, name, "Theirs")
    assert (session.chat.title, store.summary(name).title) == ("", "Theirs")


def test_token_ids_of_another_model_are_left_out_of_what_is_asked() -> None:
    engine = FakeEngine(["By the sea."], [" And back."], ["Because."])
    session = begin(engine)
    ask(session, engine)
    session.load(ChosenModel(Path("/models/other.gguf"), "other", "Q8_0"))
    hear(session, engine)
    versions.go_on(session, last(session))
    hear(session, engine)
    assert engine.requests[1].begun == Message("assistant", "By the sea.")
    assert last(session).message == Message("assistant", "By the sea. And back.")
    session.load(MODEL)
    hear(session, engine)
    versions.walk(session, last(session).id, -1)
    ask(session, engine, "Why?")
    assert engine.requests[2].messages[1] == Message("assistant", "By the sea.", (100,))
