"""Publishing what a run made, through the real client and the loopback Hub, whatever goes wrong."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from hub_server import SIGNATURE, TOKEN, Hub, run_client
from huggingface_hub import ModelCard
from safetensors.numpy import save_file

from datasets_scripts.hub.card_merge import BEGIN, END
from train import publish
from train.engine.cards import SETTINGS, write_stage_card

REPOSITORY = Path(__file__).resolve().parents[2]
JUNK = ("training_args.bin", "optimizer.pt", "checkpoint-5/model.safetensors", "runs/host.example/events", "notes.txt",
        "trainer_settings.json", "stage_done.json", ".README.md.part", "mine.py")  # fmt: skip


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def stage_folder(folder, stage="vqvae", seed=0, **settings):
    """A folder as a stage leaves it, with weights of no model, and much that is nobody's business."""
    model_types = {"vqvae": "motion_vqvae", "sft": "qwen2", "grpo": "qwen2", "unimo": "unimo"}
    for name in JUNK:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"{}")
    weights = np.random.default_rng(seed).normal(size=(300, 10)).astype(np.float32)
    save_file({"weight": weights}, folder / "model.safetensors")
    config = {"model_type": model_types[stage], "_name_or_path": "/home/jo/secret", "auto_map": {"AutoModel": "a.B"}}
    write_json(folder / "config.json", config | {"text_config": {"_name_or_path": "runs/sft", "layers": [1, 2]}})
    shutil.copy(REPOSITORY / "modeling_unimo" / "configuration_unimo.py", folder)
    if stage == "unimo":
        (folder / "sample.png").write_bytes(b"picture")
        write_json(folder / "sample.json", {"picture": "sample.png", "text": "a [man](x) <b>walks</b>", "thought": ""})
    else:
        write_json(folder / SETTINGS, {"stage": stage, "dataset": str(folder.parent / "data"), **settings})
        command = "accelerate launch train/vqvae.py --config x.yaml"
        summary = {"stage": stage, "steps": 7, "command": command, "training": {"learning_rate": 2e-4}}
        write_json(folder / "training_summary.json", summary)
        write_stage_card(folder)
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def tells_no_secret(done, *folders):
    """Neither the token nor a signed address in what was said or written."""
    said = [done.stdout.encode(), done.stderr.encode()]
    written = [content for folder in folders for content in contents(folder).values()]
    for content in said + written:
        assert TOKEN.encode() not in content and SIGNATURE.encode() not in content


@pytest.fixture(scope="module")
def server():
    with Hub(multipart_above=8_000, part_size=5_000) as running:
        yield running


@pytest.fixture
def push(hub, client):
    """`push(folder, repo, *options)`: the command, which must succeed unless told otherwise."""

    def run(folder, repo, *options, fails=False, **settings):
        done = client.run("train.publish", "--run", str(folder), "--repo", repo, *options, **settings)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        tells_no_secret(done, folder, client.home)
        assert "Traceback" not in done.stderr
        return done

    return run


def test_a_stage_on_the_hub(hub, push, tmp_path):
    folder = stage_folder(tmp_path / "run" / "vqvae")
    local = (folder / "config.json").read_bytes()
    done = push(folder, "vqvae", "--private")
    repo = hub.repo("vqvae")
    assert repo.private
    assert f'revision="{repo.branches["main"]}"' in done.stdout
    assert set(repo.files) == {
        *(".gitattributes", "README.md", "config.json", "configuration_unimo.py", "model.safetensors"),
        "training_summary.json",
    }
    assert repo.files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert json.loads(repo.files["config.json"]) == {
        "model_type": "motion_vqvae",
        "auto_map": {"AutoModel": "a.B"},
        "text_config": {"layers": [1, 2]},
    }
    assert (folder / "config.json").read_bytes() == local, "what is published is cleaned, not what lies here"
    assert not any(b"/home/jo" in content or str(tmp_path).encode() in content for content in repo.files.values())
    card = ModelCard(repo.files["README.md"].decode())
    assert 'name = "tester/vqvae"' in card.text and "accelerate launch train/vqvae.py --config x.yaml" in card.text
    assert (folder / "README.md").read_bytes() == repo.files["README.md"], "both are one card now"
    record = json.loads((folder / "hub_push.json").read_text())
    assert record == {"repo": "tester/vqvae", "revision": repo.branches["main"], "private": True}
    # Nothing new: no commit.
    push(folder, "tester/vqvae")
    assert len(repo.history) == 2 and repo.private


