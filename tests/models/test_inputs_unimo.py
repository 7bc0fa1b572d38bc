"""What callers hand in: texts, motions and numbers of every usual form, or one sentence on what is expected."""

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from motions import moving_body
from tiny_unimo import tiny_unimo
from transformers import AutoModel
from transformers.pipelines.pt_utils import KeyDataset

from modeling_unimo.inputs_unimo import as_features, as_int, as_motions, as_number, as_texts
from modeling_unimo.motion_representation import joints_to_features

JOINTS = moving_body(0, 21).astype(np.float32)
FEATURES = joints_to_features(JOINTS)
ROWS = Dataset.from_dict({"text": ["a", "b"]})


@pytest.mark.parametrize(
    "texts",
    [
        ["a", "b"],
        ("a", np.str_("b")),
        (text for text in "ab"),
        ROWS["text"],
        KeyDataset(ROWS, "text"),
        ROWS,
        pd.Series(["a", "b"]),
        np.array(["a", "b"]),
        [{"text": "a"}, "b"],
    ],
    ids=lambda texts: type(texts).__name__,
)
def test_texts_of_any_form(texts):
    assert as_texts(texts) == ["a", "b"]


def test_one_text():
    assert as_texts("a") == as_texts(np.str_("a")) == as_texts({"text": "a"}) == ["a"] and as_texts([]) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (None, "the text must be a string, got NoneType"),
        (["a", None], "text 1 must be a string, got NoneType"),
        (b"a", "must be a string, got bytes"),
        ([{"role": "user"}], "text 0 is a row with the keys .'role'."),
        (3, "expected a text or an iterable of them, got int"),
    ],
)
def test_what_is_no_text_is_named(texts, message):
    with pytest.raises(ValueError, match=message):
        as_texts(texts)


@pytest.mark.parametrize(
    "motion",
    [
        FEATURES,
        FEATURES.astype(np.float64),
        FEATURES.tolist(),
        FEATURES.astype(object),
        torch.tensor(FEATURES, requires_grad=True),
        {"id": "x", "motion": FEATURES},
        JOINTS,
        torch.tensor(JOINTS),
        JOINTS.tolist(),
        {"joints": JOINTS},
    ],
)
def test_one_motion_of_any_form(motion):
    [one], single = as_motions(motion)
    assert single
    np.testing.assert_allclose(as_features(one, 263), FEATURES, atol=1e-5)
    several, single = as_motions([motion, motion])
    assert not single and len(several) == 2


def test_lower_precision_batches_and_files(tmp_path):
    for lower in (FEATURES.astype(np.float16), torch.tensor(FEATURES).bfloat16()):
        features = as_features(lower, 263)
        assert features.dtype == np.float32 and np.allclose(features, FEATURES, atol=0.02)
    for batch in (FEATURES[None], torch.tensor(FEATURES)[None], JOINTS[None], (motion for motion in [FEATURES])):
        motions, single = as_motions(batch)
        assert not single and np.array_equal(as_features(motions[0], 263), FEATURES)
    np.save(tmp_path / "joints.npy", JOINTS)
    assert np.array_equal(as_features(tmp_path / "joints.npy", 263), FEATURES)


@pytest.mark.parametrize(
    ("motion", "message"),
    [
        (FEATURES[:, :100], r"frames, 263\) for features or \(frames, 22, 3\) for joints, got \(20, 100\)"),
        ({"text": "a"}, "row with the keys .'text'."),
        ([["a"]], "not an array of numbers"),
        (None, "got \\(\\)"),
    ],
)
def test_what_is_no_motion_is_named(motion, message):
    with pytest.raises(ValueError, match=message):
        as_features(motion, 263)


def test_numbers():
    assert as_int("n", np.uint32(3), 1) == as_int("n", torch.tensor(3), 1) == 3
    assert type(as_number(np.float32(0.5))) is type(as_number(torch.tensor(0.5))) is float
    for value, message in ((1.5, "an integer, got 1.5"), (True, "integer"), ("3", "integer"), (0, ">= 1, got 0")):
        with pytest.raises(ValueError, match=f"n must be {message}" if message[0] == ">" else message):
            as_int("n", value, 1)


def test_the_models_own_motions_and_numpy_settings():
    model, processor = tiny_unimo()
    settings = {"seed": np.int64(3), "num_samples": np.int64(1), "temperature": np.float32(1), "top_k": np.int64(9)}
    motion = model.generate_motion({"text": "a"}, processor, duration=np.float32(1.0), **settings)[0]
    assert motion.codes == model.generate_motion("a", processor, 1.0, seed=3, temperature=1.0, top_k=9)[0].codes
    described = model.describe_motion(motion.features, processor, seed=0)
    assert described == model.describe_motion([motion], processor, seed=0)
    assert described == model.describe_motion(motion, processor, seed=0)


@pytest.mark.parametrize("temperature", [0, 0.0, -1.0, float("nan"), float("inf"), "0.5"])
def test_a_temperature_that_cannot_be_sampled_with_is_rejected(temperature):
    model, processor = tiny_unimo()
    with pytest.raises(ValueError, match="temperature`?.* (has to|must) be"):
        model.generate_motion("a", processor, temperature=temperature)


def test_offloaded_models_are_rejected(tmp_path):
    model, processor = tiny_unimo()
    model.save_pretrained(tmp_path / "model")
    parts = {"language_model": "disk", "motion_vqvae": "cpu"}
    offloaded = AutoModel.from_pretrained(tmp_path / "model", device_map=parts, offload_folder=tmp_path / "off")
    with pytest.raises(ValueError, match="offloaded to the CPU or disk"):
        offloaded.generate_motion("a", processor)


LYING = JOINTS[..., [0, 2, 1]] * np.float32([1, -1, 1])  # X right, Z up


@pytest.mark.parametrize("kind", ["array", "path", "row"])
def test_joints_of_other_axes_are_told(tmp_path, kind):
    np.save(tmp_path / "z_up.npy", LYING)
    given = {"array": LYING, "path": tmp_path / "z_up.npy", "row": {"joints": LYING.tolist()}}[kind]
    with pytest.warns(UserWarning, match=r"the head is not above .*convert-motion") as told:
        as_features(given, 263, "motion 0")
    assert len(told) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1, 100])
def test_a_standing_body_of_any_unit_is_taken_as_it_is(scale):
    np.testing.assert_allclose(as_features(JOINTS * scale, 263), FEATURES, atol=1e-5)
