"""The catalogue is well formed, and finds its models by name and alias."""

from __future__ import annotations

import msgspec
import pytest

from models import catalogue
from models.catalogue import Entry, Hosted, Packaged
from tests.checks import some


def test_the_default_model_is_the_one_in_the_readme() -> None:
    entry = catalogue.default()
    assert (entry.name, entry.file) == (
        "smollm2-135m-instruct",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
    )
    assert entry.command == "amulet models pull default"


@pytest.mark.parametrize("name", ["default", "smollm2-135m-instruct", "SmolLM2-135M-Instruct"])
def test_a_model_is_found_by_name_and_alias(name: str) -> None:
    assert catalogue.find(name) == catalogue.default()


@pytest.mark.parametrize("name", ["", "gpt-5"])
def test_other_names_find_nothing(name: str) -> None:
    assert catalogue.find(name) is None


def test_names_and_files_are_each_one_models_own() -> None:
    names = [entry.name for entry in catalogue.entries()]
    names += [entry.alias for entry in catalogue.entries() if entry.alias]
    files = [
        entry.file if isinstance(entry, Packaged) else (entry.repository, entry.quantisation)
        for entry in catalogue.entries()
    ]
    assert len(set(names)) == len(names)
    assert names == [name.casefold() for name in names]
    assert len(set(files)) == len(files)


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../up.gguf"},
        {"file": ".hidden.gguf"},
        {"sha256": "b179"},
        {"size": -1},
        {"a": 1},
        {"name": "Not A Name"},
        {"licence": "llama3"},
        {"source": "hub"},
    ],
)
def test_a_senseless_entry_is_refused(change: dict[str, object]) -> None:
    entry = msgspec.to_builtins(catalogue.default())
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**entry, **change}, Entry)


def test_there_are_about_a_dozen_from_135_million_to_14_billion_by_memory() -> None:
    entries = catalogue.entries()
    assert 8 <= len(entries) <= 12
    assert (entries[0].parameters, entries[-1].parameters) == ("135M", "14B")
    needed = [entry.memory for entry in entries]
    assert needed == sorted(needed)


def test_a_model_needs_more_memory_than_its_file_and_a_token_reads_no_more_than_that() -> None:
    for entry in some(entry for entry in catalogue.entries() if isinstance(entry, Hosted)):
        assert entry.per_token <= entry.download < entry.memory < 4 * entry.download


def test_what_was_not_verified_is_not_written_down() -> None:
    for entry in some(catalogue.entries()):
        facts = msgspec.to_builtins(entry)
        assert ("sha256" in facts) == ("size" in facts) == isinstance(entry, Packaged)
        assert facts.get("download", 0) % 10_000_000 == 0  # about
