"""`amulet doctor`: what is here, what the machine offers, what is missing and how to get it."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

import psutil
from rich.filesize import decimal

from amulet_local import __version__, settings
from amulet_local.cli.backend_probe import REQUIREMENT, examine_backend, examine_servers
from amulet_local.cli.loading import chat_model
from amulet_local.cli.options import Subparsers, listed
from amulet_local.cli.output import print_json, write
from amulet_local.errors import NotUsableError
from amulet_local.path_text import as_text
from amulet_local.presets.preset import load_presets
from amulet_local.runtime.device_probe import probe_devices
from amulet_local.runtime.offload import chosen_devices, estimate_offload, free_memory
from amulet_local.safe_text import line
from amulet_local.server.address import known_server
from amulet_local.settings import is_autotuned
from amulet_local.system import paths
from models.inspection import inspect
from models.memory import estimate


def add_parser(subparsers: Subparsers) -> None:
    """Add `doctor`; it sets `run`, which returns the exit code."""
    parser = subparsers.add_parser(
        "doctor", help="check what is installed, what is missing, and how to get it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--rpc", metavar="HOST:PORT,...", type=listed, help="machines that share their devices"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Examine and report; returns 0 where Amulet can be used, else 3."""
    report = examine(args.rpc or ())
    if args.json:
        print_json(report)
    else:
        _print(report)
    return 0 if report["usable"] else NotUsableError.exit_code


def examine(servers: Sequence[str] = ()) -> dict[str, Any]:
    """All findings as plain data: missing is what keeps Amulet from working, advice what does not;
    both say in a sentence each how to fix it. servers: of other machines, to be asked in place of
    those in the settings."""
    missing: list[str] = []
    advice: list[str] = []
    own = _settings(missing, advice)
    report = {
        "versions": _versions(missing),
        "backend": examine_backend(missing, advice),
        "servers": (lent := examine_servers(servers or own.engine.rpc, advice)),
        "cores": _cores(),
        "memory": _memory(),
        "folders": _folders(missing, advice),
        "model": _model(own, [address for address in lent if lent[address]], missing, advice),
        "presets": _presets(advice),
        "server": _server(),
    }
    return {"usable": not missing, "missing": missing, "advice": advice, **report}


def _settings(missing: list[str], advice: list[str]) -> settings.Settings:
    try:
        return settings.load_settings(advice.append)
    except NotUsableError as error:
        missing.append(str(error))
        return settings.Settings()


