"""How long it takes to list many models, the first time and with their headers known.

    python -m benchmarks.listing [-m MODEL] [--files 500]

Copies of a model's header, each with a title of its own, in a folder of their own: as files of the
model's size without its data. Each time is that of a new process: of the listing inside it, and of
`amulet models --json` as typed, each with the time that a processor worked on it (which tells where
other programs want the cores); the disk's cache is warm.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from amulet_local.system.child_processes import environment, python
from models.header import read_header
from models.lookup import resolve

_LISTING = """
import time
from models.library import listing
began, used = time.perf_counter(), time.process_time()
found = listing()
print(len(found.models), time.perf_counter() - began, time.process_time() - used)
"""
_TITLE_LENGTH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description="Listing many models")
    parser.add_argument("-m", "--model", default="default")
    parser.add_argument("--files", type=int, default=500)
    arguments = parser.parse_args()
    model = resolve(arguments.model)
    with TemporaryDirectory() as home:
        folder = Path(home, "models")
        folder.mkdir()
        write_copies(model, folder, arguments.files)
        apart = environment() | {"AMULET_HOME": home, "HOME": home, "AMULET_MODELS": str(folder)}
        print("| | listing, s | processor, s | command, s | processor, s |\n|---|---|---|---|---|")
        for label in ("first", "second", "third"):
            inside = once(python("-c", _LISTING), apart)
            count, seconds, used = inside.split()
            if int(count) != arguments.files:
                raise SystemExit(f"{count} models were listed, not {arguments.files}.")
            began, worked = time.perf_counter(), children_s()
            once(python("-m", "amulet_local", "models", "--json"), apart)
            command = time.perf_counter() - began
            times = (float(seconds), float(used), command, children_s() - worked)
            print(f"| {label} | " + " | ".join(f"{each:.2f}" for each in times) + " |")


def write_copies(model: Path, folder: Path, count: int) -> None:
    """Files with the model's header and size; they differ in the first letters of its title."""
    header = read_header(model)
    title = str(header.metadata["general.name"]).encode()
    if len(title) < _TITLE_LENGTH:
        raise SystemExit("the model's title is too short to number copies in; choose another.")
    with model.open("rb") as file:
        data = file.read(header.data_offset)
    at = data.index(title)
    for number in range(count):
        path = folder / f"model-{number:04}.gguf"
        path.write_bytes(data[:at] + f"{number:0{_TITLE_LENGTH}}".encode() + data[at + 8 :])
        os.truncate(path, header.file_size + number)  # of one size, they might be copies


def children_s() -> float:
    """Seconds that processors worked on all processes that this one started."""
    times = os.times()
    return times.children_user + times.children_system


def once(command: list[str], apart: dict[str, str]) -> str:
    done = subprocess.run(command, env=apart, capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()