def test_words_of_the_user_stay_here_and_there(hub, push, tmp_path):
    folder = stage_folder(tmp_path / "vqvae")
    card = folder / "README.md"
    card.write_text(card.read_text().replace(BEGIN, "My words.\n\n" + BEGIN) + "\n## Thanks\n")
    push(folder, "m")
    on_hub = hub.repo("m").files["README.md"].decode()
    assert "My words." in on_hub and on_hub.rstrip().endswith("## Thanks")
    edited = on_hub.replace("My words.", "Edited on the Hub.").replace("license: unknown", "license: cc0-1.0")
    hub.seed("tester/m", {"README.md": edited.encode(), "demo.ipynb": b"{}"})
    write_stage_card(folder)  # trained again, and with it the folder's own card renewed
    push(folder, "m")
    files = hub.repo("m").files
    renewed = ModelCard(files["README.md"].decode())
    assert "Edited on the Hub." in renewed.text and "My words." not in renewed.text and "## Thanks" in renewed.text
    assert renewed.data.license == "cc0-1.0" and renewed.text.count(BEGIN) == renewed.text.count(END) == 1
    assert "Edited on the Hub." in card.read_text() and "demo.ipynb" in files


def test_weights_of_before_are_taken_away(hub, push, tmp_path):
    folder = stage_folder(tmp_path / "vqvae")
    push(folder, "m")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    for number, name in enumerate(index["weight_map"].values()):
        save_file({"ab"[number]: np.zeros(3, np.float32)}, folder / name)
    (folder / "model.safetensors").unlink()
    write_json(folder / "model.safetensors.index.json", index)
    push(folder, "m")
    weights = {name for name in hub.repo("m").files if name.startswith("model")}
    assert weights == {*index["weight_map"].values(), "model.safetensors.index.json"}


def test_a_whole_run_names_its_parents(hub, push, tmp_path):
    run = tmp_path / "run"
    (run / "data").mkdir(parents=True)
    write_json(run / "data" / "hub_push.json", {"repo": "tester/motion", "revision": "0" * 40, "private": False})
    stage_folder(run / "vqvae")
    stage_folder(run / "sft", "sft", 1, vqvae="elsewhere/vqvae", base_model="Qwen/Qwen2.5-3B-Instruct")
    stage_folder(run / "grpo", "grpo", 2, sft_model="elsewhere/sft", vqvae="elsewhere/vqvae")
    stage_folder(run / "unimo", "unimo", 3)
    fingerprint = publish.fingerprint(run / "grpo")
    scores = {"t2m": {"grpo": {"fid": {"mean": 0.5, "ci95": 0.1}, "n": 9}}}
    write_json(run / "metrics.json", scores | {"protocol": {"model": f"grpo, sha256 {fingerprint}"}})
    done = push(run, "unimo", "--all")
    assert done.stdout.count(" -> ") == 4
    data = {name: ModelCard(hub.repo(name).files["README.md"].decode()).data for name in
            ("unimo-vqvae", "unimo-sft", "unimo-grpo", "unimo")}  # fmt: skip
    assert data["unimo-vqvae"].base_model is None
    assert data["unimo-sft"].base_model == "Qwen/Qwen2.5-3B-Instruct"
    assert data["unimo-grpo"].base_model == "tester/unimo-sft"
    assert data["unimo"].base_model == ["tester/unimo-grpo", "tester/unimo-vqvae"]
    assert data["unimo"].datasets == ["tester/motion"]
    (result,) = data["unimo"].eval_results
    assert (result.metric_value, result.metric_args) == (0.5, {"ci95": 0.1, "n": 9})
    assert result.dataset_args["protocol"]["model"] == f"grpo, sha256 {fingerprint}"
    assert data["unimo"].model_name == "unimo"
    text = hub.repo("unimo").files["README.md"].decode()
    assert r"![a \[man\](x) &lt;b&gt;walks&lt;/b&gt;](sample.png)" in text
    assert hub.repo("unimo").files["sample.png"] == b"picture"
    # Trained anew: the scores were of other weights, and a private parent is nobody's business.
    write_json(run / "grpo" / "hub_push.json", {"repo": "tester/hidden", "revision": "0" * 40, "private": True})
    stage_folder(run / "grpo", "grpo", 7, sft_model="elsewhere/sft", vqvae="elsewhere/vqvae")
    done = push(run, "unimo")
    card = ModelCard(hub.repo("unimo").files["README.md"].decode())
    assert "scores other weights" in done.stdout and card.data.eval_results is None
    assert card.data.base_model == "tester/unimo-vqvae" and "hidden" not in str(card)


