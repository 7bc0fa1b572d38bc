"""The benchmark of streams: what is measured, and for which ways of answering."""

import json

import pytest
from tiny_unimo import tiny_unimo

from benchmarks import streaming


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream") / "unimo"
    for part in tiny_unimo():
        part.save_pretrained(folder)
    return folder


def test_frames_and_times_of_a_stream():
    model, processor = tiny_unimo()
    texts = ["a person walks", "a person waves"]
    streamed = streaming.stream(model, processor, texts, 3, think=processor.thoughts)
    for seed, (text, one) in enumerate(zip(texts, streamed, strict=True), 3):
        motion = model.generate_motion([text], processor, seed=seed)[0]
        assert one.frames == len(motion.joints) and 0 < one.first <= one.last


def test_the_table_has_a_row_for_each_way_the_model_was_taught(folder, tmp_path, capsys):
    output = tmp_path / "streaming.json"
    streaming.main(["--model", str(folder), "--requests", "2", "--repeats", "1", "--output", str(output)])
    content = json.loads(output.read_text())
    assert [row[0] for row in content["rows"]] == ["with a thought"] * 2
    assert content["rows"][0][1] == "as long as the model decides" and content["rows"][1][1].endswith(" s")
    assert all(len(row) == len(content["columns"]) for row in content["rows"])
    assert "slowest of 2 at once" in capsys.readouterr().out


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="nowhere"):
        streaming.main(["--model", str(tmp_path / "nowhere")])
