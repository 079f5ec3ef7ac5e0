"""What a user can do: the one place that keys, footer, help, palette and slash commands come from.

An Action is carried out by a method `action_<name>` of the app, screen or widget whose bindings are
made from its tuple. Keys have Textual's names; the first one is shown, and users may set others in
config.toml, by the action's id. Some keys cannot be had in a terminal: ctrl+i is Tab, ctrl+m is
Enter, ctrl+h is Backspace; and many terminals keep F1 for themselves, so nothing is on a function
key alone.

It is long since a key, its help and its place are one line each, and stand in one list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Action:
    """name: of the method, with arguments in brackets. keys: separated by commas; may be empty.

    help: what it does, for help and palette. label: for the footer, empty to leave it out there.
    command: what to type behind a slash; argument: what may follow it, in words. id: for
    config.toml, by default the name; needed where a name has arguments.
    """

    name: str
    keys: str
    help: str
    label: str = ""
    command: str = ""
    argument: str = ""
    id: str = ""

    @property
    def key_id(self) -> str:
        """What config.toml calls it."""
        return self.id or self.name.removeprefix("screen.")


_NTH = ("first", "second", "third", "fourth", "fifth", "sixth")

QUIT = Action("quit", "ctrl+q", "Quit", "Quit", command="quit")

APP = (
    QUIT,
    Action(
        "interrupt",
        "ctrl+c",
        "Copy the selection; if there is none, stop the reply; pressed twice, quit",
    ),
    Action(
        "suspend",
        "ctrl+z",
        "Suspend to the shell; fg returns, and the engine keeps running meanwhile",
    ),
    Action("command_palette", "ctrl+o", "Search all commands", command="commands"),
    Action("help", "ctrl+g,f1", "All keys and commands", "Help", command="help"),
    Action("choose_theme", "", "Choose a theme", command="theme", argument="name"),
)
CHAT = (
    Action(
        "fetch", "ctrl+d", "Take what is offered: fetch a model, move to it, measure it", "Model"
    ),
    Action(
        "pick_model", "", "Choose a model, and see the memory it needs", "", "model", "name or path"
    ),
    Action(
        "pull",
        "",
        "Fetch a model while you chat; /pull stop cancels",
        command="pull",
        argument="name, hf:owner/repository or URL",
    ),
    Action(
        "calibrate",
        "",
        "Measure while the chat is at rest how firmly the model can be led; again: stop",
        command="calibrate",
    ),
    Action("pick_preset", "ctrl+p", "Choose a preset", "Preset", "preset", "name"),
    Action(
        "steer",
        "ctrl+t",
        "Go to the strength dial, or the mixing desk, and back",
        "Dial",
        "strength",
        "number",
    ),
    Action(
        "prefer", "", "Set a preference in your own words, for this chat", "", "prefer", "words"
    ),
    Action(
        "wish",
        "",
        "A wish for one reply, as written after !! in a message",
        command="wish",
        argument="words",
    ),
    Action(
        "guard", "", "How plausible a token must be given the preference", "", "guard", "0 to 1"
    ),
    Action(
        "place",
        "",
        "Where the preference goes: the system prompt, or only the newest message",
        command="placement",
        argument="system or turn",
    ),
    Action(
        "add_fader",
        "",
        "Follow one more preference at the same time: a mix",
        "",
        "mix",
        "preset, mix or words",
    ),
    Action("save_mix", "", "Save the preferences as a mix", "", "save-mix", "name"),
    Action("fit", "", "Scale all strengths down to what the model can take", command="fit"),
    Action("think", "", "Toggle thinking before the answer", "", "think", "on or off"),
    Action("edit_preset", "", "Edit a preset in a form", "", "edit-preset", "name"),
    Action("new_preset", "", "Write a preset in a form", "", "write-preset"),
    Action("apply", "", "Answer again with the current preference and strength", "", "apply"),
    Action(
        "stop",
        "escape",
        "Stop; text already written stays, queued messages return to the input",
        "Stop",
    ),
    Action("settle", "escape", "With nothing to stop: go to the input and the newest text"),
    Action("new_chat", "ctrl+n", "New chat", "New", "new"),
    Action("temporary", "", "New chat that is never saved; again: one that is", "", "temporary"),
    Action("last_chat", "ctrl+b", "Back to the previous chat", "", "back"),
    Action("chats", "ctrl+l", "All chats: open, search, rename, delete, export", "Chats", "chats"),
    Action("find", "", "Search all messages", "", "search", "words"),
    Action("export", "", "Write this chat to a file, as Markdown or JSON", "", "export", "path"),
    Action("import_chat", "", "Add a chat that was exported as JSON", "", "import", "path"),
    Action("look_back", "ctrl+up,shift+tab", "Go to the messages above", "Read"),
    Action("regenerate", "ctrl+r", "Answer the last question again", "", "again"),
    Action(
        "restart",
        "ctrl+r",
        "When the engine does not respond: restart it; text already written stays",
        "Restart",
    ),
    Action("look", "ctrl+f", "Heat view: the newest reply, token by token", "Heat", "look"),
    Action(
        "compare",
        "ctrl+y",
        "Answer the question several ways, side by side",
        "Compare",
        command="compare",
    ),
    Action("undo", "", "Undo the last edit, deletion, change of version or answer", "", "undo"),
    Action("rename", "", "Give this chat a title", "", "rename", "title"),
    Action(
        "page(-1)", "pageup", "Scroll up; new text then no longer scrolls the view", id="page_up"
    ),
    Action("page(1)", "pagedown", "Scroll down", id="page_down"),
    Action("newest", "ctrl+end", "Jump to the newest text"),
)
PROMPT = (
    Action("send", "enter", "Send"),
    Action("new_line", "ctrl+j,shift+enter", "New line"),
    Action("earlier", "up", "On the first line: the previous input"),
    Action("later", "down", "On the last line: the next input"),
    Action("undo", "ctrl+underscore", "Undo typing", id="undo_typing"),
)
MESSAGES = (
    Action("select(-1)", "up,k", "The previous message", id="message_before"),
    Action(
        "select(1)", "down,j", "The next message; after the last, the input", id="message_after"
    ),
    Action("select_end(-1)", "home,g", "The first message", id="first_message"),
    Action("select_end(1)", "end,G", "The last message", id="last_message"),
    Action("unfold", "space", "Show or hide a reply's thinking, or the rest of a long message"),
    Action("screen.walk(-1)", "left,h", "The previous version", id="version_before"),
    Action("screen.walk(1)", "right,l", "The next version", id="version_after"),
    Action("screen.regenerate", "r", "Answer again; the other answers stay", id="message_again"),
    Action("screen.edit", "e", "Edit; the original stays as another version", command="edit"),
    Action("screen.look", "v", "Heat view of this reply, token by token", id="message_look"),
    Action("screen.go_on", "c", "Continue this reply", command="continue"),
    Action("screen.copy_message", "y", "Copy the message", command="copy"),
    Action(
        "screen.copy_code",
        "Y",
        "Copy its code; press again for the next block",
        command="copy-code",
    ),
    Action("screen.thought", "", "Show or hide the thinking before it", command="thought"),
    Action("screen.copy_thought", "", "Copy the thinking before it", command="copy-thought"),
    Action("screen.open_link", "o", "Open a link in it", command="open"),
    Action("screen.delete", "d", "Delete it and everything after it", command="delete"),
    Action("screen.undo", "u", "Undo", id="message_undo"),
    Action("screen.fork", "f", "Start a new chat from here", command="fork"),
    Action("screen.settle", "i,enter", "Back to the input", id="message_leave"),
)
DIAL = (
    Action("step(1)", "right", "Up by 0.1", id="dial_more"),
    Action("step(-1)", "left", "Down by 0.1", id="dial_less"),
    Action("step(10)", "shift+right,equals_sign", "Up by 1", id="dial_one_more"),
    Action("step(-10)", "shift+left,minus", "Down by 1", id="dial_one_less"),
    Action("mark(1)", "up", "To the next mark", id="dial_next_mark"),
    Action("mark(-1)", "down", "To the previous mark", id="dial_mark_before"),
    Action("go('base')", "b", "Base: the preference is ignored", id="dial_base"),
    Action("go('prompt')", "p", "Prompt: the preference is only a request", id="dial_prompt"),
    Action("go('LA')", "l", "LA: linear alignment, followed firmly", id="dial_la"),
    Action("go('Amulet')", "a", "Amulet: as strong as in the paper", id="dial_amulet"),
    Action("calibrated", "c", "To ▽, the strength `amulet calibrate` found for this model"),
    Action("lowest", "home", "Lowest: furthest away from the preference", id="dial_lowest"),
    Action("highest", "end", "Highest strength", id="dial_highest"),
    Action("screen.guard", "g", "The guard: off, light, usual, strict", id="dial_guard"),
    Action(
        "screen.place",
        "t",
        "Preference in the system prompt, or in the newest message",
        id="dial_place",
    ),
    Action("screen.add_fader", "plus", "Add another preference: a mix", id="dial_add"),
    Action("leave", "enter", "Back to the message", id="leave_dial"),
)
DESK = (
    Action(
        "across(1)", "right", "Side by side: the next fader; in a list: up by 0.1", id="desk_right"
    ),
    Action("across(-1)", "left", "The previous fader; in a list: down by 0.1", id="desk_left"),
    Action(
        "along(1)", "up", "Side by side: up by 0.1; in a list: the previous fader", id="desk_up"
    ),
    Action("along(-1)", "down", "Down by 0.1; in a list: the next fader", id="desk_down"),
    Action("turn(10)", "shift+right,shift+up,equals_sign", "Up by 1", id="desk_one_more"),
    Action("turn(-10)", "shift+left,shift+down,minus", "Down by 1", id="desk_one_less"),
    Action("mark(1)", "pageup", "To the next mark", id="desk_next_mark"),
    Action("mark(-1)", "pagedown", "To the previous mark", id="desk_mark_before"),
    Action("go('base')", "b", "To 0 (base): it has no effect", id="desk_base"),
    Action("go('prompt')", "p", "To prompt", id="desk_prompt"),
    Action("go('LA')", "l", "To LA", id="desk_la"),
    Action("go('Amulet')", "a", "To Amulet", id="desk_amulet"),
    *(
        Action(f"select({number})", str(number), f"The {nth} fader", id=f"desk_{number}")
        for number, nth in enumerate(_NTH, 1)
    ),
    Action("mute", "m", "Mute or unmute it", "Mute", id="desk_mute"),
    Action("solo", "s", "Solo: follow only this one", "Solo", id="desk_solo"),
    Action("remove", "x,delete", "Remove it", "Remove", id="desk_remove"),
    Action("screen.add_fader", "plus", "Add a preference", "Add", id="desk_add"),
    Action("screen.fit", "f", "Scale all down to what the model can take", "Fit", id="desk_fit"),
    Action("screen.save_mix", "w,ctrl+s", "Save it as a mix", "Save", id="desk_save"),
    Action("screen.guard", "g", "The guard: off, light, usual, strict", id="desk_guard"),
    Action(
        "screen.place",
        "t",
        "Preferences in the system prompt, or in the newest message",
        id="desk_place",
    ),
    Action("leave", "enter", "Back to the message", id="leave_desk"),
)
PICKER = (
    Action("move(-1)", "up,ctrl+k", "The previous one", id="list_before"),
    Action("move(1)", "down,ctrl+j", "The next one", id="list_after"),
    Action("move(-8)", "pageup", "Page up", id="list_page_up"),
    Action("move(8)", "pagedown", "Page down", id="list_page_down"),
    Action("choose", "enter", "Choose", "Choose", id="list_choose"),
    Action("close", "escape", "Close without changing anything", "Back", id="list_close"),
)
LIST = (
    Action(
        "cursor_up", "k", "When the list has the focus (Tab): the previous one", id="in_list_before"
    ),
    Action("cursor_down", "j", "The next one", id="in_list_after"),
    Action("first", "g", "The first one", id="in_list_first"),
    Action("last", "G", "The last one", id="in_list_last"),
)
CHATS = (
    Action("screen.choose", "enter", "Open it at the match", "Open", id="chat_open"),
    Action("screen.search", "/", "Search all messages", "Search", id="chats_search"),
    Action("screen.move(-1)", "k", "The previous one", id="chat_before"),
    Action("screen.move(1)", "j", "The next one", id="chat_after"),
    Action("screen.end(-1)", "home,g", "The first one", id="first_chat"),
    Action("screen.end(1)", "end,G", "The last one", id="oldest_chat"),
    Action("screen.rename", "r", "Give it a title", "Rename", id="chat_rename"),
    Action("screen.delete", "d", "Delete it", "Delete", id="chat_delete"),
    Action("screen.bring_back", "u", "Restore the last deleted chat", "Undo", id="chat_undo"),
    Action("screen.import_chat", "i", "Import a chat from a file", "Import", id="chat_import"),
    Action("screen.export", "e", "Export it to a file", "Export", id="chat_export"),
)
SEARCH = (
    Action("to_list", "tab", "Go to the results, where letter keys work as commands", "Results"),
)
LINE = (
    Action("complete", "tab", "Accept the suggestion", id="line_complete"),
    Action("close", "escape", "Cancel", id="line_close"),
)
HEAT_SCREEN = (
    Action("branch", "enter", "Continue from before this token", "Continue", id="look_branch"),
    Action(
        "turn(1)",
        "plus,equals_sign",
        "Continue with more strength; or type a number",
        "Stronger",
        id="look_stronger",
    ),
    Action("turn(-1)", "minus", "Continue with less strength", "Weaker", id="look_weaker"),
    Action("who", "s", "In a mix: what shifted each token most, or how far", "Who", id="look_who"),
    Action("card", "tab,shift+tab", "Go to the alternatives, and back", "Pick", id="look_card"),
    Action("leave", "escape,q", "Back", "Back", id="look_leave"),
)
HEAT = (
    Action("flip(1)", "n,w", "Next flip", "Flip", id="flip_after"),
    Action("flip(-1)", "p,b", "Previous flip", id="flip_before"),
    Action("move(-1)", "left,h", "The previous token", id="token_before"),
    Action("move(1)", "right,l", "The next token", id="token_after"),
    Action("line(-1)", "up,k", "A line up", id="token_up"),
    Action("line(1)", "down,j", "A line down", id="token_down"),
    Action("line(-8)", "pageup", "Several lines up", id="token_page_up"),
    Action("line(8)", "pagedown", "Several lines down", id="token_page_down"),
    Action("end(-1)", "home,g", "The first token", id="first_token"),
    Action("end(1)", "end,G", "The last token", id="last_token"),
)
CARD = (
    Action("candidate(-1)", "up,k", "The previous candidate", id="candidate_before"),
    Action("candidate(1)", "down,j", "The next candidate", id="candidate_after"),
    Action("end(-1)", "home,g", "The first in its list", id="first_candidate"),
    Action("end(1)", "end,G", "The last in its list", id="last_candidate"),
    Action("list(-1)", "left,h", "The previous list", id="candidates_before"),
    Action("list(1)", "right,l", "The next list", id="candidates_after"),
    Action(
        "pick", "enter", "Continue with this token instead", "Continue with it", id="pick_token"
    ),
)
COMPARE = (
    Action("vote", "v,b", "Vote without knowing which is which", "Vote", id="compare_vote"),
    *(
        Action(f"choose({number})", str(number), help_, id=f"compare_{number}")
        for number, help_ in enumerate(
            (
                "Show which is which without voting",
                *(f"Go to the {nth} column; when voting, vote for it" for nth in _NTH),
            )
        )
    ),
    Action("use_favourite", "u", "Make the strength with the most votes the preset's default"),
    Action("take", "enter", "Use this column as a reply in the chat", "Take", id="compare_take"),
    Action("add_strength", "plus,equals_sign", "Add a column at another strength", "Dial"),
    Action("add_preset", "a,p", "Add a column with another preset", "Preset"),
    Action("teach", "t", "In a mix: add the two columns whose vote would teach most"),
    Action("leave_out", "o", "In a mix: add a column without each preference"),
    Action("remove", "minus,x,delete", "Remove this column", "Remove", id="remove_column"),
    Action("again", "r", "Write all again with another seed", "Again", id="compare_again"),
    Action("stop", "s", "Stop writing; text already written stays", "Stop", id="compare_stop"),
    Action("column(-1)", "left,h,shift+tab", "The previous column", id="column_before"),
    Action("column(1)", "right,l,tab", "The next column", id="column_after"),
    Action("scroll(-1)", "up,k", "All columns up", id="columns_up"),
    Action("scroll(1)", "down,j", "All columns down", id="columns_down"),
    Action("scroll(-8)", "pageup", "A page up", id="columns_page_up"),
    Action("scroll(8)", "pagedown", "A page down", id="columns_page_down"),
    Action("end(-1)", "home,g", "All columns to the top", id="columns_first"),
    Action("end(1)", "end,G", "All columns to the bottom", id="columns_last"),
    Action("leave", "escape,q", "Stop, and return to the chat", "Back", id="compare_leave"),
)
PRESETS = (
    Action("edit", "ctrl+e", "Edit it in a form; a built-in one is copied to yours", id="edit_it"),
    Action("new", "ctrl+n", "Create a new one in a form", id="new_one"),
)
MODELS = (
    Action(
        "faster_format",
        "ctrl+t",
        "Measure whether another format is faster here; once measured: write that copy",
        id="model_faster",
    ),
)
FORM = (
    Action("save", "ctrl+s", "Save it", id="form_save"),
    Action("close", "escape", "Close; press twice to discard changes", id="form_close"),
)
HELP = (
    Action("close", "escape,q,ctrl+g,f1,enter", "Close", id="close_help"),
    Action("scroll(-1)", "up,k", "Up", id="help_up"),
    Action("scroll(1)", "down,j", "Down", id="help_down"),
    Action("end(-1)", "home,g", "To the top", id="help_first"),
    Action("end(1)", "end,G", "To the bottom", id="help_last"),
)

# In the order of the help screen.
PLACES: dict[str, Sequence[Action]] = {
    "Anywhere": (*CHAT, *APP),
    "In the message": PROMPT,
    "Among the messages": MESSAGES,
    "On the strength dial": DIAL,
    "On the mixing desk": DESK,
    "In the heat view": (*HEAT, *HEAT_SCREEN),
    "In the token card": CARD,
    "In a comparison": COMPARE,
    "Among the chats": CHATS,
    "In the search": SEARCH,
    "In lists": (*PICKER, *LIST),
    "In the list of models": MODELS,
    "When asked for a name": LINE,
    "In the list of presets": PRESETS,
    "In forms": FORM,
}

_ORDER = {
    action.key_id: number
    for number, action in enumerate(action for actions in PLACES.values() for action in actions)
}


def bindings(actions: Sequence[Action], *, first: bool = False) -> list[BindingType]:
    """Textual's bindings for these actions; their ids allow users to set other keys.

    first: the keys count before what the focused widget would do with them, and at once: what is
    typed right behind them already meets what they did.
    """
    return [
        Binding(
            key,
            action.name,
            action.label or action.help,
            show=bool(action.label) and number == 0,
            priority=first,
            id=action.key_id,
        )
        for action in actions
        for number, key in enumerate(filter(None, action.keys.split(",")))
    ]


def commands() -> dict[str, Action]:
    """What can be typed behind a slash, in the order of the help screen."""
    return {a.command: a for actions in PLACES.values() for a in actions if a.command}


def order(binding: Binding) -> int:
    """Where its action stands among all, whichever key a widget below it may have had first."""
    return _ORDER.get(binding.id or "", len(_ORDER))


def key_problems(keys: Iterable[str]) -> list[str]:
    """A sentence where config.toml has ids that no action has."""
    known = {action.key_id for actions in (*PLACES.values(), HELP) for action in actions}
    unknown = [key for key in keys if key not in known]
    return [f"config.toml sets keys for unknown actions: {', '.join(unknown)}"] if unknown else []


def keys_of(action: Action, own: Mapping[str, str]) -> list[str]:
    """The keys of an action, with the user's own (by id) in place of ours."""
    return [key.strip() for key in own.get(action.key_id, action.keys).split(",") if key.strip()]


def shown_keys(app: App[Any], action: Action) -> list[str]:
    """The keys of an action, as footer and help write them."""
    own = getattr(app, "own_keys", {})
    return [app.get_key_display(Binding(key, action.name)) for key in keys_of(action, own)]


def shown_key(app: App[Any], actions: Sequence[Action], name: str) -> str:
    """The first key of an action, as footer and help write it; empty if it has none."""
    action = next(action for action in actions if action.name == name)
    return next(iter(shown_keys(app, action)), "")
