"""Which files of a repository are the model that is meant.

Names of files go in, those of one model come out, all parts of it in order; or a sentence that says
what there is to choose from.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from pathlib import PurePosixPath

from amulet_local.errors import NotUsableError, UsageError
from models.cards import part_paths, printable

_SPLIT = re.compile(r"-(?P<number>\d{5})-of-\d{5}$")
_QUANTISATION = re.compile(
    r"(?:^|[-._])(?P<type>(?:UD-)?(?:I?Q\d\w*|MXFP4\w*|BF16|F16|F32))$", re.I
)
_USUAL = ("Q4_K_M", "Q4_0", "Q8_0")
_OFFERED = 12


def choose(repository: str, names: Iterable[str], wanted: str) -> list[str]:
    """The files of the one model that is meant, all parts of it in order."""
    models: dict[str, list[str]] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        if is_gguf(path) and "mmproj" not in path.name.casefold():
            models.setdefault(_SPLIT.sub("", str(path.with_suffix(""))), []).append(name)
    if not models:
        raise NotUsableError(
            f"{repository} has no GGUF file; look for a repository of the same model that has one."
        )
    fitting = models
    if wanted:
        meant = {stem: files for stem, files in models.items() if _is_meant(stem, wanted)}
        meant = meant or {stem: each for stem, each in models.items() if _names(stem, wanted)}
        exact = {stem: files for stem, files in meant.items() if _type(stem) == wanted.upper()}
        fitting = exact or meant
    if not fitting:
        raise NotUsableError(
            f"{repository} has no {printable(wanted)}; it has {_offer(models)}: add one after "
            "a colon."
        )
    if not wanted and len(models) > 1:
        usual = ([s for s in models if _type(s) == kind] for kind in _USUAL)
        fitting = {stem: models[stem] for stem in next(filter(None, usual), models)}
    if len(fitting) != 1:
        raise UsageError(
            f"{repository} has several models: {_offer(fitting)}; add one after a colon."
        )
    files = next(iter(fitting.values()))
    return whole(repository, files[0], files)


def whole(repository: str, name: str, names: Container[str]) -> list[str]:
    """All parts of the model that a file is, or is a part of, in order."""
    parts = list(map(str, part_paths(PurePosixPath(name))))
    if missing := [part for part in parts if part not in names]:
        raise NotUsableError(
            f"{repository} lacks a part of that model, {printable(missing[0])}; choose another of "
            "its models, or look for another repository."
        )
    return parts


def place(repository: str, name: str) -> str:
    """Where a file of a repository is stored, below the models folder: in folders as there, since
    several may have one name. Folders that lead elsewhere, or are hidden, are left out."""
    *folders, file = PurePosixPath(name).parts
    usual = [f for f in folders if f.isprintable() and f[0] not in "./" and not set(f) & set("\\:")]
    return "/".join((repository, *usual, file))


def is_gguf(path: PurePosixPath) -> bool:
    """Whether a file of that name is a model that can be stored under it."""
    return path.suffix.casefold() == ".gguf" and path.name.isprintable()


def _is_meant(stem: str, wanted: str) -> bool:
    name, wanted = PurePosixPath(stem).name.casefold(), wanted.casefold().removesuffix(".gguf")
    return name == wanted or bool(re.search(rf"(^|[-._]){re.escape(wanted)}$", name))


def _names(stem: str, wanted: str) -> bool:
    """Whether the type stands before something else, as in model_q4_0-it."""
    name = PurePosixPath(stem).name
    return bool(re.search(rf"(^|[-._]){re.escape(wanted)}([-.]|$)", name, re.I))


def _type(stem: str) -> str:
    match = _QUANTISATION.search(PurePosixPath(stem).name)
    return match["type"].upper() if match else ""


def _offer(models: Iterable[str]) -> str:
    stems = list(models)
    types = [_type(stem) for stem in stems]
    shown = types if all(types) and len(set(types)) == len(types) else stems
    more = f" and {len(shown) - _OFFERED} more" if len(shown) > _OFFERED else ""
    return ", ".join(printable(each) for each in shown[:_OFFERED]) + more
