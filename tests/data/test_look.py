"""The page of thoughts: which clips, every claim with its verdict, texts that stay texts, refusals."""

import re

import numpy as np
import pytest
from html_reader import Reader

from bodies import standing, swing_arm, travel
from datasets_scripts.locks import locked_output
from datasets_scripts.schema import Caption, Clip, write_dataset
from datasets_scripts.thoughts import look
from datasets_scripts.thoughts.look import ShownCaption, check_thoughts, choose_clips, mark_claims, page_of
from datasets_scripts.thoughts.records import ThoughtRecord, write_records
from datasets_scripts.verify.verification import Claim
from modeling_unimo import joints_to_features

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"q\" 'q' <!-- \u202e\u2028 走 😀 </think>"
FORWARD = "The person moves forward."
BACKWARD = "The person walks backward."


def walking(frames: int = 60) -> np.ndarray:
    return travel(standing(frames), np.linspace(0.0, 3.0, frames))


def clip(name: str, thought: str, text: str = "a person walks", frames: int = 60) -> Clip:
    features = joints_to_features(walking(frames + 1)).astype(np.float32)
    return Clip(name, features, [Caption(text, thought=thought)], "test", "made")


@pytest.fixture
def data(tmp_path):
    write_dataset(
        iter([clip("good", FORWARD), clip("bad", BACKWARD), clip("none", ""), clip("nasty", NASTY, NASTY)]),
        tmp_path / "data",
    )
    return tmp_path / "data"


def run(*arguments: object) -> int:
    return look.main([str(argument) for argument in arguments])


def test_claims_are_ticked_and_struck(data, tmp_path, capsys):
    assert run("--dataset", data, "--split", "test", "--output", tmp_path / "look.html") == 0
    text = (tmp_path / "look.html").read_text(encoding="utf-8")
    page = Reader(text).check()
    kinds = [item.get("class") for item in page.tags("li")]
    assert kinds.count("holds") >= 2 and kinds.count("contradicted") >= 2  # one of each in the legend
    assert re.search(r'<mark class="contradicted"[^>]*>[^<]*backward', text)
    assert re.search(r'<mark class="holds"[^>]*>[^<]*forward', text)
    assert "No thought." in page.texts and "origin not recorded" in page.texts
    assert len(page.tags("canvas")) == 4 and "4 clips, " in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["look.html"]


def test_texts_stay_texts_and_nothing_is_fetched(data):
    page = page_of(choose_clips(data, "test"), ("player", "sheet"))
    html = Reader(page).check()
    assert "alert" not in "".join(text for attributes, text in html.scripts if "type" not in attributes)
    assert all(image["src"].startswith("data:image/png;base64,") for image in html.tags("img"))
    assert len(html.tags("img")) == 4
    assert not re.search(r"https?://|@import|\burl\(|\bfetch\(|<link", page)
    shown = "".join(html.texts)
    assert "走 😀 </think>" in shown and "\u202e" not in page


def test_the_seed_chooses_the_clips(tmp_path):
    write_dataset(iter([clip(f"c{i}", FORWARD, frames=20 + i) for i in range(9)]), tmp_path / "data")
    chosen = [[c.id for c in choose_clips(tmp_path / "data", "test", 4, seed).clips] for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2] and len(set(chosen[0])) == 4
    first, second = (page_of(choose_clips(tmp_path / "data", "test", 3, 5)) for _ in range(2))
    assert first == second
    assert len(choose_clips(tmp_path / "data", "test", 50).clips) == 9


def test_clips_that_cannot_be_shown_are_named_and_replaced(tmp_path, capsys):
    far = clip("far", FORWARD)
    far.features[:, 1] = 1e7
    write_dataset(iter([far, clip("near", FORWARD)]), tmp_path / "data")
    page = choose_clips(tmp_path / "data", "test", 2)
    assert [c.id for c in page.clips] == ["near"] and [s.id for s in page.skipped] == ["far"]
    assert "far: cannot be drawn" in "".join(Reader(page_of(page)).texts)
    write_dataset(iter([far]), tmp_path / "data")
    assert run("--dataset", tmp_path / "data", "--split", "test", "--output", tmp_path / "x.html") == 2
    assert "no clip in test that can be shown (far" in capsys.readouterr().err


