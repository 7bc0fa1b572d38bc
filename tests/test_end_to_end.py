"""The whole quickstart in miniature and what it leaves: about a minute on two idle cores."""

import html.parser
import io
import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import forked_stage
from fresh_process import run_fresh
from transformers import AutoModelForCausalLM

from datasets_scripts.captioned_motions import captioned_motions
from datasets_scripts.schema import load_motion_dataset
from modeling_unimo import (
    MotionFeatureExtractor,
    MotionVQVAEModel,
    TextMotionEvaluatorModel,
    UniMoForConditionalGeneration,
    UniMoProcessor,
)
from train.engine.processes import start_process
from train.quickstart import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]  # a quickstart has 1800 seconds

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIG = REPOSITORY / "train" / "configs" / "miniature" / "quickstart.yaml"
STAGES = [
    "data", "vqvae", "evaluator", "evaluator_held_out", "sft", "grpo", "evaluate_sft", "evaluate_grpo",
    "evaluate_candidates", "samples",
]  # fmt: skip
RANKS = {f"r_precision_top{k}" for k in (1, 2, 3)}
ARGUMENTS = ["--config", str(CONFIG), "--seed", "1"]
CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def start_stage(command, log, environment):
    """A stage of several processes is launched as a user's is; the others find the libraries imported."""
    launched = "accelerate.commands.launch" in command
    return (start_process if launched else forked_stage)(command, log, environment)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The run folder of a finished quickstart, and what it printed."""
    run = tmp_path_factory.mktemp("quickstart") / "run"
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setattr("train.quickstart.start_process", start_stage)
        main([*ARGUMENTS, "--output", str(run)])
    return run, printed.getvalue()


@pytest.fixture(scope="module")
def run(finished):
    return finished[0]


@pytest.fixture(scope="module")
def metrics(run):
    return json.loads((run / "metrics.json").read_text())


def is_interval(value) -> bool:
    return isinstance(value, dict) and set(value) == {"mean", "ci95"} and all(np.isfinite(v) for v in value.values())


def test_it_says_what_it_does_and_where_things_are(finished):
    run, printed = finished
    for stage in STAGES:
        assert f"{stage}: started (log {run / 'logs' / stage}.log)" in printed and f"{stage}: done in" in printed
    for name in ("metrics.json", "report.html", "unimo"):
        assert str(run / name) in printed
    assert "## t2m" in printed and "| generated |" in printed


def test_metrics_have_the_shape_of_the_design(metrics):
    assert set(metrics["seconds"]) == {*STAGES, "total"} and all(value > 0 for value in metrics["seconds"].values())
    assert metrics["seconds"]["total"] < sum(metrics["seconds"][stage] for stage in STAGES) + 30
    assert 100 < metrics["peak_memory_mb"] < 6000 and set(metrics["memory_mb"]) == set(STAGES)
    assert set(metrics["vqvae"]) == {"mpjpe_mm", "root_drift_m", "codes_used", "perplexity"}
    assert RANKS <= set(metrics["evaluator"]) and metrics["seed"] == 1
    for task, count in {"t2m": 30, "t2m_hard": 12, "t2m_attributes": 16}.items():
        best = {"grpo_best_of_8"} if task == "t2m_hard" else set()
        assert set(metrics[task]) == {"real", "sft", "grpo", *best}
        for side, scores in metrics[task].items():
            for judged in (scores, scores["held_out"]):
                figures = {*RANKS} if task == "t2m_attributes" else {*RANKS, "mm_dist", "fid", "diversity"}
                assert judged["n"] == count and all(
                    set(judged[name]) == {"mean"} if side in best else is_interval(judged[name]) for name in figures
                )
            if side != "real" and task != "t2m_attributes":
                assert scores["valid"]["mean"] == 1.0
            if side in ("sft", "grpo") and task == "t2m":
                assert 0 <= scores["valid_free"] <= 1
    assert metrics["t2m"]["real"]["fid"]["mean"] > 0  # half against half
    for side in ("sft", "grpo"):
        scores = metrics["m2t"][side]
        assert all(is_interval(scores[name]) for name in ("bleu1", "bleu4", "rouge_l", "cider", "valid"))
        assert 0 <= scores["valid_free"] <= 1 and scores["valid"]["mean"] == 1.0
    assert metrics["generation"]["top_k"] == 0 and metrics["generation"]["repetition_penalty"] == 1.0


def test_it_learned_a_little(run, metrics):
    """No figures to be proud of; but every loss fell, and no code went unused for want of data."""
    curves = json.loads((run / "curves.json").read_text())
    for stage in ("vqvae", "evaluator", "evaluator_held_out", "sft"):
        losses = [entry["loss"] for entry in curves[stage] if "loss" in entry]
        assert len(losses) >= 4 and losses[-1] < losses[0], stage
    rewards = [entry["reward"] for entry in curves["grpo"] if "reward" in entry]
    assert len(rewards) == 4 and np.isfinite(rewards).all()
    assert metrics["vqvae"]["codes_used"] > 0.2 and metrics["vqvae"]["mpjpe_mm"] < 300
    assert metrics["evaluator"]["r_precision_top3"]["mean"] > 3 / 30


def test_training_ran_on_every_process(run):
    for stage, processes in {"vqvae": 1, "evaluator": 1, "sft": min(2, CORES), "grpo": min(2, CORES)}.items():
        assert json.loads((run / stage / "training_summary.json").read_text())["processes"] == processes


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.fetched, self.text = [], []

    def handle_starttag(self, tag, attributes):
        self.fetched += [v for k, v in attributes if k in ("src", "href") and v and not v.startswith(("#", "data:"))]

    def handle_data(self, data):
        self.text.append(data)


def test_the_report_stands_alone(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    reader = Links()
    reader.feed(page)
    assert reader.fetched == [] and len(page) < 12_000_000
    samples = json.loads((run / "samples" / "samples.json").read_text())
    assert len(samples["t2m"]) == len(samples["m2t"]) == 12 and len(samples["codebook_counts"]) == 512
    text = " ".join(reader.text)
    for title in ("Text to motion", "Motion to text", "Generated motions", "Training curves", "Time and memory"):
        assert title in text
    assert samples["t2m"][0]["caption"] in text


def test_folders_hold_no_pickle_and_nothing_half_written(run):
    names = [path.name for path in run.rglob("*") if path.is_file()]
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".part"))]
    assert not list(run.glob("**/checkpoint-*")) and not list(run.glob(".*"))
    for stage in ("vqvae", "evaluator", "evaluator_held_out", "sft", "grpo", "unimo"):
        assert (run / stage / "model.safetensors").is_file() and (run / stage / "README.md").is_file(), stage
    assert (run / "data" / "README.md").is_file()


def test_every_stage_folder_loads_without_the_package_and_answers_the_same(run, tmp_path):
    entries = captioned_motions(load_motion_dataset(run / "data")["test"])
    motion, tokens = entries[0].motion, entries[0].tokens[0]
    np.save(tmp_path / "motion.npy", motion)
    given = json.dumps({"tokens": tokens, "text": entries[0].texts[0]})
    theirs = run_fresh(
        run,
        f"given = json.loads({given!r})"
        + """
