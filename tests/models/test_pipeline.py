"""The pipelines: built by name, one request or many, the model's own answers."""

import numpy as np
import pytest
from tiny_unimo import tiny_unimo
from transformers import pipeline

TEXTS = ["a person walks", "x", "a person waves with the left hand"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model, processor = tiny_unimo()
    path = tmp_path_factory.mktemp("unimo")
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return path


def test_text_to_motion(folder):
    model, processor = tiny_unimo()
    pipe = pipeline("text-to-motion", model=model, processor=processor, device="cpu")
    one = pipe("a person walks", seed=0, duration=1)
    assert one.text == "a person walks" and one.joints.shape == (20, 22, 3)
    several = pipe(TEXTS, seed=0, batch_size=2)
    expected = model.generate_motion(TEXTS, processor, seed=0, batch_size=2)
    assert [motion.codes for motion in several] == [motion.codes for motion in expected]
    assert len(pipe("a person walks", num_samples=3)) == 3
    with pytest.warns(UserWarning, match="own reading"):  # random weights read nothing
        model._read_tasks.clear()
        best = pipe("a person walks", candidates=3, seed=0)
    assert best.score == model.generate_motion("a person walks", processor, candidates=3, seed=0)[0].score
    with pytest.raises(ValueError, match="not be blank"):
        pipe(" ")
    with pytest.raises(ValueError, match="0.2 to 9.8"):
        pipe("a person walks", duration=1000)


def test_motion_to_text(folder, tmp_path):
    model, processor = tiny_unimo()
    motions = [motion.features for motion in model.generate_motion(TEXTS, processor, seed=0)]
    pipe = pipeline("motion-to-text", model=model, processor=processor, device="cpu")
    expected = model.describe_motion(motions, processor, seed=0)
    assert pipe(motions, seed=0) == expected
    model._read_tasks.add("m2t")
    assert all(np.isfinite(description.score) for description in pipe(motions, candidates=2, seed=0))
    np.save(tmp_path / "motion.npy", motions[0])
    assert pipe(str(tmp_path / "motion.npy"), seed=0) == pipe(motions[0], seed=0) == pipe([motions[0]], seed=0)[0]
    with pytest.raises(FileNotFoundError):
        pipe(str(tmp_path / "none.npy"))


@pytest.mark.parametrize("task", ["text-to-motion", "motion-to-text"])
def test_built_from_a_folder(folder, task):
    pipe = pipeline(task, model=str(folder), trust_remote_code=True, device="cpu", temperature=1.5)
    result = pipe("a person walks" if task == "text-to-motion" else np.zeros((8, 263), np.float32), seed=0)
    assert result.thought


def test_another_model_is_refused(folder):
    model, processor = tiny_unimo()
    with pytest.raises(ValueError, match="of type 'qwen2'; give a UniMo model"):
        pipeline("text-to-motion", model=model.language_model, processor=processor, device="cpu")


def test_settings_given_when_built_hold_for_every_call(folder):
    model, processor = tiny_unimo()
    pipe = pipeline("text-to-motion", model=model, processor=processor, device="cpu", duration=0.4, seed=0)
    assert len(pipe("a person walks").codes) == 2
    assert len(pipe("a person walks", duration=1).codes) == 5
