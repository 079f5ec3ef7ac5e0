"""What serving costs: the server beside the engine alone, eight clients beside one, and the first
token of a short prompt while others are answered.

    python -m benchmarks.serving [-m MODEL] [--rounds N] [--tokens N]

All of it in one run, the arms in turn: only ratios are told, each the median over rounds. Nothing
guesses ahead: on quantised weights the arms write different texts, and one that repeats itself
would be the faster for it. benchmarks/rows.py tells what llama_decode alone allows several clients.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx

from amulet_local.engine.client import EngineProcess
from amulet_local.evaluation.questions import bundled_questions
from amulet_local.path_text import as_text
from amulet_local.presets.preset import load_presets
from amulet_local.prompts.prompting import DEFAULT_SYSTEM
from amulet_local.protocol.alignment import Alignment
from amulet_local.protocol.loading import LoadOptions
from amulet_local.protocol.message import Message
from amulet_local.protocol.messages import Finished, Loaded, Reply
from models import lookup

CLIENTS, STREAMING = 8, 4
PRESET = "verbose"  # which goes on until it is stopped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    model = lookup.resolve(args.model)
    questions = [each.question for each in bundled_questions()]
    with _engine(model) as engine, _server(model) as client:
        bench = _Bench(engine, client, args.tokens)
        rounds = [bench.round(questions[number :: args.rounds]) for number in range(args.rounds)]
    for name in rounds[0]:
        values = sorted(each[name] for each in rounds)
        print(f"{name}: {statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})")


class _Bench:
    def __init__(self, engine: EngineProcess, client: httpx.Client, tokens: int) -> None:
        self._engine, self._client, self._tokens = engine, client, tokens

    def round(self, questions: list[str]) -> dict[str, float]:
        one, *others = questions[: CLIENTS + 1]
        alone = self._of_engine(one)
        served = self._of_server([one])
        together = self._of_server(others[:CLIENTS] or [one])
        single = self._of_server(others[:1])
        first = self._first_token("Say hello.")
        with ThreadPoolExecutor(STREAMING) as pool:
            streams = [
                pool.submit(self._ask, each, 4 * self._tokens) for each in others[:STREAMING]
            ]
            time.sleep(1.5)  # their prompts are read
            beside = self._first_token("Say good evening.")
            for stream in streams:
                stream.result()
        return {
            "server / engine, tokens per second": served / alone,
            f"{CLIENTS} clients / one, tokens per second": together / single,
            f"first token beside {STREAMING} / alone, time": beside / first,
        }

    def _of_engine(self, question: str) -> float:
        """Tokens per second of a request to an engine as `amulet ask` has it."""
        preset = load_presets().get(PRESET)
        alignment = Alignment(
            preference=preset.words(),
            strength=2.0,
            guard=preset.guard,
            sampling=preset.sampling,
        )
        request = Reply(
            id=1,
            messages=(Message("user", question),),
            seed=1,
            system=DEFAULT_SYSTEM,
            alignment=alignment,
            max_tokens=self._tokens,
            trace=True,
        )
        began = time.perf_counter()
        self._engine.reply(request)
        while not isinstance(event := self._engine.events.get(), Finished):
            pass
        return event.stats.tokens / (time.perf_counter() - began)

    def _of_server(self, questions: list[str]) -> float:
        """Tokens per second of all of them, asked at once."""
        began = time.perf_counter()
        with ThreadPoolExecutor(len(questions)) as pool:
            written = sum(pool.map(self._ask, questions))
        return written / (time.perf_counter() - began)

    def _ask(self, question: str, tokens: int = 0) -> int:
        body = self._body(question) | ({"max_tokens": tokens} if tokens else {})
        answer = self._client.post("/v1/chat/completions", json=body)
        count: int = answer.json()["usage"]["completion_tokens"]
        return count

    def _first_token(self, question: str) -> float:
        """Seconds until something is told."""
        body = self._body(question) | {"stream": True, "max_tokens": 2}
        began = time.perf_counter()
        with self._client.stream("POST", "/v1/chat/completions", json=body) as stream:
            told = (line for line in stream.iter_lines() if line.startswith("data: {"))
            next(told)
            elapsed = time.perf_counter() - began
            for _ in told:
                pass
        return elapsed

    def _body(self, question: str) -> dict[str, Any]:
        return {
            "model": f"default@{PRESET}:2",
            "messages": [{"role": "user", "content": question}],
            "max_tokens": self._tokens,
            "seed": 1,
        }


@contextmanager
def _engine(model: Path) -> Iterator[EngineProcess]:
    engine = EngineProcess()
    try:
        engine.load(as_text(model), LoadOptions(draft="off"))
        while not isinstance(engine.events.get(), Loaded):
            pass
        yield engine
    finally:
        engine.close()


@contextmanager
def _server(model: Path) -> Iterator[httpx.Client]:
    command = [sys.executable, "-m", "amulet_local", "serve", "-m", as_text(model), "--port", "0"]
    command += ["--draft", "off"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().partition("served at ")[2].partition("/v1")[0]
        try:
            with httpx.Client(base_url=url, timeout=600, trust_env=False) as client:
                yield client
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
