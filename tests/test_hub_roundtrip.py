"""From a folder to the Hub and back, in a process that cannot import the package: the same answers, bit for bit."""

import json

import numpy as np
import pytest
import torch
from fresh_process import run_fresh
from hub_server import Client, Hub, client_environment
from tiny_data import dataset_folder, features
from tiny_unimo import feature_extractor, plain_processor, tiny_lm, tiny_unimo, tiny_vqvae
from transformers import AutoModel, AutoModelForCausalLM

from modeling_unimo import UniMoProcessor
from train.engine.cards import SETTINGS
from train.report.motion_strip import write_sample


@pytest.fixture(scope="module")
def hub():
    with Hub(multipart_above=400_000, part_size=150_000) as running:
        yield running


@pytest.fixture(scope="module")
def client(hub, tmp_path_factory):
    process = Client(hub.url, tmp_path_factory.mktemp("client"))
    yield process
    process.close()


def publish(client, folder, repo, *options):
    done = client.run("train.publish", "--run", str(folder), "--repo", repo, *options)
    assert done.returncode == 0, done.stderr


def fresh(hub, cwd, name, source):
    """What a process prints that knows of the repository by name and revision alone."""
    repo = hub.repo(name)
    pinned = f"trust['revision'] = {repo.branches['main']!r}\n"
    return run_fresh(repo.name, pinned + source, cwd, client_environment(hub.url, cwd / "cache"))


def test_unimo(hub, client, tmp_path):
    model, processor = tiny_unimo()
    for name, shard in {"sharded": "60KB", "unimo": "50GB"}.items():
        folder = tmp_path / name
        model.save_pretrained(folder, max_shard_size=shard)
        processor.save_pretrained(folder)
        write_sample(folder)
        publish(client, folder, name, "--private")
        files = hub.repo(name).files
        assert ("model.safetensors" in files) == (name == "unimo")
    assert {"config.json", "generation_config.json", "chat_template.jinja", "processor_config.json"} <= set(files)
    assert json.loads(files["generation_config.json"])["eos_token_id"] == model.generation_config.eos_token_id
    assert files["sample.png"].startswith(b"\x89PNG") and b"](sample.png)" in files["README.md"]
    texts = ["a person walks", "\U0001f600 <think>"]
    motions = model.generate_motion(texts, processor, do_sample=False)
    described = model.describe_motion([features(2), features(3)], processor, do_sample=False)
    np.save(tmp_path / "motion.npy", features(2))
    result = fresh(
        hub,
        tmp_path,
        "unimo",
        """
model, processor = AutoModel.from_pretrained(folder, **trust), AutoProcessor.from_pretrained(folder, **trust)
weights = AutoModel.from_pretrained("tester/sharded", trust_remote_code=True).state_dict()
motions = model.generate_motion(["a person walks", "\\U0001f600 <think>"], processor, do_sample=False)
write = pipeline("text-to-motion", model=folder, **trust)("a person walks", do_sample=False)
read = pipeline("motion-to-text", model=folder, **trust)("motion.npy", do_sample=False)
print(json.dumps({
    "thoughts": [m.thought for m in motions], "codes": [m.codes for m in motions],
    "features": [m.features.tobytes().hex() for m in motions], "joints": [m.joints.tobytes().hex() for m in motions],
    "write": [write.thought, write.codes], "read": [read.thought, read.caption],
    "tokens": AutoTokenizer.from_pretrained(folder, **trust)("<Motion_3> a")["input_ids"],
    "mean": AutoFeatureExtractor.from_pretrained(folder, **trust).mean[:3],
    "sharded": weights.keys() == model.state_dict().keys()
    and all(torch.equal(weights[name], value) for name, value in model.state_dict().items()),
    "modules": [type(thing).__module__ for thing in (model, processor)],
}))
""",
    )
    assert result["thoughts"] == [motion.thought for motion in motions]
    assert result["codes"] == [motion.codes for motion in motions]
    assert result["features"] == [motion.features.tobytes().hex() for motion in motions]
    assert result["joints"] == [motion.joints.tobytes().hex() for motion in motions]
    assert result["write"] == [motions[0].thought, motions[0].codes]
    assert result["read"] == [described[0].thought, described[0].caption]
    assert result["tokens"] == processor.tokenizer("<Motion_3> a")["input_ids"]
    assert result["mean"] == processor.feature_extractor.mean[:3]
    assert result["sharded"]
    revision = hub.repo("unimo").branches["main"]
    assert all(module.startswith("transformers_modules.") and revision in module for module in result["modules"])


def stage(folder, name, **settings):
    folder.mkdir()
    (folder / SETTINGS).write_text(json.dumps({"stage": name, "dataset": "", **settings}))
    (folder / "training_summary.json").write_text(json.dumps({"stage": name, "steps": 1, "training": {}}))
    return folder


