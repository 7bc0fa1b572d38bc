"""The client against a real server on loopback: what it sends, what it forgives, what it tells nobody."""

import base64
import email.utils
import json
import threading
import time
from dataclasses import asdict

import numpy as np
import pytest
from chat_server import (
    GOOD,
    KEY,
    answers,
    completion,
    cut,
    drip,
    endless,
    fails,
    hang_up,
    late,
    says,
    serving,
    texts,
)
from waiting import wait_until

from datasets_scripts.thoughts.annotate import vlm_server
from datasets_scripts.thoughts.annotate.vlm_prompt import Film, ModelUnusable, NoReply, RequestRefused, make_prompt
from datasets_scripts.thoughts.annotate.vlm_server import ChatServer, Retries

FILM = Film(np.random.default_rng(0).integers(0, 255, (5, 28, 28, 3), dtype=np.uint8), 5.0, ("three-quarter",))
PROMPT = make_prompt(FILM, "a person waves")


@pytest.fixture(autouse=True)
def key(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def client(server, **settings) -> ChatServer:
    settings = {"timeout": 5.0, "retries": Retries(4, 0.01), **settings}
    return ChatServer(server.address, "tiny-vl", **settings)


def test_the_request_and_the_reply() -> None:
    with serving() as server:
        reply = client(server, seed=7).ask(PROMPT, FILM)
    assert (reply.text, reply.cut_off, reply.prompt_tokens, reply.completion_tokens) == (GOOD, False, 1000, 50)
    assert reply.requests == 1 and reply.details == {"finish_reason": "stop"}
    (_, path, headers, body), *more = server.requests
    assert not more and path == "/v1/chat/completions" and headers["Authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["temperature"], body["seed"], body["max_tokens"]) == ("tiny-vl", 0, 7, 400)
    content = body["messages"][1]["content"]
    pictures = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    assert len(pictures) == 5
    for url in pictures:
        assert base64.b64decode(url.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    # The frame rate in words, beside the pictures: a server takes several pictures for pictures, not for a film.
    assert [part["text"] for part in content if "text" in part][:5] == [f"{k / 5:.2f} s:" for k in range(5)]
    assert content[-1]["text"] == PROMPT.user and body["messages"][0]["content"] == PROMPT.system
    assert "5 pictures per second" in texts(body) and "a person waves" in texts(body)


def test_a_path_is_kept_and_a_missing_key_is_not_sent(monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with serving() as server:
        ChatServer(f"{server.address}/proxy/v1/", "m").ask(PROMPT, FILM)
        monkeypatch.setenv("MY_KEY", "other-key")
        ChatServer(server.address, "m", key_variable="MY_KEY").ask(PROMPT, FILM)
    assert [path for _, path, _, _ in server.requests] == ["/proxy/v1/chat/completions", "/v1/chat/completions"]
    assert "Authorization" not in server.requests[0][2]
    assert server.requests[1][2]["Authorization"] == "Bearer other-key"


def test_video_carries_its_frame_rate() -> None:
    av = pytest.importorskip("av")
    with serving() as server:
        client(server, send="video").ask(PROMPT, FILM)
    body = server.requests[0][3]
    part = next(part for part in body["messages"][1]["content"] if part["type"] == "video_url")
    import io

    with av.open(io.BytesIO(base64.b64decode(part["video_url"]["url"].split(",")[1]))) as file:
        stream = file.streams.video[0]
        assert float(stream.average_rate) == 5.0 and sum(1 for _ in file.decode(stream)) == 5
    assert body["mm_processor_kwargs"] == {"fps": 5.0, "do_sample_frames": False}
    assert body["media_io_kwargs"] == {"video": {"num_frames": -1}}


@pytest.mark.parametrize(
    "fault",
    [
        fails(429),
        fails(500),
        fails(502),
        fails(503),
        fails(408),
        cut,
        hang_up,
        late(1.0),
        answers(b"{not json"),
        answers(b""),
        answers(b"\xff\xfe"),
        answers(b"<html>busy</html>"),
        answers(b"[]"),
        answers(b"{}"),
        answers(b'{"choices": []}'),
        answers(b'{"choices": [{"message": null}]}'),
        answers(b'{"choices": [{"message": {"content": 7}}]}'),
        answers(b'{"choices": "x"}'),
        answers(b"[" * 100_000),
        answers(json.dumps({"error": {"message": "overloaded"}}).encode()),
    ],
)
def test_a_fault_that_passes_costs_one_more_request(fault) -> None:
    with serving(fault) as server:
        reply = client(server, timeout=0.5).ask(PROMPT, FILM)
    assert reply.text == GOOD and reply.requests == 2 and len(server.requests) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (fails(500), "server answers 500"),
        (fails(429), "server answers 429"),
        (cut, "connection failed"),
        (hang_up, "connection failed"),
        (drip, "no answer within the time limit"),
        (late(0.6), "no answer within the time limit"),
        (endless, "answer without end"),
        (answers(b"nonsense"), "answer is not JSON"),
        (answers(b"{}"), "answer is JSON of another form"),
    ],
)
def test_a_fault_that_stays_ends_with_its_reason_and_no_address(fault, reason, monkeypatch) -> None:
    monkeypatch.setattr(vlm_server, "_MAX_ANSWER_BYTES", 200_000)
    with serving(default=fault) as server, pytest.raises(NoReply) as caught:
        client(server, timeout=0.4, retries=Retries(2, 0.0)).ask(PROMPT, FILM)
    assert reason in str(caught.value) and len(server.requests) == 2
    assert "127.0.0.1" not in str(caught.value) and str(server.server_port) not in str(caught.value)
    # A traceback shows the whole chain.
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_nobody_there() -> None:
    with serving() as server:
        address = server.address
    with pytest.raises(NoReply, match="connection failed .ConnectionRefusedError.$"):
        ChatServer(address, "m", retries=Retries(2, 0.0)).ask(PROMPT, FILM)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (fails(401, "Incorrect API key provided: " + KEY), "set the environment variable OPENAI_API_KEY"),
        (fails(403), "refuses access"),
        (fails(404, "The model does not exist"), "no such model"),
        (fails(302, Location="http://elsewhere.example/v1"), "redirects"),
        (fails(307, Location="http://elsewhere.example/v1"), "redirects"),
    ],
)
def test_what_no_request_can_pass_is_not_tried_again(fault, reason) -> None:
    with serving(default=fault) as server, pytest.raises(ModelUnusable, match=reason) as caught:
        client(server).ask(PROMPT, FILM)
    assert len(server.requests) == 1 and KEY not in str(caught.value)


