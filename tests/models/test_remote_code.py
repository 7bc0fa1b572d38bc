"""A saved folder is enough: it loads and answers, bit for bit, where the package cannot be imported."""

import os
import shutil
import subprocess
import sys
import sysconfig
from functools import partial

import numpy as np
import pytest
from fresh_process import run_fresh
from tiny_unimo import feature_extractor, plain_processor, tiny_lm, tiny_unimo, tiny_vqvae
from transformers import AutoModel

from modeling_unimo import TextMotionEvaluatorConfig, TextMotionEvaluatorModel


@pytest.fixture
def fresh(tmp_path):
    """`run_fresh` in a folder of the test's own."""
    return partial(run_fresh, cwd=tmp_path)


def test_unimo_folder(fresh, tmp_path):
    model, processor = tiny_unimo()
    folder = tmp_path / "unimo"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    motions = model.generate_motion(["a person walks", "\U0001f600 <think>"], processor, seed=0)
    described = model.describe_motion([motion.features for motion in motions], processor, seed=0)
    result = fresh(
        folder,
        """
model, processor = AutoModel.from_pretrained(folder, **trust), AutoProcessor.from_pretrained(folder, **trust)
motions = model.generate_motion(["a person walks", "\\U0001f600 <think>"], processor, seed=0)
described = model.describe_motion([m.features for m in motions], processor, seed=0)
motions[0].save("motion.bvh"); motions[0].save("motion.html"); motions[0].save("motion.npy")
tokenizer = AutoTokenizer.from_pretrained(folder, **trust)
write = pipeline("text-to-motion", model=folder, **trust)("a person walks", seed=0)
read = pipeline("motion-to-text", model=folder, **trust)("motion.npy", seed=0)
model.save_pretrained("again"); processor.save_pretrained("again")
print(json.dumps({
    "codes": [m.codes for m in motions], "thoughts": [m.thought for m in motions],
    "features": [m.features.tolist() for m in motions], "joints": motions[0].joints.tolist(),
    "captions": [d.caption for d in described], "pipeline": [bool(write.codes), bool(read.caption)],
    "tokens": tokenizer("<Motion_3>")["input_ids"], "classes": [type(x).__module__ for x in (model, tokenizer)],
    "html": motions[0]._repr_html_()[:1],
}))
""",
    )
    assert result["codes"] == [motion.codes for motion in motions]
    assert result["thoughts"] == [motion.thought for motion in motions]
    for ours, theirs in zip(motions, result["features"], strict=True):
        assert np.array_equal(ours.features, np.array(theirs, np.float32))
    assert np.array_equal(motions[0].joints, np.array(result["joints"], np.float32))
    assert result["captions"] == [item.caption for item in described]
    assert result["pipeline"] == [True, True]
    assert result["tokens"] == [processor.vocabulary.codes[3]]
    assert all(module.startswith("transformers_modules.") for module in result["classes"])
    assert result["html"] == "<"
    # What a process without the package saved again is as complete.
    again = AutoModel.from_pretrained(tmp_path / "again")
    texts = ["a person walks", "\U0001f600 <think>"]
    assert again.generate_motion(texts, processor, seed=0)[1].codes == motions[1].codes
    saved, resaved = ({path.name for path in where.iterdir()} for where in (folder, tmp_path / "again"))
    assert resaved == saved


@pytest.mark.slow
def test_folders_of_every_other_stage(fresh, tmp_path):
    processor, vqvae, extractor = plain_processor("qwen"), tiny_vqvae(), feature_extractor()
    tiny_lm(processor.tokenizer).save_pretrained(tmp_path / "sft")
    processor.save_pretrained(tmp_path / "sft")
    vqvae.save_pretrained(tmp_path / "vqvae")
    extractor.save_pretrained(tmp_path / "vqvae")
    sizes = ("movement_hidden_size", "movement_latent_size", "text_hidden_size", "motion_hidden_size")
    config = TextMotionEvaluatorConfig(**dict.fromkeys(sizes, 8), embedding_size=6, word_embedding_size=5)
    judge = TextMotionEvaluatorModel(config).eval()
    judge.set_statistics(np.zeros(263), np.ones(263))
    judge.save_pretrained(tmp_path / "evaluator")
    motion = np.random.default_rng(0).normal(size=(21, 263)).astype(np.float32)
    result = fresh(
        tmp_path,
        """
# What training writes: the base's own classes, without remote code, and our processor beside them.
model = AutoModelForCausalLM.from_pretrained(folder + "/sft")
tokenizer = AutoTokenizer.from_pretrained(folder + "/sft")
processor = AutoProcessor.from_pretrained(folder + "/sft", **trust)
classes = [type(x).__module__.split(".")[0] for x in (model, tokenizer, processor)]
motion = np.random.default_rng(0).normal(size=(21, 263)).astype(np.float32)
vqvae = AutoModel.from_pretrained(folder + "/vqvae", **trust)
extractor = AutoFeatureExtractor.from_pretrained(folder + "/vqvae", **trust)
judge = AutoModel.from_pretrained(folder + "/evaluator", **trust)
print(json.dumps({
    "classes": classes,
    "config": type(AutoConfig.from_pretrained(folder + "/evaluator", **trust)).__name__,
    "prompt": processor.prompt("t2m", "a person <think> walks"),
    "codes": vqvae.encode(**extractor(motion)).codes.tolist(),
    "embedding": judge.get_motion_features([motion]).tolist(),
}))
""",
    )
    assert result["classes"] == ["transformers", "transformers", "transformers_modules"]
    assert result["config"] == "TextMotionEvaluatorConfig"
    assert result["prompt"] == processor.prompt("t2m", "a person <think> walks")
    assert result["codes"] == vqvae.encode(**extractor(motion)).codes.tolist()
    assert np.array_equal(np.array(result["embedding"], np.float32), judge.get_motion_features([motion]).numpy())


@pytest.mark.slow
def test_acceptance_script(shared_dir, tmp_path):
    """The script the project is accepted with, as it is run."""
    model, processor = tiny_unimo()
    model.save_pretrained(tmp_path / "unimo")
    processor.save_pretrained(tmp_path / "unimo")
    script = shared_dir / "acceptance" / "remote_code.py"
    if not script.is_file():
        pytest.skip("no acceptance script beside the reference material")
    shutil.copy(script, tmp_path)
    libraries = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    source = f"import runpy, sys; sys.path += {libraries!r}; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source, "remote_code.py", str(tmp_path / "unimo")],
        cwd=tmp_path,
        env={**os.environ, "HF_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "loads and answers" in done.stdout
