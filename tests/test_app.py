"""The app over HTTP, with a tiny model: what a visitor gets, and what a bad request is told."""

from pathlib import Path

import numpy as np
import pytest
from motion_files import bvh_text
from tiny_unimo import tiny_unimo

gradio = pytest.importorskip("gradio")

from unimo.app import MAX_TEXT, MotionApp, build_page, framed_player  # noqa: E402


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory):
    from gradio_client import Client

    folder = tmp_path_factory.mktemp("served")
    page = build_page(MotionApp(*tiny_unimo(), folder))
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, allowed_paths=[str(folder)], max_file_size="1mb")
    yield Client(address, verbose=False)
    page.close()


def test_a_text_becomes_motions_with_thoughts_and_files(client) -> None:
    view, thought = client.predict("a <b>person</b> walks", 1.0, 2, 3, 0, True, api_name="/generate")[:2]
    assert "sandbox=&quot;" not in view and 'sandbox="allow-scripts"' in view and "<b>person" not in view
    assert thought.startswith("1: ") and "2: " in thought and "skating ratio" in thought
    again = client.predict("a <b>person</b> walks", 1.0, 2, 3, 0, True, api_name="/generate")[1]
    assert again == thought
    paths = [Path(path) for path in client.predict([".npz", ".bvh"], api_name="/save")]
    assert sorted(path.name for path in paths) == ["motion1.bvh", "motion1.npz", "motion2.bvh", "motion2.npz"]
    with np.load(next(path for path in paths if path.name == "motion1.npz"), allow_pickle=False) as archive:
        assert archive["joints"].shape == (20, 22, 3)


def test_a_motion_file_becomes_a_thought_and_a_caption(client, tmp_path: Path) -> None:
    from gradio_client import handle_file

    (tmp_path / "walk.bvh").write_text(bvh_text(frames=90, fps=30, scale=100), encoding="utf-8")
    view, thought, caption = client.predict(handle_file(str(tmp_path / "walk.bvh")), 0, api_name="/describe")
    assert "iframe" in view and thought and caption


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (("", 1.0, 1, 1, 0, False, "/generate"), "the text must not be blank"),
        (("a" * (MAX_TEXT + 1), 1.0, 1, 1, 0, False, "/generate"), f"at most {MAX_TEXT} are taken"),
        (("a person walks", 1e9, 1, 1, 0, False, "/generate"), "9.8"),
        (([], "/save"), "choose at least one format|no motion yet"),
        ((None, 0, "/describe"), "choose a motion file: .npy"),
    ],
)
def test_bad_requests_are_told_in_words(client, request_: tuple, message: str) -> None:
    *values, name = request_
    with pytest.raises(Exception, match=message) as failure:
        client.predict(*values, api_name=name)
    assert "Traceback" not in str(failure.value)


def test_bad_files_are_told_in_words_without_paths(client, tmp_path: Path) -> None:
    from gradio_client import handle_file

    cases = {
        "script.bvh": (b"#!/bin/sh\nrm -rf /\n", "script.bvh: is not a BVH file"),
        "zeros.npy": (b"\0" * 100, "zeros.npy: cannot be read"),
        "tool.sh": (b"rm -rf /", "Invalid file type"),
        "huge.npy": (b"\0" * (2 << 20), "exceeded|413|size"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Exception, match=message) as failure:
            client.predict(handle_file(str(tmp_path / name)), 0, api_name="/describe")
        assert "/tmp" not in str(failure.value) or name in ("tool.sh", "huge.npy")


def test_the_player_cannot_leave_its_frame() -> None:
    label = '"></iframe><script>alert(1)</script>'
    frame = framed_player([np.zeros((2, 22, 3)) + np.arange(22)[:, None]], [label], 20)
    assert frame.count("<iframe") == 1 and frame.count("</iframe>") == 1 and "<script>" not in frame


def test_files_older_than_an_hour_are_removed(tmp_path: Path) -> None:
    import os

    app = MotionApp(None, None, tmp_path)  # type: ignore[arg-type]
    old, new = app._new_folder(), app._new_folder()
    os.utime(old, (0, 0))
    app._new_folder()
    assert not old.exists() and new.exists()