@pytest.mark.slow
def test_other_stages(hub, client, tmp_path):
    processor, vqvae = plain_processor("qwen"), tiny_vqvae()
    for name, parts in {
        "vqvae": (vqvae, feature_extractor()),
        "sft": (tiny_lm(processor.tokenizer), processor),
    }.items():
        folder = stage(tmp_path / name, name)
        for part in parts:
            part.save_pretrained(folder)
        publish(client, folder, name)
    result = fresh(
        hub,
        tmp_path,
        "vqvae",
        """
vqvae, extractor = AutoModel.from_pretrained(folder, **trust), AutoFeatureExtractor.from_pretrained(folder, **trust)
motion = np.random.default_rng(0).normal(size=(21, 263)).astype(np.float32)
codes = vqvae.encode(**extractor(motion)).codes
print(json.dumps([codes.tolist(), vqvae.decode(codes).detach().numpy().tobytes().hex()]))
""",
    )
    motion = np.random.default_rng(0).normal(size=(21, 263)).astype(np.float32)
    codes = vqvae.encode(**feature_extractor()(motion)).codes
    assert result == [codes.tolist(), vqvae.decode(codes).detach().numpy().tobytes().hex()]
    plain = fresh(
        hub,
        tmp_path,
        "sft",
        """
model = AutoModelForCausalLM.from_pretrained(folder, revision=trust["revision"])  # no code of the repository
processor = AutoProcessor.from_pretrained(folder, **trust)
inputs = processor.encode_prompts("t2m", ["a person walks"])
print(json.dumps([type(model).__name__, model.generate(**inputs, do_sample=False, max_new_tokens=20).tolist()]))
""",
    )
    inputs = processor.encode_prompts("t2m", ["a person walks"])
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "sft")
    expected = model.generate(**inputs, do_sample=False, max_new_tokens=20)
    assert plain == ["Qwen2ForCausalLM", expected.tolist()]


@pytest.mark.slow
def test_trained_pushed_and_loaded(hub, client, tmp_path):
    """The scripts themselves, with `--push_to_hub`: a bad token costs no step, a failed push no training."""
    data = dataset_folder(tmp_path / "data", train=8, validation=2)
    vqvae = tmp_path / "vqvae"
    model = {"width": 16, "code_dim": 8, "depth": 1, "architecture": "patch", "stride_t": 4, "down_t": 1}
    (tmp_path / "vqvae.yaml").write_text(json.dumps({"model": model}))  # JSON is YAML
    command = ["--config", str(tmp_path / "vqvae.yaml"), "--dataset", str(data), "--output_dir", str(vqvae)]
    command += ["--max_steps", "2"]
    command += ["--use_cpu", "true", "--report_to", "none", "--remove_unused_columns", "false", "--save_steps", "1"]
    command += ["--push_to_hub", "true", "--hub_model_id", "trained-vqvae", "--hub_private_repo", "true"]
    done = client.run("train.vqvae", *command, "--hub_token", "hf_" + "x" * 20)
    assert done.returncode == 1 and "does not accept the token" in done.stderr
    assert not list(vqvae.glob("*.safetensors"))
    hub.fail("POST", "/commit/", status=500)
    done = client.run("train.vqvae", *command)
    assert done.returncode == 1 and "python -m train.publish --run" in done.stderr, done.stderr
    assert (vqvae / "model.safetensors").is_file() and not list(vqvae.glob("checkpoint-*"))
    hub.heal()
    trained = (vqvae / "model.safetensors").read_bytes()
    done = client.run("train.vqvae", *command)  # the same command again: nothing is trained, the push completed
    assert done.returncode == 0, done.stderr
    repo = hub.repo("trained-vqvae")
    assert repo.private and repo.files["model.safetensors"] == trained == (vqvae / "model.safetensors").read_bytes()
    assert not [name for name in repo.files if name.endswith((".bin", ".pt", ".pth"))]
    assert not any(b"hf_xxxx" in path.read_bytes() for path in vqvae.rglob("*") if path.is_file())
    command = ["--dataset", str(data), "--vqvae", str(vqvae), "--output_dir", str(tmp_path / "sft")]
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    (tmp_path / "sft.yaml").write_text(json.dumps({"new_model": small | {"num_key_value_heads": 1}}))
    command += ["--config", str(tmp_path / "sft.yaml"), "--new_vocab_size", "300"]
    command += ["--max_steps", "2", "--use_cpu", "true", "--report_to", "none", "--max_length", "400"]
    done = client.run("train.sft", *command, "--push_to_hub", "true", "--hub_model_id", "tester/trained-sft")
    assert done.returncode == 0, done.stderr[-3000:]
    card = hub.repo("trained-sft").files["README.md"].decode()
    assert "\nbase_model:" not in card, "the parent is private"
    result = fresh(
        hub,
        tmp_path,
        "trained-sft",
        """
model = AutoModelForCausalLM.from_pretrained(folder, revision=trust["revision"])
processor = AutoProcessor.from_pretrained(folder, **trust)
vqvae = AutoModel.from_pretrained("tester/trained-vqvae", trust_remote_code=True)
inputs = processor.encode_prompts("t2m", ["a person walks"])
answer = model.generate(**inputs, do_sample=False, max_new_tokens=30)
decoded = vqvae.decode(torch.tensor([[3, 1, 4, 1]])).detach().numpy()
print(json.dumps([answer.tolist(), decoded.tobytes().hex()]))
""",
    )
    processor = UniMoProcessor.from_pretrained(tmp_path / "sft")
    language_model = AutoModelForCausalLM.from_pretrained(tmp_path / "sft")
    answer = language_model.generate(
        **processor.encode_prompts("t2m", ["a person walks"]), do_sample=False, max_new_tokens=30
    )
    decoded = AutoModel.from_pretrained(vqvae).decode(torch.tensor([[3, 1, 4, 1]])).detach().numpy()
    assert result == [answer.tolist(), decoded.tobytes().hex()]
