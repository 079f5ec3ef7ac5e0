"""Programs that people use, with the server: each by its package, in an environment of its own.

`make test-clients` makes the environments, in the folder that AMULET_CLIENTS names, and runs this.
AMULET_CLIENT_MODEL names the model that aider edits with; without it, one recites the edit.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.checks import comes
from tests.server.serving import MODEL, USER, Serving, serving, text_of
from tests.tiny_models import write_reciting_llama

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


EDIT = """\
hello.py
```python
print('hello')
print('goodbye')
```
"""
# One who is signed in without a password, one connection, and nothing that would be fetched.
OPEN_WEBUI = {
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "none",
    "OPENAI_API_KEY": "none",
    "ENABLE_OLLAMA_API": "False",
    "RAG_EMBEDDING_ENGINE": "openai",
    "OFFLINE_MODE": "True",
}
SHORT = {"max_tokens": 12, "temperature": 0}


def command(program: str, name: str) -> str:
    """The path of a command of one of the environments."""
    return str(Path(os.environ["AMULET_CLIENTS"]).absolute() / program / "bin" / name)


def run(program: str, *arguments: str, folder: Path, **variables: str) -> str:
    """What a program of one of the environments says; it must succeed."""
    done = subprocess.run(
        [command(program, arguments[0]), *arguments[1:]],
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


def test_aider_edits_a_file(tmp_path: Path) -> None:
    """aider's own prompt has more tokens than the tiny model's usual context."""
    file = tmp_path / "hello.py"
    file.write_text("print('hello')\n", "utf-8")
    model = tmp_path / "recites.gguf"
    write_reciting_llama(model, EDIT, context=16384)
    if given := os.environ.get("AMULET_CLIENT_MODEL"):
        model = Path(given)
    options = ("--parallel", "1", "--context", "16384")
    with serving(tmp_path, *options, model=model) as server:
        told = run(
            "aider-chat",
            "aider",
            *("--openai-api-base", f"{server.url}/v1", "--openai-api-key", "none"),
            *("--model", "openai/default@concise", "--edit-format", "whole", "--map-tokens", "0"),
            *("--message", "Add a second line that prints goodbye.", "--yes-always"),
            *("--no-git", "--no-auto-commits", "--no-check-update", "--no-show-model-warnings"),
            *("--no-analytics", "--no-show-release-notes", "hello.py"),
            folder=tmp_path,
        )
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=False)
    assert done.stdout == "hello\ngoodbye\n", told


@pytest.fixture(scope="module")
def open_webui(server: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Open WebUI as its package starts it, connected to the server, with somebody signed in."""
    folder = tmp_path_factory.mktemp("open-webui")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {"DATA_DIR": str(folder), "HOME": str(folder), "OPENAI_API_BASE_URL": f"{server.url}/v1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [command("open-webui", "open-webui"), "serve", "--host=127.0.0.1", f"--port={port}"],
            cwd=folder,
            env={**os.environ, **OPEN_WEBUI, **own},
            stdout=log,
            stderr=log,
        )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)

    def listens() -> bool:
        with suppress(httpx.TransportError):
            return client.get("/health").is_success
        return process.poll() is not None

    try:
        assert comes(listens) or comes(listens)  # half a minute of work, before anything else
        assert process.poll() is None, (folder / "log").read_text("utf-8")
        signed_in = client.post("/api/v1/auths/signin", json={"email": "", "password": ""})
        client.headers["authorization"] = f"Bearer {signed_in.json()['token']}"
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=60)


def listed(open_webui: httpx.Client) -> list[str]:
    """The names that users choose from."""
    return [model["id"] for model in open_webui.get("/api/models").json()["data"]]


def test_open_webui_verifies_the_connection_and_lists_its_names(
    server: Serving, open_webui: httpx.Client
) -> None:
    connection = {"url": f"{server.url}/v1", "key": "none"}
    verified = open_webui.post("/openai/verify", json=connection)
    names = [model["id"] for model in verified.json()["data"]]
    assert {MODEL, f"{MODEL}@concise"} <= set(names)
    assert set(listed(open_webui)) >= set(names)


def test_open_webui_streams_a_steered_reply(server: Serving, open_webui: httpx.Client) -> None:
    body: dict[str, Any] = {"model": f"{MODEL}@concise", "messages": [USER], "params": SHORT}
    response = open_webui.post("/api/chat/completions", json={**body, "stream": True})
    *events, end = response.text.strip().split("\n\n")
    assert end == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    told = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert told == text_of(server.whole(model=f"{MODEL}@concise", **SHORT))
    assert chunks[-1]["amulet"]["preferences"][0]["name"] == "concise"


def test_a_chat_on_open_webuis_page_is_answered(tmp_path: Path, open_webui: httpx.Client) -> None:
    """As the page asks, it offers the model tools of its own, and stores what comes. A name with a
    strength of its own is one of those that are added to the connection by hand."""
    with serving(tmp_path, "--ignore-tools") as server:
        url = f"{server.url}/v1"
        told = open_webui.post(
            "/openai/config/update",
            json={
                "ENABLE_OPENAI_API": True,
                "OPENAI_API_BASE_URLS": [url],
                "OPENAI_API_KEYS": ["none"],
                "OPENAI_API_CONFIGS": {"0": {"model_ids": [*listed(open_webui), NAME]}},
            },
        )
        assert told.is_success, told.text
        assert NAME in listed(open_webui)
        asked = open_webui.post(
            "/api/chat/completions",
            json={
                **{"model": NAME, "messages": [USER], "params": SHORT, "stream": True},
                **{"session_id": "page", "parent_id": None, "id": "answer"},
                "user_message": {"id": "question", **USER},
            },
        )
        chat = f"/api/v1/chats/{asked.json()['chat_id']}"

        def answer() -> dict[str, Any]:
            messages = open_webui.get(chat).json()["chat"]["history"]["messages"]
            found: dict[str, Any] = messages["answer"]
            return found

        assert comes(lambda: answer().get("done"))
        assert answer().get("error") is None
        assert answer()["content"] == text_of(server.whole(model=NAME, **SHORT))