def _versions(missing: list[str]) -> dict[str, str | None]:
    versions: dict[str, str | None] = {
        "amulet": __version__,
        "python": platform.python_version(),
    }
    for package in ("llama-cpp-python", "textual", "numpy"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
            if package not in REQUIREMENT:  # whose absence the backend tells of
                command = f'"{sys.executable}" -m pip install {package}'
                missing.append(f"{package} is not installed; install it with: {command}")
    return versions


def _cores() -> dict[str, int | None]:
    allowed = os.sched_getaffinity(0) if sys.platform == "linux" else None
    return {
        "physical": psutil.cpu_count(logical=False),
        "logical": psutil.cpu_count(),
        "allowed": len(allowed) if allowed else psutil.cpu_count(),
    }


def _memory() -> dict[str, int]:
    memory = psutil.virtual_memory()
    return {"available": memory.available, "total": memory.total}


_HOLDS = {
    "config": "config.toml",
    "presets": "your own presets",
    "data": "chats and calibration results",
    "models": "fetched models",
    "log": "the engine's log",
}


def _folders(missing: list[str], advice: list[str]) -> dict[str, dict[str, Any]]:
    """Where things are kept. What cannot be written to is advice: Amulet works without; but a
    folder that can never be there is missing."""
    folders = {
        "config": settings.config_folder(),
        "presets": settings.presets_folder(),
        "data": settings.data_folder(),
        "models": settings.models_folder(),
        "log": settings.log_folder(),
    }
    found = {}
    for name, folder in folders.items():
        nearest = next(filter(paths.exists, (folder, *folder.parents)), folder)
        writable = paths.is_dir(nearest) and os.access(nearest, os.W_OK | os.X_OK)
        found[name] = {"path": str(folder), "exists": paths.exists(folder), "writable": writable}
        if not paths.is_dir(nearest):
            missing.append(
                f"the {name} folder {folder} cannot be created: {nearest} is a file; move it, "
                "or set AMULET_HOME to a folder you can write to."
            )
        elif not writable:
            advice.append(
                f"the {name} folder {folder} is not writable, so {_HOLDS[name]} cannot be "
                "saved; make it writable, or set AMULET_HOME to a folder you can write to."
            )
    return found


def _model(
    own: settings.Settings, servers: Sequence[str], missing: list[str], advice: list[str]
) -> dict[str, str | int | None]:
    """The model that would be loaded, what it would need, and where it would lie."""
    facts: dict[str, str | int | None] = {"name": own.model or "default", "path": None}
    try:
        path = chat_model(own.model)
    except NotUsableError as error:
        missing.append(str(error))
        return facts
    memory = estimate(inspect(path), own.engine)
    devices = chosen_devices(own.engine, probe_devices(servers))
    placing = estimate_offload(memory, own.engine, devices, free_memory())
    if not placing.fits:
        advice.append(
            f"the model needs about {decimal(memory.total)} with {memory.context:,} tokens of "
            "context, which is more than is free; use a smaller context or a smaller model."
        )
    if not is_autotuned(as_text(path)):
        advice.append(
            "the fastest settings for this model on this machine are not known yet; they are found "
            "while the chat has nothing to do, or in a minute or two with: amulet bench --calibrate"
        )
    facts |= {"path": as_text(path), "context": memory.context, "memory": memory.total}
    return {**facts, "placing": str(placing)}


def _server() -> dict[str, str] | None:
    """The one that `amulet serve` has running, if it has."""
    found = known_server()
    return {"url": found.url, "model": found.model} if found else None


def _presets(advice: list[str]) -> dict[str, int]:
    loaded = load_presets()
    advice.extend(loaded.problems)
    own = sum(not preset.built_in for preset in loaded.presets.values())
    return {"built_in": len(loaded.presets) - own, "own": own, "broken": len(loaded.broken)}


# -- how it looks ---------------------------------------------------------------------------------


def _print(report: dict[str, Any]) -> None:
    for name, value in _rows(report):
        write(f"{name:<18}{value}\n")
    for heading in ("missing", "advice"):
        for sentence in report[heading]:
            write(f"\n{heading}: {sentence}\n")
    if report["usable"]:
        write("\nEverything needed is installed.\n")


def _device(device: Mapping[str, Any]) -> str:
    free, total = decimal(device["memory_free"]), decimal(device["memory_total"])
    name = f"{line(device['name'])}: {line(device['description'])}"
    return f"{name} ({device['kind']}, {free} free of {total})"


def _rows(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for package, version in report["versions"].items():
        yield package, version or "not installed"
    if backend := report["backend"]:
        yield "built for", " ".join(re.findall(r"(\w+) = 1", backend["features"]))
        yield "backends", ", ".join(backend["backends"])
        yield "GPU offload", "yes" if backend["gpu_offload"] else "no"
        for device in backend["devices"]:
            yield "device", _device(device)
        yield "threads used", str(backend["threads"])
    for address, lent in report["servers"].items():
        yield "RPC server", f"{address}: {'; '.join(map(_device, lent)) or 'not usable'}"
    cores = report["cores"]
    counts = (f"{count} {kind}" for kind, count in cores.items() if count)
    yield "cores", ", ".join(counts)
    memory = report["memory"]
    yield "memory", f"{decimal(memory['available'])} free of {decimal(memory['total'])}"
    for name, folder in report["folders"].items():
        state = "" if folder["exists"] else " (does not exist yet)"
        state = state if folder["writable"] else " (not writable)"
        yield f"{name} folder", folder["path"] + state
    model = report["model"]
    yield f"model {model['name']}", model["path"] or "missing"
    if model["path"]:
        needed = f"about {decimal(model['memory'])} for two streams of {model['context']:,} tokens"
        yield "memory needed", f"{needed}, {model['placing']}"
    if server := report["server"]:
        yield "server", f"{server['model']} at {server['url']}"
    presets = report["presets"]
    yield "presets", f"{presets['built_in']} built in, {presets['own']} of your own"