def test_a_refused_request_is_not_repeated_and_what_it_echoes_is_hidden() -> None:
    with serving() as server:
        echo = f"too many images from {server.address} with Bearer {KEY} at 127.0.0.1"
        server.default = fails(400, echo)
        with pytest.raises(RequestRefused) as caught:
            client(server).ask(PROMPT, FILM)
        server.default = says(f"{GOOD} {KEY} {server.address}/v1")
        reply = client(server).ask(PROMPT, FILM)
    message = str(caught.value)
    assert "400" in message and "too many images" in message
    for secret in (KEY, "127.0.0.1", str(server.server_port)):
        assert secret not in message and secret not in reply.text
    assert len(server.requests) == 2


@pytest.mark.parametrize(("status", "this_one"), [(400, True), (413, True), (422, True), (451, True), (418, False)])
def test_which_statuses_are_of_this_request_alone(status, this_one) -> None:
    with serving(default=fails(status)) as server, pytest.raises(NoReply) as caught:
        client(server).ask(PROMPT, FILM)
    assert isinstance(caught.value, RequestRefused) == this_one and len(server.requests) == 1


def test_retry_after_in_seconds_and_as_a_date() -> None:
    date = email.utils.formatdate(time.time() + 2, usegmt=True)
    with serving(
        fails(429, Retry_After="0.3"), fails(503, Retry_After=date), fails(429, Retry_After="soon")
    ) as server:
        client(server).ask(PROMPT, FILM)
    times = [when for when, *_ in server.requests]
    pauses = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert 0.29 < pauses[0] < 0.9 and 0.5 < pauses[1] < 2.6 and pauses[2] < 0.5


def test_a_pause_that_a_server_asks_for_holds_for_all_threads() -> None:
    with serving(fails(429, Retry_After="0.5")) as server:
        shared = client(server)
        first = threading.Thread(target=shared.ask, args=(PROMPT, FILM), daemon=True)
        first.start()
        wait_until(lambda: server.requests, "a request", every=0.005)
        time.sleep(0.1)
        shared.ask(PROMPT, FILM)
        first.join(60)
    times = [when for when, *_ in server.requests]
    assert len(times) == 3 and times[1] - times[0] > 0.45


def test_a_pause_of_hours_is_not_waited_for() -> None:
    started = time.monotonic()
    with serving(default=fails(429, Retry_After="7200")) as server, pytest.raises(NoReply, match="wait 7200 s"):
        client(server).ask(PROMPT, FILM)
    assert time.monotonic() - started < 2 and len(server.requests) == 1


def test_pauses_grow_with_jitter_and_have_a_bound() -> None:
    retries = Retries(10, 1.0)
    for attempt in range(1, 12):
        pauses = {retries.pause(attempt) for _ in range(50)}
        full = min(60.0, 2.0 ** (attempt - 1))
        assert len(pauses) > 10 and 0.5 * full <= min(pauses) and max(pauses) <= full


def test_stop_ends_a_pause() -> None:
    with serving(default=fails(500)) as server:
        waiting = client(server, retries=Retries(3, 60.0))
        caught: list[BaseException] = []

        def ask() -> None:
            try:
                waiting.ask(PROMPT, FILM)
            except NoReply as error:
                caught.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        wait_until(lambda: server.requests, "a request")
        waiting.stop()
        thread.join(5)
        assert not thread.is_alive() and str(caught[0]) == "stopped"


