"""What is told of a model once it is loaded: how it was, and what its user should know."""

from __future__ import annotations

from pathlib import Path

from amulet_local.prompts.prompting import Prompter
from amulet_local.protocol.messages import Loaded
from amulet_local.runtime.llama.hardware import physical_cores
from amulet_local.runtime.loader import LoadResult


def card(path: str, loaded: LoadResult, prompter: Prompter, load_s: float) -> Loaded:
    """What was loaded, and how. load_s: how long that took."""
    model, lockstep = loaded.model, loaded.lockstep
    return Loaded(
        model=Path(path).stem,
        description=model.description,
        architecture=model.metadata("general.architecture") or "",
        context=lockstep.length,
        vocabulary=model.vocabulary.size,
        layers=model.layers + 1,  # and the output layer
        gpu_layers=loaded.layers,
        devices=", ".join(device.name for device in loaded.devices) or "CPU",
        streams=lockstep.arrangement,
        threads=loaded.options.threads or physical_cores(),
        can_rewind=lockstep.can_rewind,
        template=model.chat_template is not None and not prompter.problem,
        load_s=load_s,
        thinks=prompter.thinks,
    )


def notices(loaded: LoadResult, prompter: Prompter) -> list[str]:
    """What the user should know about a load, a sentence each."""
    told, options, trained = list(loaded.notices), loaded.options, loaded.model.context_trained
    if 0 < trained < options.context:
        told.append(
            f"The model was trained for a context of {trained:,} tokens; beyond that, replies may "
            "lose the thread."
        )
    if prompter.problem:
        told.append(prompter.problem)
    if options.draft != "off" and not loaded.lockstep.can_rewind:
        told.append(
            "This model's memory cannot be rewound, so drafting is off and an edited chat is read "
            "again from the start."
        )
    return told