def test_a_clip_without_a_body_does_not_end_the_page(tmp_path, capsys):
    """All joints in one place: finite, and drawable, but with no height that anything could be measured against."""
    flat = clip("flat", FORWARD)
    flat.features[:] = 0.0
    write_dataset(iter([flat, clip("near", FORWARD)]), tmp_path / "data")
    page = choose_clips(tmp_path / "data", "test", 2)
    assert [c.id for c in page.clips] == ["near"]
    assert [(s.id, s.reason) for s in page.skipped] == [("flat", "cannot be measured")]
    assert run("--dataset", tmp_path / "data", "--split", "test", "--output", tmp_path / "x.html") == 0
    assert "1 clips could not be shown" in capsys.readouterr().out


@pytest.mark.parametrize("part", [(np.nan, 2.0), (0.0, np.nan), (0.5, np.inf), (1e308, 2.0)])
def test_a_part_that_is_no_time_is_not_checked(part):
    captions = [ShownCaption("a", FORWARD, *part), ShownCaption("b", FORWARD)]
    odd, whole = check_thoughts(captions, walking(), 20.0)
    assert odd.verification is None and whole.verification.claims


def test_captions_with_one_thought_show_it_once(tmp_path):
    both = clip("one", FORWARD)
    both.captions.append(Caption("someone strolls", thought=FORWARD))
    both.captions.append(Caption("a third", thought=BACKWARD))
    write_dataset(iter([both]), tmp_path / "data")
    page = Reader(page_of(choose_clips(tmp_path / "data", "test"))).check()
    assert len(page.tags("article")) == 2
    assert {"a person walks", "someone strolls", "a third"} <= set(page.texts)


def test_provenance_is_shown_where_the_dataset_has_it(data):
    record = ThoughtRecord(
        "test", "good", 0, "0" * 64, annotator="vlm", model="Some-VL", views="front", prompt="ab" * 9
    )
    refused = ThoughtRecord("test", "none", 0, "0" * 64, annotator="vlm", refused="a refusal <b>")
    write_records([record, refused], data / "thoughts.parquet")
    shown = "".join(Reader(page_of(choose_clips(data, "test"))).texts)
    assert "vlm · Some-VL · front · prompt abababababab" in shown and "No thought: a refusal <b>." in shown


def test_a_part_is_checked_on_its_part():
    still_then_raised = swing_arm(standing(80), "left", np.concatenate([np.zeros(40), np.full(40, 170.0)]))
    text = "The person raises the left hand."
    captions = [
        ShownCaption("a", text, 0.0, 1.5),
        ShownCaption("b", text),
        ShownCaption("c", text, 3.99, 4.0),
        ShownCaption("d", " "),
    ]
    early, whole, tiny, empty = check_thoughts(captions, still_then_raised, 20.0)
    assert early.verification.contradicted and not whole.verification.contradicted
    assert tiny.verification is None and empty.verification is None


def claim(start: int, stop: int, verdict: str) -> Claim:
    return Claim("side", "x", start, stop, "left", "right", verdict)


def test_overlapping_claims_show_the_worst():
    text = "<left hand>"
    assert mark_claims(text, []) == [(text, "")]
    marked = mark_claims(text, [claim(0, 11, "undecided"), claim(1, 10, "holds"), claim(6, 10, "contradicted")])
    assert marked == [("<", "undecided"), ("left ", "holds"), ("hand", "contradicted"), (">", "undecided")]
    assert mark_claims(text, [claim(-5, 99, "holds")]) == [(text, "holds")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "nowhere"], "no such dataset folder"),
        (["--split", "train"], "no split 'train'"),
        (["--number", "0"], ">= 1, got 0"),
        (["--output", "no/such/folder/x.html"], "existing folder"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments, message, data, tmp_path, capsys):
    base = ["--dataset", data, "--split", "test", "--output", tmp_path / "x.html"]
    assert run(*base, *arguments) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "x.html").exists()


def test_a_page_that_another_process_writes_is_refused(data, tmp_path, capsys):
    with locked_output(tmp_path / "x.html"):
        assert run("--dataset", data, "--split", "test", "--output", tmp_path / "x.html") == 2
    assert f"another process works in {tmp_path / 'x.html'}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_unknown_way_to_show_is_refused(data):
    for shows in ((), ("film",)):
        with pytest.raises(ValueError, match="player or sheet"):
            page_of(choose_clips(data, "test", 1), shows)