from datasets import load_dataset
motion = np.load("motion.npy")
vqvae = AutoModel.from_pretrained(folder + "/vqvae", **trust).eval()
extractor = AutoFeatureExtractor.from_pretrained(folder + "/vqvae", **trust)
result = {"codes": vqvae.encode(**extractor(motion)).codes.tolist(), "rows": {}}
for name in ("evaluator", "evaluator_held_out"):
    judge = AutoModel.from_pretrained(folder + "/" + name, **trust).eval()
    result[name] = [judge.get_motion_features([motion]).tolist(), judge.get_text_features([given["tokens"]]).tolist()]
for name in ("sft", "grpo"):  # plain language models: no remote code but the processor's
    model = AutoModelForCausalLM.from_pretrained(folder + "/" + name).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder + "/" + name)
    processor = AutoProcessor.from_pretrained(folder + "/" + name, **trust)
    ids = tokenizer(processor.prompt("t2m", given["text"]), add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        result[name] = [ids.tolist(), model(ids).logits[0, -1].tolist()]
    assert {type(one).__module__.split(".")[0] for one in (model, tokenizer)} == {"transformers"}
model = AutoModel.from_pretrained(folder + "/unimo", **trust)
processor = AutoProcessor.from_pretrained(folder + "/unimo", **trust)
[made] = model.generate_motion([given["text"]], processor, seed=0)
[told] = model.describe_motion([motion], processor, seed=0)
result["unimo"] = [made.codes, made.thought, made.features.tolist(), told.caption]
result["rows"] = {name: len(part) for name, part in load_dataset(folder + "/data").items()}
print(json.dumps(result))
""",
        tmp_path,
    )
    with torch.no_grad():
        vqvae = MotionVQVAEModel.from_pretrained(run / "vqvae").eval()
        extractor = MotionFeatureExtractor.from_pretrained(run / "vqvae")
        assert theirs["codes"] == vqvae.encode(**extractor(motion)).codes.tolist()
        for name in ("evaluator", "evaluator_held_out"):
            judge = TextMotionEvaluatorModel.from_pretrained(run / name).eval()
            ours = [judge.get_motion_features([motion]).tolist(), judge.get_text_features([tokens]).tolist()]
            assert theirs[name] == ours
        for name in ("sft", "grpo"):
            processor = UniMoProcessor.from_pretrained(run / name)
            ids = processor.encode_prompts("t2m", [entries[0].texts[0]])["input_ids"]
            language_model = AutoModelForCausalLM.from_pretrained(run / name).eval()
            assert theirs[name] == [ids.tolist(), language_model(ids).logits[0, -1].tolist()]
    model = UniMoForConditionalGeneration.from_pretrained(run / "unimo")
    processor = UniMoProcessor.from_pretrained(run / "unimo")
    [made] = model.generate_motion([entries[0].texts[0]], processor, seed=0)
    [told] = model.describe_motion([motion], processor, seed=0)
    assert theirs["unimo"] == [made.codes, made.thought, made.features.tolist(), told.caption]
    assert theirs["rows"] == {"train": 240, "validation": 40, "test": 60, "test_hard": 12, "test_attributes": 16}


def test_the_unimo_of_the_run_is_its_parts(run):
    """What is assembled for the Hub gives back the very language model and VQ-VAE that were trained."""
    model = UniMoForConditionalGeneration.from_pretrained(run / "unimo")
    policy = AutoModelForCausalLM.from_pretrained(run / "grpo").state_dict()
    codec = MotionVQVAEModel.from_pretrained(run / "vqvae").state_dict()
    for part, saved in ((model.language_model, policy), (model.motion_vqvae, codec)):
        state = part.state_dict()
        assert state.keys() == saved.keys()
        assert all(torch.equal(state[name], saved[name]) for name in saved)
    # Whether GRPO moved it is not asked here: a policy this young may answer nothing valid, all rewards alike.
    assert json.loads((run / "grpo" / "training_summary.json").read_text())["steps"] > 0


def test_a_finished_run_is_not_run_again(run, metrics, capsys):
    main(ARGUMENTS + ["--output", str(run)])
    printed = capsys.readouterr().out
    assert printed.count("already there") == len(STAGES) and "started (log" not in printed
    again = json.loads((run / "metrics.json").read_text())
    again["seconds"].pop("total")  # of all runs together
    assert again == {**metrics, "seconds": {stage: metrics["seconds"][stage] for stage in STAGES}}
