"""The HTTP interface, called as an application and over the loopback."""

import asyncio
import json
import socket
import threading

import httpx2 as httpx
import numpy as np
import pytest
import uvicorn
from html_reader import Reader
from tiny_unimo import tiny_unimo

from unimo.serving.api import create_app
from unimo.serving.engine import Engine

WAIT = 60.0


@pytest.fixture(scope="module")
def server():
    """Address of a running server, and its engine."""
    engine = Engine(*tiny_unimo(), most_waiting=128, most_together=16)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)  # who comes before the server has started waits
    config = uvicorn.Config(create_app(engine), log_level="error", timeout_graceful_shutdown=5)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", engine
    running.should_exit = True
    thread.join(WAIT)
    listening.close()
    assert not thread.is_alive()


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server[0], timeout=WAIT) as client:
        yield client


def events(lines):
    name = None
    for line in lines:
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])


def test_a_motion(client):
    model, processor = tiny_unimo()
    answer = client.post("/v1/motions", json={"text": "a person walks", "duration": 1.0, "seed": 3})
    assert answer.status_code == 200
    body = answer.json()
    alone = model.generate_motion(["a person walks"], processor, duration=1.0, seed=3)[0]
    np.testing.assert_allclose(body["joints"], alone.joints, atol=1e-4)
    assert body["thought"] == alone.thought and body["fps"] == 20 and body["unknown_words"] == []


def test_a_stream(client):
    model, processor = tiny_unimo()
    request = {"text": "a person walks", "duration": 3.0, "seed": 3, "stream": True}
    with client.stream("POST", "/v1/motions", json=request) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = list(events(answer.iter_lines()))
    alone = model.generate_motion(["a person walks"], processor, duration=3.0, seed=3)[0]
    assert told[0] == ("thought", {"text": alone.thought, "fps": 20})
    assert told[-1] == ("done", {"frames": 60, "seconds": 3.0})
    frames = [data for name, data in told if name == "frames"]
    assert len(frames) > 2
    joints = []
    for data in frames:
        assert data["start"] == len(joints)
        joints += data["joints"]
    np.testing.assert_allclose(joints, alone.joints, atol=1e-4)


def test_a_description(client):
    model, processor = tiny_unimo()
    motion = model.generate_motion(["a person walks"], processor, duration=1.0, seed=3)[0]
    expected = model.describe_motion([motion.features], processor, seed=5)[0]
    answer = client.post("/v1/descriptions", json={"motion": motion.features.tolist(), "seed": 5})
    assert answer.json() == {"thought": expected.thought, "caption": expected.caption}


def test_health_and_page(client):
    assert client.get("/health").json() == {"status": "ok", "waiting": 0, "active": 0}
    page = Reader(client.get("/").text)
    assert page.tags("form") and page.tags("canvas") and page.data()[0]["tracks"][0]["frames"] == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/motions", {"text": " "}, 400, "must not be blank"),
        ("/v1/motions", {}, 400, "text: Field required"),
        ("/v1/motions", {"text": "a" * 3000}, 400, "text: String should have at most 2000"),
        ("/v1/motions", {"text": "x", "duration": 20}, 400, "0.2 to 9.8 seconds, got 20"),
        ("/v1/motions", {"text": "x", "seed": -1}, 400, "seed:"),
        ("/v1/motions", {"text": "x", "temperature": 0}, 400, "temperature:"),
        ("/v1/motions", {"text": "x", "candidates": 1000}, 400, "candidates: Extra inputs"),
        ("/v1/motions", {"text": "x", "stream": True, "duration": -1}, 400, "0.2 to 9.8"),
        ("/v1/descriptions", {"motion": []}, 400, "motion"),
        ("/v1/descriptions", {"motion": [[0.0] * 251] * 8}, 400, "must have shape"),
        ("/v1/descriptions", {"motion": [[0.0] * 263] * 3}, 400, "at least 4"),
        ("/v1/descriptions", {"motion": [[0.0] * 263] * 197}, 400, "more than 196"),
        ("/v1/descriptions", {"motion": "walk.npy"}, 400, "motion"),
        ("/v1/nothing", {}, 404, "Not Found"),
    ],
)
def test_bad_requests_are_refused_in_one_sentence(client, path, body, status, message):
    answer = client.post(path, json=body)
    assert answer.status_code == status and list(answer.json()) == ["error"] and message in answer.json()["error"]


def test_large_requests_are_refused(client):
    answer = client.post("/v1/motions", content=b"x" * (10 * 2**20), headers={"content-type": "application/json"})
    assert answer.status_code == 413 and "10,485,760 bytes, the limit is 4,194,304" in answer.json()["error"]

    def slices():
        for _ in range(10):
            yield b" " * 2**20

    # Without a length in front it is counted as it comes.
    try:
        answer = client.post("/v1/motions", content=slices(), headers={"content-type": "application/json"})
        assert answer.status_code == 413 and "more than 4,194,304 bytes" in answer.json()["error"]
    except (httpx.WriteError, httpx.RemoteProtocolError):
        pass  # the server closed the connection before everything was sent
    assert client.get("/health").status_code == 200


def test_no_json_is_refused(client):
    answer = client.post("/v1/motions", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 400 and "JSON" in answer.json()["error"]


@pytest.mark.slow
def test_a_hundred_connections_at_once_and_clients_that_leave_or_dawdle(server):
    address, engine = server

    async def one(client: httpx.AsyncClient, seed: int) -> int:
        request = {"text": "x", "duration": 1.0, "seed": seed, "stream": True}
        async with client.stream("POST", "/v1/motions", json=request) as answer:
            lines = answer.aiter_lines()
            if seed % 10 == 0:
                await anext(lines)
                return 0  # leaves in the middle
            told = []
            async for line in lines:
                told.append(line)
                if seed % 10 == 1:
                    await asyncio.sleep(0.01)
            frames = [data for name, data in events(told) if name == "done"]
            return frames[0]["frames"]

    async def main() -> list[int]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=address, timeout=WAIT, limits=limits) as client:
            return await asyncio.gather(*(one(client, seed) for seed in range(100)))

    counts = asyncio.run(main())
    assert counts == [0 if seed % 10 == 0 else 20 for seed in range(100)]

    async def settled() -> None:
        while engine.counts() != {"waiting": 0, "active": 0}:
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(settled(), WAIT))


def test_as_many_as_may_wait_and_no_more():
    async def main() -> list[int]:
        engine = Engine(*tiny_unimo(), most_waiting=1, most_together=1)
        app = create_app(engine)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server", timeout=WAIT) as client:
            body = {"text": "a person walks", "duration": 9.8}
            answers = await asyncio.gather(*(client.post("/v1/motions", json=body) for _ in range(6)))
        await asyncio.to_thread(engine.close)
        assert all(a.headers["retry-after"] == "2" for a in answers if a.status_code == 503)
        return sorted(answer.status_code for answer in answers)

    codes = asyncio.run(main())
    assert codes[0] == 200 and codes[-1] == 503 and set(codes) == {200, 503}
