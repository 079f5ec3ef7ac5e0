"""The licences of what Amulet is built on and developed with, as docs/licences.md: `make licences`.

Names and versions come from the lock file, licences from what is installed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from importlib import metadata
from pathlib import Path

_HERE = Path(__file__).parent
LOCK = _HERE.parent / "requirements-dev.lock"
PAGE = _HERE / "licences.md"
_PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)

# What is installed on other systems only.
_ELSEWHERE = {
    "colorama": "BSD-3-Clause (on Windows only)",
    "httpx2-jsfetch": "not looked up (for Python in a browser only)",
}
_OPENING = """\
# Licences

What Amulet needs to run and to be developed, by the lock file, and under which licence each package
says that it stands. Amulet contains none of it: pip fetches it. Written by `make licences`.

llama-cpp-python brings llama.cpp, under the MIT licence. The default model, SmolLM2-135M-Instruct,
is under Apache-2.0; `amulet models info NAME` tells the licence of another, where its file does.

| package | version | licence |
|---|---|---|
"""


def pins() -> dict[str, list[str]]:
    """The versions that the lock file has of each package."""
    found = defaultdict(list)
    for name, version in _PIN.findall(LOCK.read_text("utf-8")):
        found[name].append(version)
    return dict(found)


def licence(name: str) -> str:
    """What a package says of itself; "" where it is not installed, or says nothing."""
    try:
        facts = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return _ELSEWHERE.get(name, "")
    classifiers = facts.get_all("Classifier") or []
    classified = [each.split(" :: ")[-1] for each in classifiers if each.startswith("License ::")]
    in_words = (facts["License"] or "").strip()
    short = in_words if "\n" not in in_words and in_words != "UNKNOWN" else ""
    return facts["License-Expression"] or "; ".join(classified) or short


def page() -> str:
    """The whole page. Raises LookupError where a licence is not known."""
    rows = []
    for name, versions in sorted(pins().items()):
        if not (stated := licence(name)):
            raise LookupError(f"the licence of {name} is not known; is everything installed?")
        rows.append(f"| {name} | {', '.join(versions)} | {stated} |\n")
    return _OPENING + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