FAULTS = {
    "500 at the commit": ({"method": "POST", "path": "/commit/", "status": 500}, "the Hub answered 500"),
    "500 of the storage": ({"method": "PUT", "path": "/storage/", "status": 500}, "the Hub answered 500"),
    "cut uploads": ({"method": "PUT", "path": "/storage/", "cut": True}, "cannot be reached, or hung up"),
    "cut commit": ({"method": "POST", "path": "/commit/", "cut": True}, "cannot be reached, or hung up"),
    "too many requests": ({"method": "POST", "path": "/preupload/", "status": 429}, "the Hub answered 429"),
    "no room": ({"method": "POST", "path": "info/lfs", "status": 413}, "the Hub answered 413"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_push_that_fails_costs_nothing_and_the_next_completes_it(hub, push, tmp_path, fault):
    folder = stage_folder(tmp_path / "run" / "vqvae")
    before = {path: content for path, content in contents(folder).items() if path.name != "README.md"}
    ordered, reason = FAULTS[fault]
    hub.fail(**ordered)
    done = push(folder, "m", fails=True)
    assert reason in done.stderr and f"python -m train.publish --run {folder} --repo m" in done.stderr
    assert any(line.startswith("error: ") for line in done.stderr.splitlines()), done.stderr
    assert set(hub.repo("m").files) == {".gitattributes"}, "all or nothing"
    assert {p: c for p, c in contents(folder).items() if p.name != "README.md"} == before
    hub.heal()
    stored = len(hub.storage)
    uploads = sum(method == "PUT" for method, _, _ in hub.requests)
    push(folder, "m")
    assert hub.repo("m").files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    if stored:
        assert sum(method == "PUT" for method, _, _ in hub.requests) == uploads, "what was there is not sent again"


def test_a_slow_hub_and_one_that_stumbles(hub, push, tmp_path):
    hub.fail("PUT", "/storage/", status=503, times=2)
    hub.fail("*", "/api/", delay=0.2)
    folder = stage_folder(tmp_path / "vqvae")
    push(folder, "m")
    assert "model.safetensors" in hub.repo("m").files


def test_who_may_not_is_told_what_helps(hub, push, tmp_path):
    folder = stage_folder(tmp_path / "vqvae")
    hub.seed("somebody/m", {"README.md": b"theirs"})
    hub.seed("tester/public", {"README.md": b"mine"})
    cases = [
        (push(folder, "m", token=None, fails=True), "not logged in; run `hf auth login`"),
        (push(folder, "m", token="hf_revoked", fails=True), "does not accept the token"),
        (push(folder, "somebody/m", fails=True), "no write access to somebody/m"),
        (push(folder, "public", "--private", fails=True), "exists and is public"),
        (push(folder, "a/b/c", fails=True), "Repo id must"),
        (push(tmp_path, "m", fails=True), "neither a model nor a run"),
    ]
    for done, reason in cases:
        assert reason in done.stderr and done.stderr.startswith("error: "), done.stderr
    assert hub.repo("somebody/m").files == {"README.md": b"theirs"}
    assert hub.repo("public").files == {"README.md": b"mine"}
    # Into a repository that exists, where it is one's own.
    push(folder, "public")
    assert b"mine" in hub.repo("public").files["README.md"]


def test_no_network(tmp_path):
    folder, source = stage_folder(tmp_path / "vqvae"), "import sys; from train.publish import main; main(sys.argv[1:])"
    done = run_client("http://127.0.0.1:9", tmp_path / "home", "--run", str(folder), "--repo", "m", source=source)
    assert done.returncode == 1 and "http://127.0.0.1:9 cannot be reached" in done.stderr
    tells_no_secret(done, tmp_path)


@pytest.mark.parametrize(("kind", "title"), [("motion_vqvae", "motion VQ-VAE"), ("qwen2", "language model")])
def test_a_model_that_no_run_made(hub, push, tmp_path, kind, title):
    folder = stage_folder(tmp_path / "run" / "converted")
    stage_folder(tmp_path / "run" / "grpo", "grpo")
    for name in (SETTINGS, "training_summary.json", "README.md"):
        (folder / name).unlink()
    write_json(folder / "config.json", {"model_type": kind})
    push(folder, "m")
    card = ModelCard(hub.repo("m").files["README.md"].decode())
    assert title in card.text and "Settings" not in card.text and card.data.license == "unknown"
    (folder / "README.md").write_text("# Mine alone\n")
    push(folder, "m")
    assert hub.repo("m").files["README.md"] == b"# Mine alone\n"


def test_somebody_else_commits_meanwhile(hub, push, tmp_path):
    folder = stage_folder(tmp_path / "vqvae")
    push(folder, "m")
    (folder / "curves.json").write_text("[]")
    hub.fail("POST", "/commit/", status=412, times=1)
    done = push(folder, "m", fails=True)
    assert "changed by somebody else in the meantime" in done.stderr


@pytest.mark.parametrize("place", ["README.md", "config.json"])
def test_a_token_never_leaves(hub, client, tmp_path, place):
    folder = stage_folder(tmp_path / "vqvae")
    for secret in (TOKEN, "hf_" + "x" * 30, "custom-token-of-a-company"):
        path = folder / place
        kept = path.read_bytes()
        if place == "README.md":
            path.write_text(path.read_text() + f"\n{secret}\n")
        else:
            write_json(path, json.loads(kept) | {"note": secret})
        token = secret if secret.startswith("custom") else TOKEN
        hub.users[token] = "tester"
        done = client.run("train.publish", "--run", str(folder), "--repo", "m", token=token)
        assert done.returncode != 0 and place in done.stderr and "access token" in done.stderr
        assert secret not in done.stderr + done.stdout
        path.write_bytes(kept)
    assert not any(method == "POST" and "/commit/" in path for method, path, _ in hub.requests)


def test_what_is_no_whole_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        publish.check_model(tmp_path / "nowhere")
    folder = stage_folder(tmp_path / "vqvae")
    publish.check_model(folder)
    whole = (folder / "model.safetensors").read_bytes()
    for damaged in (whole[:-1], whole + b"x", whole[:4], b"", b"\xff" * 40, whole[:8] + b"[" + whole[9:]):
        (folder / "model.safetensors").write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged"):
            publish.check_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="model.safetensors is missing"):
        publish.check_model(folder)
    (folder / "training_summary.json").unlink()
    with pytest.raises(FileNotFoundError, match="has not finished"):
        publish.check_model(folder)


def test_nothing_of_ours_trusts_code_of_others_or_reads_pickles():
    """`trust_remote_code` stands in texts for users alone, and nothing loads what could run code."""
    packages = ("modeling_unimo", "datasets_scripts", "train", "evaluate_unimo")
    sources = {p: p.read_text(encoding="utf-8") for name in packages for p in (REPOSITORY / name).rglob("*.py")}
    assert len(sources) > 50
    for path, source in sources.items():
        words = re.sub(r'"""(?:.|\n)*?"""|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|#.*', "", source)
        assert not re.search(r"trust_remote_code\s*=\s*True|trust_remote_code[\"']?\s*:\s*True", words), path
        assert not re.search(r"pickle\.(?:loads?|dumps?|Pickler)\b", words), path
        assert not re.search(r"^\s*(?:import|from) (?:dill|joblib|marshal|shelve)\b", words, re.MULTILINE), path
        for call in re.findall(r"torch\.load\([^)]*\)", words):
            assert "weights_only=True" in call, path
        assert not re.search(r"allow_pickle\s*=\s*True|weights_only\s*=\s*False|yaml\.load\(", words), path
    assert "trust_remote_code=True" in (REPOSITORY / "train" / "engine" / "templates" / "model_card.md").read_text(
        encoding="utf-8"
    )


def test_results_are_put_on_a_card(hub, push, tmp_path):
    """What scores a model that lies on the Hub writes into its card, and a new push of the same weights keeps it."""
    folder = stage_folder(tmp_path / "vqvae")
    push(folder, "m")
    tag = {"model": f"m, sha256 {publish.fingerprint(folder)}"}
    results = {
        "t2m": {"real": {"fid": 0.0}, "generated": {"fid": {"mean": 0.25, "ci95": 0.01}, "n": 5}},
        "m2t": {"bleu4": {"mean": 0.5, "ci95": 0.0}, "n": 4},
        "protocol": tag,
        "settings": {"split": "validation"},
    }
    source = "import json, sys\nfrom evaluate_unimo.card_results import push_results\n"
    source += "print(push_results('tester/m', json.loads(sys.argv[1]), 'my <data>').revision)"
    for _ in range(2):
        done = run_client(hub.url, tmp_path / "home", json.dumps(results), source=source)
        assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == hub.repo("m").branches["main"]
    push(folder, "m")
    card = ModelCard(hub.repo("m").files["README.md"].decode())
    found = {(r.task_type, r.metric_type): (r.metric_value, r.dataset_split) for r in card.data.eval_results}
    assert found == {("text-to-motion", "fid"): (0.25, "validation"), ("motion-to-text", "bleu4"): (0.5, "validation")}
    assert card.text.count(BEGIN) == 1
    stage_folder(folder, seed=5)
    push(folder, "m")
    header = yaml.safe_load(hub.repo("m").files["README.md"].decode().split("---")[1])
    assert "model-index" not in header, "of other weights"
