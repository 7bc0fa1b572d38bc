"""The vision-language annotator: what it shows and asks, what it makes of the replies, its interface."""

import threading
import time

import numpy as np
import pytest
import tiny_data
from chat_server import GOOD, fails, late, says, serving, texts
from motions import moving_body

from datasets_scripts.thoughts.annotate.vlm_annotator import VlmAnnotator, joints_of, threaded
from datasets_scripts.thoughts.annotate.vlm_prompt import (
    Film,
    ModelUnusable,
    NoReply,
    Prompt,
    Reply,
    RequestRefused,
    make_prompt,
    prompt_hash,
)
from datasets_scripts.thoughts.annotate.vlm_server import ChatServer, Retries

MOTION = tiny_data.features(0)


class Scripted:
    """A model that says what it is told to; an exception in the script is raised."""

    model, kind = "scripted", "test"

    def __init__(self, *script: str | Exception):
        self.script, self.prompts, self.films = list(script), [], []

    def ask(self, prompt: Prompt, film: Film) -> Reply:
        self.prompts.append(prompt.user)
        self.films.append(film)
        said = self.script.pop(0) if self.script else GOOD
        if isinstance(said, Exception):
            raise said
        return Reply(said, prompt_tokens=10, completion_tokens=3)

    def stop(self) -> None:
        pass


def test_annotate_is_the_interface_of_the_kinematic_annotator() -> None:
    model = Scripted(GOOD, "", "I'm sorry, I can't.", GOOD)
    annotator = VlmAnnotator(model, concurrency=1)
    assert annotator.annotate([MOTION, MOTION, MOTION], ["a person waves", "", "x"]) == [GOOD, "", GOOD]
    assert annotator.annotate([joints_of(MOTION)]) == [GOOD]
    with pytest.raises(ValueError, match="one per motion, got 1 captions for 2 motions"):
        annotator.annotate([MOTION, MOTION], ["x"])
    with pytest.raises(ValueError, match="motion 1: expected features"):
        annotator.annotate([MOTION, MOTION[:, :251]])
    with pytest.raises(ValueError, match="motion 0: NaN"):
        annotator.annotate([MOTION * np.nan])


def test_a_film_shows_the_whole_motion_at_the_rate_it_says() -> None:
    annotator = VlmAnnotator(Scripted(), size=56)
    film = annotator.film(moving_body(frames=121))
    assert film.frames.shape == (31, 56, 56, 3) and film.frames.dtype == np.uint8 and film.fps == 5.0
    assert film.seconds == pytest.approx(6.0)
    assert len({frame.tobytes() for frame in film.frames}) > 25
    # A longer one at a lower rate, over all of it; a very long one not at all.
    film = VlmAnnotator(Scripted(), size=28, max_frames=20).film(moving_body(frames=161))
    assert len(film.frames) == 20 and film.seconds == pytest.approx(8.0, abs=0.1)
    with pytest.raises(ValueError, match="too long to be shown: 150 s in 64 frames"):
        annotator.film(np.repeat(moving_body(frames=30), 100, axis=0)[:3001])
    assert len(annotator.film(moving_body(frames=2)).frames) == 2
    for frames in (0, 1):
        with pytest.raises(ValueError, match=f"got {frames}"):
            annotator.film(moving_body(frames=30)[:frames])


def test_several_views_stand_side_by_side_and_the_prompt_names_them() -> None:
    annotator = VlmAnnotator(Scripted(), views=("front", "side", "top"), size=28)
    film = annotator.film(moving_body(frames=40))
    assert film.frames.shape[1:] == (28, 84, 3)
    assert "from 3 sides: front, side, top." in make_prompt(film).user
    assert "sides" not in make_prompt(Film(film.frames, 5.0, ("front",))).user


def test_the_prompt_gives_the_caption_as_context_without_what_could_steer_the_model() -> None:
    film = Film(np.zeros((11, 28, 28, 3), np.uint8), 5.0, ("front",))
    prompt = make_prompt(film, 'a man </think><Motion_3><|im_end|> "waves" \x07')
    assert "\"a man 'waves'\"" in prompt.user and "do not repeat its wording" in prompt.user
    for tag in ("</think>", "<Motion_3>", "<|im_end|>", "\x07"):
        assert tag not in prompt.user
    for blank in ("", " \n", "</think>"):
        assert "summed the movement up" not in make_prompt(film, blank).user
    assert "11 pictures" in prompt.user and "5 pictures per second" in prompt.user and "2.0 seconds" in prompt.user
    for word in ("order of time", "body parts", "which hand", "how many times", "nothing about pictures"):
        assert word in prompt.user
    assert "人が歩く" in make_prompt(film, "人が歩く").user


def test_the_prompt_hash_names_the_wording(monkeypatch) -> None:
    from datasets_scripts.thoughts.annotate import vlm_prompt

    before = prompt_hash()
    assert len(before) == 16 and before == prompt_hash()
    monkeypatch.setattr(vlm_prompt, "_TASK", vlm_prompt._TASK.replace("80", "81"))
    assert prompt_hash() != before


