"""What a user can do: the one place that keys, footer, help, palette and slash commands come from.

An Action is carried out by a method `action_<name>` of the app, screen or widget whose bindings are
made from its tuple. Keys have Textual's names; the first one is shown, and users may set others in
config.toml, by the action's id. Some keys cannot be had in a terminal: ctrl+i is Tab, ctrl+m is
Enter, ctrl+h is Backspace; and many terminals keep F1 for themselves, so nothing is on a function
key alone.
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

APP = (
    Action("quit", "ctrl+q", "Quit", "Quit", command="quit"),
    Action(
        "interrupt",
        "ctrl+c",
        "Copy what is selected; else stop the reply; else, pressed twice, quit",
    ),
    Action("suspend", "ctrl+z", "To the shell; fg comes back, and the engine goes on meanwhile"),
    Action("command_palette", "ctrl+o", "Find any command by its words", command="commands"),
    Action("help", "ctrl+g,f1", "All keys and commands", "Help", command="help"),
    Action("choose_theme", "", "Choose how it looks", command="theme", argument="name"),
)
CHAT = (
    Action("fetch", "ctrl+d", "Fetch the default model, where that is offered", "Model"),
    Action("pick_model", "", "Choose a model, and see what it takes", "", "model", "name or path"),
    Action(
        "pull",
        "",
        "Fetch a model while the chat goes on; stop: stop that",
        command="pull",
        argument="name, hf:owner/repository or URL",
    ),
    Action("pick_preset", "ctrl+p", "Choose a preset", "Preset", "preset", "name"),
    Action("steer", "ctrl+t", "To the strength dial, and back", "Dial", "strength", "number"),
    Action("prefer", "", "A preference in your words, for this chat", "", "prefer", "words"),
    Action("guard", "", "How plausible a token must be to the preference", "", "guard", "0 to 1"),
    Action(
        "place",
        "",
        "Where the preference stands: the system prompt, or the newest message only",
        command="placement",
        argument="system or turn",
    ),
    Action("think", "", "Think before answering, or no more", "", "think", "on or off"),
    Action("edit_preset", "", "Change a preset in a form", "", "edit-preset", "name"),
    Action("new_preset", "", "Write a preset in a form", "", "write-preset"),
    Action("apply", "", "Answer again, steered as it is set now", "", "apply"),
    Action("stop", "escape", "Stop; what is written stays, messages that wait come back", "Stop"),
    Action("settle", "escape", "With nothing to stop: to the message, and to the newest text"),
    Action("new_chat", "ctrl+n", "New chat", "New", "new"),
    Action("last_chat", "ctrl+b", "Back to the chat before", "", "back"),
    Action("chats", "ctrl+l", "All chats: open, search, rename, delete, export", "Chats", "chats"),
    Action("find", "", "Search all that was said", "", "search", "words"),
    Action("export", "", "Write this chat to a file, as Markdown or JSON", "", "export", "path"),
    Action("import_chat", "", "Add a chat that was exported as JSON", "", "import", "path"),
    Action("look_back", "ctrl+up,shift+tab", "To the messages above", "Read"),
    Action("regenerate", "ctrl+r", "Answer the last question once more", "", "again"),
    Action("look", "ctrl+f", "Heat view: the newest reply, token by token", "Heat", "look"),
    Action(
        "compare",
        "ctrl+y",
        "The question answered several ways side by side",
        "Compare",
        command="compare",
    ),
    Action("undo", "", "Undo the last edit, deletion, walk or answer", "", "undo"),
    Action("rename", "", "Give this chat a title", "", "rename", "title"),
    Action("page(-1)", "pageup", "Scroll up; the text then holds still", id="page_up"),
    Action("page(1)", "pagedown", "Scroll down", id="page_down"),
    Action("newest", "ctrl+end", "To the newest text"),
)
PROMPT = (
    Action("send", "enter", "Send"),
    Action("new_line", "ctrl+j,shift+enter", "New line"),
    Action("earlier", "up", "In the first line: the input before"),
    Action("later", "down", "In the last line: the input after"),
    Action("undo", "ctrl+underscore", "Undo what was typed last", id="undo_typing"),
)
MESSAGES = (
    Action("select(-1)", "up,k", "The message before", id="message_before"),
    Action("select(1)", "down,j", "The next one; past the last, to writing", id="message_after"),
    Action("select_end(-1)", "home,g", "The first message", id="first_message"),
    Action("select_end(1)", "end,G", "The last message", id="last_message"),
    Action("unfold", "space", "Show or hide a reply's thought, or the rest of a long message"),
    Action("screen.walk(-1)", "left,h", "The version before", id="version_before"),
    Action("screen.walk(1)", "right,l", "The next version", id="version_after"),
    Action("screen.regenerate", "r", "Answer once more; others stay", id="message_again"),
    Action("screen.edit", "e", "Edit; the message as it was stays beside it", command="edit"),
    Action("screen.look", "v", "Heat view of this reply, token by token", id="message_look"),
    Action("screen.go_on", "c", "Continue this reply", command="continue"),
    Action("screen.copy_message", "y", "Copy the message", command="copy"),
    Action("screen.copy_code", "Y", "Copy its code, block after block", command="copy-code"),
    Action("screen.thought", "", "Show or hide what was thought before it", command="thought"),
    Action("screen.copy_thought", "", "Copy what was thought before it", command="copy-thought"),
    Action("screen.open_link", "o", "Open a link in it", command="open"),
    Action("screen.delete", "d", "Delete it and all that follows", command="delete"),
    Action("screen.undo", "u", "Undo", id="message_undo"),
    Action("screen.fork", "f", "A new chat that goes on from here", command="fork"),
    Action("screen.settle", "i,enter", "Back to writing", id="message_leave"),
)
DIAL = (
    Action("step(1)", "right", "A tenth more", id="dial_more"),
    Action("step(-1)", "left", "A tenth less", id="dial_less"),
    Action("step(10)", "shift+right,plus", "One more", id="dial_one_more"),
    Action("step(-10)", "shift+left,minus", "One less", id="dial_one_less"),
    Action("mark(1)", "up", "To the next mark", id="dial_next_mark"),
    Action("mark(-1)", "down", "To the mark before", id="dial_mark_before"),
    Action("go('base')", "b", "Base: the preference is ignored", id="dial_base"),
    Action("go('prompt')", "p", "Prompt: the preference is only asked for", id="dial_prompt"),
    Action("go('LA')", "l", "LA: linear alignment, firm", id="dial_la"),
    Action("go('Amulet')", "a", "Amulet: as strong as in the paper", id="dial_amulet"),
    Action("calibrated", "c", "To ▽, what `amulet calibrate` found for this model"),
    Action("lowest", "home", "Farthest away from the preference", id="dial_lowest"),
    Action("highest", "end", "Strongest", id="dial_highest"),
    Action("screen.guard", "g", "The guard: off, a little, usual, strict", id="dial_guard"),
    Action(
        "screen.place", "t", "The preference in the system prompt, or in turns", id="dial_place"
    ),
    Action("leave", "enter", "Back to the message", id="leave_dial"),
)
PICKER = (
    Action("move(-1)", "up,ctrl+k", "The one before", id="list_before"),
    Action("move(1)", "down,ctrl+j", "The next one", id="list_after"),
    Action("move(-8)", "pageup", "Some back", id="list_page_up"),
    Action("move(8)", "pagedown", "Some on", id="list_page_down"),
    Action("choose", "enter", "Choose", "Choose", id="list_choose"),
    Action("close", "escape", "Leave it as it is", "Back", id="list_close"),
)
LIST = (
    Action(
        "cursor_up", "k", "With the keys in the list (Tab): the one before", id="in_list_before"
    ),
    Action("cursor_down", "j", "The next one", id="in_list_after"),
    Action("first", "g", "The first one", id="in_list_first"),
    Action("last", "G", "The last one", id="in_list_last"),
)
CHATS = (
    Action("screen.choose", "enter", "Open it, at what was found", "Open", id="chat_open"),
    Action("screen.search", "/", "Search all that was said", "Search", id="chats_search"),
    Action("screen.move(-1)", "k", "The one before", id="chat_before"),
    Action("screen.move(1)", "j", "The next one", id="chat_after"),
    Action("screen.end(-1)", "home,g", "The first one", id="first_chat"),
    Action("screen.end(1)", "end,G", "The last one", id="oldest_chat"),
    Action("screen.rename", "r", "Give it a title", "Rename", id="chat_rename"),
    Action("screen.delete", "d", "Delete it", "Delete", id="chat_delete"),
    Action("screen.bring_back", "u", "Bring back what was deleted last", "Undo", id="chat_undo"),
    Action("screen.import_chat", "i", "Add one from a file", "Import", id="chat_import"),
    Action("screen.export", "e", "Write it to a file", "Export", id="chat_export"),
)
SEARCH = (Action("to_list", "tab", "To what was found, where letters are keys", "To the list"),)
LINE = (
    Action("complete", "tab", "Take what is proposed", id="line_complete"),
    Action("close", "escape", "Leave it as it is", id="line_close"),
)
HEAT_SCREEN = (
    Action("branch", "enter", "Go on from before this token", "Go on", id="look_branch"),
    Action(
        "turn(1)",
        "plus,equals_sign",
        "Go on stronger; or type a number",
        "Stronger",
        id="look_stronger",
    ),
    Action("turn(-1)", "minus", "Go on weaker", "Weaker", id="look_weaker"),
    Action("card", "tab,shift+tab", "To what else could be said, and back", "Pick", id="look_card"),
    Action("leave", "escape,q", "Back", "Back", id="look_leave"),
)
HEAT = (
    Action("flip(1)", "n,w", "To the next flip", "Flip", id="flip_after"),
    Action("flip(-1)", "p,b", "To the flip before", id="flip_before"),
    Action("move(-1)", "left,h", "The token before", id="token_before"),
    Action("move(1)", "right,l", "The next token", id="token_after"),
    Action("line(-1)", "up,k", "A line up", id="token_up"),
    Action("line(1)", "down,j", "A line down", id="token_down"),
    Action("line(-8)", "pageup", "Some lines up", id="token_page_up"),
    Action("line(8)", "pagedown", "Some lines down", id="token_page_down"),
    Action("end(-1)", "home,g", "The first token", id="first_token"),
    Action("end(1)", "end,G", "The last token", id="last_token"),
)
CARD = (
    Action("candidate(-1)", "up,k", "The candidate before", id="candidate_before"),
    Action("candidate(1)", "down,j", "The next candidate", id="candidate_after"),
    Action("end(-1)", "home,g", "The first of its list", id="first_candidate"),
    Action("end(1)", "end,G", "The last of its list", id="last_candidate"),
    Action("list(-1)", "left,h", "The list before", id="candidates_before"),
    Action("list(1)", "right,l", "The next list", id="candidates_after"),
    Action("pick", "enter", "Go on with this one in its place", "Go on with it", id="pick_token"),
)
COMPARE = (
    Action("vote", "v,b", "Vote, not knowing which is which", "Vote", id="compare_vote"),
    *(
        Action(f"choose({number})", str(number), help_, id=f"compare_{number}")
        for number, help_ in enumerate(
            (
                "Show which is which, without a vote",
                *(f"Vote for the {nth} column; else go to it" for nth in _NTH),
            )
        )
    ),
    Action("use_favourite", "u", "Make the strength with most votes the preset's default"),
    Action("take", "enter", "Take this column into the chat as a reply", "Take", id="compare_take"),
    Action("add_strength", "plus,equals_sign", "A column at another strength", "Dial"),
    Action("add_preset", "a,p", "A column by another preset", "Preset"),
    Action("remove", "minus,x,delete", "Take this column away", "Remove", id="remove_column"),
    Action("again", "r", "All once more, by another seed", "Again", id="compare_again"),
    Action("stop", "s", "Stop writing; what is written stays", "Stop", id="compare_stop"),
    Action("column(-1)", "left,h,shift+tab", "The column before", id="column_before"),
    Action("column(1)", "right,l,tab", "The next column", id="column_after"),
    Action("scroll(-1)", "up,k", "All columns up", id="columns_up"),
    Action("scroll(1)", "down,j", "All columns down", id="columns_down"),
    Action("scroll(-8)", "pageup", "A page up", id="columns_page_up"),
    Action("scroll(8)", "pagedown", "A page down", id="columns_page_down"),
    Action("end(-1)", "home,g", "All columns to their beginning", id="columns_first"),
    Action("end(1)", "end,G", "All columns to their end", id="columns_last"),
    Action("leave", "escape,q", "Stop, and back to the chat", "Back", id="compare_leave"),
)
PRESETS = (
    Action("edit", "ctrl+e", "Change it in a form; a built-in one becomes your own", id="edit_it"),
    Action("new", "ctrl+n", "Write a new one in a form", id="new_one"),
)
MODELS = (
    Action("write_faster", "ctrl+t", "Write it in the type that is faster here", id="model_faster"),
)
FORM = (
    Action("save", "ctrl+s", "Save it", id="form_save"),
    Action("close", "escape", "Leave it; twice, where something was typed", id="form_close"),
)
HELP = (
    Action("close", "escape,q,ctrl+g,f1,enter", "Close", id="close_help"),
    Action("scroll(-1)", "up,k", "Up", id="help_up"),
    Action("scroll(1)", "down,j", "Down", id="help_down"),
    Action("end(-1)", "home,g", "To the beginning", id="help_first"),
    Action("end(1)", "end,G", "To the end", id="help_last"),
)

# In the order of the help screen.
PLACES: dict[str, Sequence[Action]] = {
    "Anywhere": (*CHAT, *APP),
    "In the message": PROMPT,
    "Among the messages": MESSAGES,
    "On the strength dial": DIAL,
    "In the heat view": (*HEAT, *HEAT_SCREEN),
    "In its card": CARD,
    "In a comparison": COMPARE,
    "Among the chats": CHATS,
    "In the search": SEARCH,
    "In lists": (*PICKER, *LIST),
    "In the list of models": MODELS,
    "Where a name is asked for": LINE,
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


def unknown_ids(keys: Iterable[str]) -> list[str]:
    """Of the ids in config.toml, those that no action has."""
    known = {action.key_id for actions in (*PLACES.values(), HELP) for action in actions}
    return [key for key in keys if key not in known]


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