@pytest.mark.parametrize(
    ("body", "text", "tokens"),
    [
        (completion(usage=False), GOOD, None),
        (completion() | {"usage": None}, GOOD, None),
        (completion() | {"usage": {"prompt_tokens": "many"}}, GOOD, None),
        (completion([{"type": "text", "text": GOOD[:9]}, {"type": "text", "text": GOOD[9:]}]), GOOD, 1000),
        (completion(None), "", 1000),
        (completion(None, refusal="I'm sorry, no."), "I'm sorry, no.", 1000),
        (completion([{"type": "refusal", "refusal": "No."}]), "No.", 1000),
        (completion("", finish="content_filter"), "", 1000),
    ],
)
def test_forms_that_an_answer_may_have(body, text, tokens) -> None:
    with serving(answers(json.dumps(body).encode())) as server:
        reply = client(server).ask(PROMPT, FILM)
    assert (reply.text, reply.prompt_tokens) == (text, tokens)


def test_an_answer_at_its_length_limit_is_told() -> None:
    with serving(says(GOOD, finish="length")) as server:
        assert client(server).ask(PROMPT, FILM).cut_off


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (completion(GOOD), False),
        (completion(GOOD, refusal=None), False),
        (completion(GOOD, refusal=""), False),
        (completion(GOOD, finish="length"), False),
        (completion(None, refusal="The body of a person is not described here, the arms neither."), True),
        (completion(GOOD, refusal="no"), True),
        (completion([{"type": "text", "text": GOOD}, {"type": "refusal", "refusal": "no"}]), True),
        (completion(GOOD, finish="content_filter"), True),
        (completion("", finish="content_filter"), True),
    ],
)
def test_what_the_server_calls_a_refusal(body, refused) -> None:
    with serving(answers(json.dumps(body).encode())) as server:
        reply = client(server).ask(PROMPT, FILM)
    assert reply.refused == refused
    if refused and body["choices"][0]["message"].get("refusal"):
        assert reply.details["refusal"] == body["choices"][0]["message"]["refusal"][:80]


@pytest.mark.parametrize("padding", [0, 30, 70, 195])
def test_a_server_that_echoes_the_key_in_every_string_has_it_nowhere_kept(padding) -> None:
    echo = "x" * padding + KEY + "y" * 300

    def echoed(value):
        if isinstance(value, dict):
            return {name: echoed(inner) for name, inner in value.items()}
        return [echoed(inner) for inner in value] if isinstance(value, list) else echo

    body = echoed(completion(GOOD, refusal="x") | {"system_fingerprint": "x", "model": "x"})
    error = json.dumps({"error": {"message": echo, "type": echo, "code": echo}}).encode()
    with serving(answers(json.dumps(body).encode()), answers(error, 422), answers(echo.encode(), 418)) as server:
        shared = client(server)
        kept = json.dumps(asdict(shared.ask(PROMPT, FILM)))
        for _ in range(2):
            with pytest.raises(NoReply) as caught:
                shared.ask(PROMPT, FILM)
            kept += str(caught.value)
    # Nor a part of it, as cutting before looking would leave.
    assert "sk-l" not in kept and "finish_reason" in kept and "system_fingerprint" in kept


def test_a_host_named_like_a_word_stays_a_word_in_answers_and_a_secret_in_errors(monkeypatch) -> None:
    """The name of the host, without a dot or digit, must not be cut out of a description."""
    spoken = f"The body leans. {GOOD}"
    said = iter([completion(spoken), completion(f"{spoken} body:8000 http://body:8000/v1 {KEY}")])
    shared = ChatServer("http://body:8000/v1", "m")
    monkeypatch.setattr(shared, "_post", lambda request: json.dumps(next(said)).encode())
    assert shared.ask(PROMPT, FILM).text == spoken
    assert shared.ask(PROMPT, FILM).text == f"{spoken} [...] [...] [...]"
    assert str(shared._fault(400, {}, b"body refuses")).endswith(": [...] refuses")


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8000",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://host:99999999",
        "http://user:password@host",
        "http://host/v1?key=secret",
        "",
        "http://[",
    ],
)
def test_other_addresses_are_refused_without_being_repeated(address) -> None:
    with pytest.raises(ValueError) as caught:
        ChatServer(address, "m")
    assert not address or address.strip("htp:/") == "" or address not in str(caught.value)
    assert "password@" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["my key", "two\nlines", "ключ"])
def test_a_key_that_is_none_is_refused_without_being_repeated(monkeypatch, value) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(ValueError, match="OPENAI_API_KEY") as caught:
        ChatServer("http://host", "m")
    assert value not in str(caught.value)


def test_neither_key_nor_address_in_the_representation() -> None:
    shown = repr(ChatServer("http://host.example:1234", "m"))
    assert KEY not in shown and "host.example" not in shown and "1234" not in shown


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="images, video"):
        ChatServer("http://host", "m", send="fax")
    for retries in ((0, 1.0), (1, -1.0), (1, float("nan"))):
        with pytest.raises(ValueError, match="attempts"):
            Retries(*retries)
