"""The benchmark of the app: a real app, two visitors, and the table."""

import json

import pytest
from tiny_unimo import tiny_unimo

pytest.importorskip("gradio", reason="the app needs Gradio")

from benchmarks import app_load  # noqa: E402


@pytest.mark.slow
def test_visitors_are_answered_and_counted(tmp_path, capsys):
    for part in tiny_unimo():
        part.save_pretrained(tmp_path / "unimo")
    output = tmp_path / "app.json"
    words = ["--model", str(tmp_path / "unimo"), "--visitors", "2", "--repeats", "1", "--output", str(output)]
    app_load.main(words)
    content = json.loads(output.read_text())
    assert [row[:2] for row in content["rows"]] == [
        ["one, at first", "1"],
        ["one, median of the next 1", "1"],
        ["2 at once, the slowest", "2"],
    ]
    assert all(float(row[2]) >= 0 for row in content["rows"]) and "2 at once" in capsys.readouterr().out


def test_an_app_that_does_not_start_is_told_with_its_words(tmp_path):
    with pytest.raises(SystemExit, match="(?s)does not start.*nowhere"):
        app_load.main(["--model", str(tmp_path / "nowhere")])
