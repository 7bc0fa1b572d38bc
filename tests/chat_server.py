"""A server on the loopback device that speaks OpenAI's chat API, with faults on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = (
    "The person stands upright with both arms down, then lifts the left hand above the head, waves it three times "
    "and lowers it again to the side."
)
KEY = "sk-loopback-1234567890-secret"

Behaviour = Callable[["_Handler", dict[str, Any]], None]


def completion(text: Any = GOOD, finish: str = "stop", usage: bool = True, **message: Any) -> dict[str, Any]:
    """The body of a good answer."""
    answer: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
    }
    if usage:
        answer["usage"] = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
    return answer


def says(text: Any = GOOD, finish: str = "stop", usage: bool = True, **message: Any) -> Behaviour:
    return answers(json.dumps(completion(text, finish, usage, **message)).encode())


def answers(body: bytes, status: int = 200, **headers: str) -> Behaviour:
    def behave(handler: _Handler, request: dict[str, Any]) -> None:
        handler.send(status, body, headers)

    return behave


def fails(status: int, message: str = "no", **headers: str) -> Behaviour:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answers(json.dumps({"error": {"message": message}}).encode(), status, **named)


def cut(handler: _Handler, request: dict[str, Any]) -> None:
    """Promises more than it sends, and hangs up."""
    body = json.dumps(completion()).encode()
    handler.head(200, len(body))
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def hang_up(handler: _Handler, request: dict[str, Any]) -> None:
    """Closes the connection without a word."""
    handler.close_connection = True


def late(seconds: float) -> Behaviour:
    def behave(handler: _Handler, request: dict[str, Any]) -> None:
        time.sleep(seconds)
        handler.send(200, json.dumps(completion()).encode())

    return behave


def drip(handler: _Handler, request: dict[str, Any]) -> None:
    """A byte now and then, never silent for long."""
    body = json.dumps(completion()).encode()
    handler.head(200, len(body))
    for place in range(len(body)):
        handler.wfile.write(body[place : place + 1])
        handler.wfile.flush()
        time.sleep(0.05)


def endless(handler: _Handler, request: dict[str, Any]) -> None:
    handler.head(200, 10**12)
    while True:
        handler.wfile.write(b" " * 65536)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatApi

    def do_POST(self) -> None:
        with self.server.lock:
            self.server.open += 1
            self.server.most = max(self.server.most, self.server.open)
            number = len(self.server.requests)
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.requests.append(
                (time.monotonic(), self.path, {name.title(): value for name, value in self.headers.items()}, request)
            )
        script = self.server.script
        behaviour = script[number] if number < len(script) else self.server.default
        try:
            behaviour(self, request)
        except OSError:
            self.close_connection = True  # the client had enough
        finally:
            with self.server.lock:
                self.server.open -= 1

    def head(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.head(status, len(body), headers)
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class ChatApi(ThreadingHTTPServer):
    """Request k meets `script[k]`, later ones `default`; `requests` holds (time, path, headers, body) of each."""

    daemon_threads = True
    # Otherwise leaving waits for answers that a test gave up on.
    block_on_close = False

    def __init__(self, script: list[Behaviour], default: Behaviour):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.default = script, default
        self.requests: list[tuple[float, str, dict[str, str], dict[str, Any]]] = []
        self.lock = threading.Lock()
        self.open = self.most = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(*script: Behaviour, default: Behaviour | None = None) -> Iterator[ChatApi]:
    server = ChatApi(list(script), default or says())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def texts(request: dict[str, Any]) -> str:
    """All words of a request."""
    content = request["messages"][1]["content"]
    return "\n".join([request["messages"][0]["content"], *(part["text"] for part in content if "text" in part)])
