"""`amulet serve` in a process of its own, on a tiny model of float32 weights."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx2 as httpx
import psutil

from tests.tiny_models import write_llama

MODEL = "tiny"
HEAD = (
    "POST /v1/chat/completions HTTP/1.1\r\n"
    "Host: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n"
)
USER = {"role": "user", "content": "What makes a good holiday?"}


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    url: str
    process: subprocess.Popen[str]
    home: Path

    def client(self, **settings: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **settings)

    def chat(self, **body: Any) -> httpx.Response:
        """One chat completion, short and greedy unless the body says else."""
        with self.client() as client:
            return client.post("/v1/chat/completions", json=chat_body(**body))

    def whole(self, **body: Any) -> dict[str, Any]:
        """The document of one that is written."""
        response = self.chat(**body)
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document

    def metric(self, name: str) -> float:
        with self.client() as client:
            text = client.get("/metrics").text
        (line,) = [line for line in text.splitlines() if line.startswith(f"amulet_{name} ")]
        return float(line.split()[1])

    @property
    def engine(self) -> psutil.Process:
        """The engine's process."""
        children = psutil.Process(self.process.pid).children()
        (engine,) = [each for each in children if "amulet_local.engine.worker" in each.cmdline()]
        return engine


def chat_body(**body: Any) -> dict[str, Any]:
    return {"messages": [USER], "max_tokens": 16, "temperature": 0, **body}


def text_of(document: dict[str, Any]) -> str:
    text: str = document["choices"][0]["message"]["content"]
    return text


def tiny_model(folder: Path) -> Path:
    path = folder / f"{MODEL}.gguf"
    write_llama(path)
    return path


async def vanish(server: Serving, after: int, body: dict[str, Any]) -> None:
    """Ask for a chat completion, read so many bytes of the answer, and be gone without a word;
    below 0, so many bytes before all was asked."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    content = json.dumps(body).encode()
    whole = HEAD.format(len(content)).encode() + content
    writer.write(whole if after >= 0 else whole[:after])
    await writer.drain()
    with suppress(asyncio.IncompleteReadError):  # it was all told before
        await reader.readexactly(max(0, after))
    writer.transport.abort()


@contextmanager
def serving(
    folder: Path, *options: str, host: str = "127.0.0.1", model: Path | None = None
) -> Iterator[Serving]:
    """A server with these options; it is ended after. model: the tiny one unless it is given."""
    model = model or tiny_model(folder)
    command = [sys.executable, "-m", "amulet_local", "serve", "-m", str(model)]
    command += ["--port", "0", "--context", "1024", "--flash-attention", "off", "--host", host]
    home = folder / "home"
    process = subprocess.Popen(
        [*command, *options],
        env=os.environ | {"AMULET_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Serving(_url(process.stdout), process, home)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _url(output: IO[str] | None) -> str:
    assert output is not None
    greeting = output.readline()
    found = re.search(r"http://\S+(?=/v1,)", greeting)
    assert found, greeting
    return found[0]
