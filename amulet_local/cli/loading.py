"""Which model to load and how: what the user gave, else config.toml; checked before loading."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from amulet_local.cli.options import with_given
from amulet_local.path_text import as_text
from amulet_local.protocol.loading import LoadOptions
from amulet_local.settings import Settings
from models import lookup
from models.cards import require_chat_model
from models.inspection import inspect


def chat_model(name: str) -> Path:
    """The file of a model that one can chat with, its header checked; "" is the default model.

    Raises NotUsableError where there is none of that name, or it is damaged or no chat model.
    """
    path = lookup.resolve(name)
    require_chat_model(inspect(path))
    return path


def load_options(settings: Settings, args: argparse.Namespace) -> LoadOptions:
    """How to load; a draft model is found by name or path, and checked, like any other."""
    options = with_given(settings.engine, args)
    if options.draft in ("ngram", "off"):
        return options
    return msgspec.structs.replace(options, draft=as_text(chat_model(options.draft)))