def test_an_answer_that_is_no_thought_is_asked_for_again_with_the_reason_and_then_refused() -> None:
    model = Scripted("The video shows " + GOOD, GOOD)
    annotator = VlmAnnotator(model, size=28)
    film = annotator.film(joints_of(MOTION))
    kept: list[tuple] = []
    outcome = annotator.outcome(film, "a person waves", 3, keep=lambda *entry: kept.append(entry))
    assert (outcome.thought, outcome.fault, outcome.asked) == (GOOD, "", 2)
    assert (outcome.prompt_tokens, outcome.completion_tokens) == (20, 6)
    assert "(speaks of pictures or colours)" in model.prompts[1] and "could not be used" not in model.prompts[0]
    assert [(index, ask) for index, ask, _ in kept] == [(3, 0), (3, 1)] and kept[0][2].text.startswith("The video")
    # What is known is not asked for again.
    outcome = annotator.outcome(film, "a person waves", 3, known={(3, 0): kept[0][2], (3, 1): kept[1][2]})
    assert (outcome.thought, outcome.asked, outcome.prompt_tokens) == (GOOD, 0, 20)
    model.script = ["<Motion_3>" * 3, "<Motion_4>" * 3]
    outcome = annotator.outcome(film, "a person waves")
    assert (outcome.thought, outcome.fault) == ("", "tags in the text")
    model.script = [NoReply("server answers 500")]
    outcome = annotator.outcome(film, "a person waves")
    assert (outcome.thought, outcome.fault, outcome.failure) == ("", "", "server answers 500")


def test_a_server_that_is_gone_ends_the_run() -> None:
    annotator = VlmAnnotator(Scripted(*[NoReply("connection failed")] * 100), size=28)
    film = annotator.film(joints_of(MOTION))
    with pytest.raises(ModelUnusable, match="12 requests in a row"):
        for _ in range(50):
            annotator.outcome(film, "x")
    # One reply in between begins the count anew.
    script = [NoReply("connection failed")] * 11 + [GOOD] + [NoReply("connection failed")] * 11
    annotator = VlmAnnotator(Scripted(*script), size=28)
    outcomes = [annotator.outcome(film, "x") for _ in range(23)]
    assert sum(bool(outcome.failure) for outcome in outcomes) == 22


def test_requests_that_a_living_server_refuses_do_not_end_the_run() -> None:
    script: list[Exception] = [RequestRefused("too long")] * 40
    annotator = VlmAnnotator(Scripted(*script), size=28)
    film = annotator.film(joints_of(MOTION))
    assert {annotator.outcome(film, "x").failure for _ in range(40)} == {"too long"}
    # A server that refuses something is there: the count begins anew.
    gone = NoReply("connection failed")
    annotator = VlmAnnotator(Scripted(*[gone] * 11, RequestRefused("too long"), *[gone] * 20), size=28)
    for _ in range(12 + 11):
        annotator.outcome(film, "x")
    with pytest.raises(ModelUnusable, match="12 requests in a row"):
        annotator.outcome(film, "x")


def test_a_reply_that_the_server_calls_a_refusal_is_no_thought() -> None:
    class Filtering(Scripted):
        def ask(self, prompt: Prompt, film: Film) -> Reply:
            super().ask(prompt, film)
            return Reply(GOOD, refused=True)

    annotator = VlmAnnotator(Filtering(), size=28)
    outcome = annotator.outcome(annotator.film(joints_of(MOTION)), "x")
    assert (outcome.thought, outcome.fault, outcome.asked) == ("", "refusal", 2)


def test_through_a_server_with_faults_each_caption_gets_its_own_answer() -> None:
    captions = [f"caption number {index}" for index in range(12)]
    with serving(fails(500), fails(429, Retry_After="0.1"), default=late(0.05)) as server:
        annotator = VlmAnnotator(
            ChatServer(server.address, "m", retries=Retries(4, 0.01)), size=28, concurrency=3, frame_rate=2.0
        )
        assert annotator.annotate([MOTION] * 12, captions) == [GOOD] * 12
    assert server.most <= 3 and len(server.requests) == 14
    asked = [texts(request) for *_, request in server.requests]
    for index in range(12):
        assert any(f'"caption number {index}"' in text for text in asked)


def test_answers_go_to_the_caption_they_were_asked_for(monkeypatch) -> None:
    """Also when later requests are answered first."""
    lines = [GOOD.replace("three", word) for word in ("two", "four", "five", "six")]

    def mirror(handler, request):
        number = next(k for k in range(4) if f"caption {k}" in texts(request))
        time.sleep(0.2 - 0.05 * number)
        says(lines[number])(handler, request)

    with serving(default=mirror) as server:
        annotator = VlmAnnotator(ChatServer(server.address, "m"), size=28, concurrency=4)
        assert annotator.annotate([MOTION] * 4, [f"caption {k}" for k in range(4)]) == lines


@pytest.mark.parametrize("settings", [{"frame_rate": 1.0}, {"max_frames": 1}, {"asks": 0}, {"concurrency": 0}])
def test_settings_out_of_range_are_refused(settings) -> None:
    with pytest.raises(ValueError, match="must be >="):
        VlmAnnotator(Scripted(), **settings)


def test_threaded_keeps_order_bounds_what_waits_and_stops_early() -> None:
    read = 0
    lock = threading.Lock()
    running = most = 0

    def items():
        nonlocal read
        for index in range(200):
            read += 1
            yield index

    def work(index: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1
        return index

    assert list(threaded(work, range(50), 4)) == list(range(50)) and most <= 4
    stopped: list[bool] = []
    results = threaded(work, items(), 2, lambda: stopped.append(True))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()
    assert read <= 3 + 16 and stopped == [True]

    def fail(index: int) -> int:
        raise ModelUnusable("gone")

    with pytest.raises(ModelUnusable):
        list(threaded(fail, range(100), 2, lambda: stopped.append(True)))
    assert stopped == [True, True]
