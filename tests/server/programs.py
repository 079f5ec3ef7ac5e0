"""Programs that people use, with the server: each by its package, in an environment of its own.

`make test-clients` makes the environments, in the folder that AMULET_CLIENTS names, and runs this.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.server.serving import MODEL, Serving, serving

NAME = f"{MODEL}@concise:2"
LITELLM = """
import sys, litellm
url, name = sys.argv[1:]
ask = dict(model=f"openai/{name}", api_base=url, api_key="none", max_tokens=6,
           messages=[{"role": "user", "content": "Hello."}])
whole = litellm.completion(**ask)
chunks = list(litellm.completion(**ask, stream=True, stream_options={"include_usage": True}))
assert whole.usage.completion_tokens == 6, whole
assert any(chunk.choices and chunk.choices[0].delta.content for chunk in chunks), chunks
try:
    litellm.completion(**{**ask, "messages": [{"role": "user", "content": "word " * 3000}]})
except litellm.ContextWindowExceededError:
    print("fine")
"""
LANGCHAIN = """
import sys
from langchain_openai import ChatOpenAI
url, name = sys.argv[1:]
model = ChatOpenAI(model=name, base_url=url, api_key="none", max_tokens=6, seed=1, temperature=0,
                   extra_body={"guard": 0.05})
messages = [("system", "Be kind."), ("human", "Hello.")]
whole = model.invoke(messages)
text = "".join(chunk.content for chunk in model.stream(messages))
assert whole.usage_metadata["output_tokens"] == 6, whole
assert text == whole.content, (text, whole)
assert len(model.batch(["One.", "Two.", "Three."])) == 3
print("fine")
"""


def run(program: str, *arguments: str, folder: Path, **variables: str) -> str:
    """What a program of one of the environments says; it must succeed."""
    environment = Path(os.environ["AMULET_CLIENTS"]).absolute() / program
    done = subprocess.run(
        [str(environment / "bin" / arguments[0]), *arguments[1:]],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("program", "script"), [("litellm", LITELLM), ("langchain-openai", LANGCHAIN)]
)
def test_a_library(server: Serving, tmp_path: Path, program: str, script: str) -> None:
    url = f"{server.url}/v1"
    assert run(program, "python", "-c", script, url, NAME, folder=tmp_path).endswith("fine\n")


def test_llm(server: Serving, tmp_path: Path) -> None:
    (tmp_path / "extra-openai-models.yaml").write_text(
        f'- model_id: amulet\n  model_name: "{NAME}"\n  api_base: "{server.url}/v1"\n', "utf-8"
    )
    asked = ["llm", "-m", "amulet", "Say hello.", "-o", "max_tokens", "5", "--key", "none"]
    streamed = run("llm", *asked, folder=tmp_path, LLM_USER_PATH=str(tmp_path))
    whole = run("llm", *asked, "--no-stream", folder=tmp_path, LLM_USER_PATH=str(tmp_path))
    assert streamed.strip()
    assert whole.strip()
    assert server.metric("slots_taken") == 0


def test_aider_in_a_scripted_edit(tmp_path: Path) -> None:
    """What this model writes is no edit; what is tried is that aider asks and reads it. Its own
    prompt has thousands of tokens."""
    (tmp_path / "hello.py").write_text("print('hello')\n", "utf-8")
    (tmp_path / ".aider.model.settings.yml").write_text(
        f'- name: "openai/{NAME}"\n  extra_params:\n    max_tokens: 20\n', "utf-8"
    )
    with serving(tmp_path, "--parallel", "2", "--context", "16384") as server:
        run(
            "aider-chat",
            "aider",
            *("--openai-api-base", f"{server.url}/v1", "--openai-api-key", "none"),
            *("--model", f"openai/{NAME}", "--message", "Say hello twice.", "--yes-always"),
            *("--no-git", "--no-auto-commits", "--no-check-update", "--no-show-model-warnings"),
            *("--no-analytics", "--edit-format", "whole", "--map-tokens", "0", "hello.py"),
            folder=tmp_path,
        )
        assert server.metric("replies_total") > 0
