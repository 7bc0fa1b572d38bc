"""Model cards: metadata the Hub reads, values as measured, nothing a user typed that acts or tells, user text kept."""

import json
import re

import numpy as np
import pytest
from huggingface_hub import ModelCard
from tiny_unimo import feature_extractor, plain_processor, tiny_lm, tiny_unimo, tiny_vqvae
from transformers import TrainingArguments

from datasets_scripts.hub.card_merge import BEGIN, END
from datasets_scripts.hub.card_words import command_line, public, text
from modeling_unimo import TextMotionEvaluatorConfig, TextMotionEvaluatorModel
from train.engine import run_folder
from train.engine.cards import SETTINGS, write_stage_card, write_unimo_card
from train.engine.stages import StageTrainer, finish_stage

TITLES = {
    "vqvae": "UniMo: motion VQ-VAE",
    "evaluator": "UniMo: text-motion evaluator",
    "sft": "UniMo: language model after supervised fine-tuning",
    "grpo": "UniMo: language model after GRPO",
}
SECRET = "hf_" + "a1B2" * 8
NASTY = "<script>x</script>|`*_[a](http://b)\n\n# <!-- unimo card: end -->"
METRICS = {
    "t2m": {
        side: {
            "r_precision_top1": {"mean": 0.75 + i / 10, "ci95": 0.0125},
            "fid": {"mean": 1.5, "ci95": 0.25},
            "n": 550,
            "held_out": {"r_precision_top1": {"mean": 0.5, "ci95": 0.02}, "n": 550},
            "consistency": {"mean": 0.85, "ci95": 0.01},
            **({} if side == "real" else {"valid": {"mean": 1.0, "ci95": 0.0}, "valid_free": 0.984}),
        }
        for i, side in enumerate(("real", "sft", "grpo"))
    },
    "m2t": {side: {"bleu4": {"mean": 0.46, "ci95": 0.01}, "n": 900} for side in ("sft", "grpo")},
    "generation": {"temperature": 0.7, "grammar": True},
    "protocol": {"evaluator": "evaluator, sha256 0123", "tokeniser": "captions (word/POS)"},
    "seed": 0,
}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def run(tmp_path):
    """The JSON files of a small run, as the stages leave them."""
    splits = {"train": {"clips": 12, "captions": 30, "seconds": 90.0}}
    write_json(tmp_path / "data" / "build.json", {"splits": splits, "feature_dim": 263})
    card = "---\nlicense: cc-by-4.0\npretty_name: Waves\n---\n\n# Title\n\nMade from /home/jo/waves, three of them.\n"
    (tmp_path / "data" / "README.md").write_text(card, encoding="utf-8")
    names = {"vqvae": "vqvae", "evaluator": "evaluator", "sft_model": "sft", "dataset": "data"}
    paths = {key: str(tmp_path / name) for key, name in names.items()}
    model = {"stride_t": 4, "down_t": 1}
    settings = {
        "vqvae": {"dataset": paths["dataset"], "model": model},
        "evaluator": {"dataset": paths["dataset"], "model": {"objective": "infonce"}},
        "sft": {"dataset": paths["dataset"], "vqvae": paths["vqvae"], "base_model": "Qwen/Qwen2.5-3B-Instruct"},
        "grpo": {**paths, "unimo_output_dir": str(tmp_path / "unimo")},
    }
    for stage, own in settings.items():
        write_json(tmp_path / stage / SETTINGS, {"stage": stage, **own})
        training = {"learning_rate": 2e-4, "max_steps": 7}
        write_json(tmp_path / stage / "training_summary.json", {"stage": stage, "steps": 7, "training": training})
    (tmp_path / "unimo").mkdir()
    return tmp_path


def load(path):
    """The card, read as the Hub's library reads it: metadata errors are errors."""
    card = ModelCard.load(path)
    assert card.text.count(BEGIN) == card.text.count(END) == 1
    assert isinstance(card.data.license, str) and all(isinstance(tag, str) for tag in card.data.tags)
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()
    return card


def test_names_of_the_files_read():
    assert SETTINGS == run_folder.SETTINGS


@pytest.mark.parametrize("stage", ["vqvae", "evaluator", "sft", "grpo"])
def test_stage_card(run, stage):
    card = load(write_stage_card(run / stage))
    assert card.data.library_name == "transformers"
    assert card.data.license == "cc-by-4.0"
    language_model = stage in ("sft", "grpo")
    assert card.data.pipeline_tag == ("text-generation" if language_model else None)
    assert card.data.base_model == ("Qwen/Qwen2.5-3B-Instruct" if language_model else None)
    assert {"text-to-motion", "motion-to-text"} <= set(card.data.tags)
    assert f"# {TITLES[stage]}\n" in card.text and "| Steps | 7 |" in card.text
    assert '"learning_rate": 0.0002' in card.text and '"dataset": "data"' in card.text
    assert "Waves" in card.text and "Made from waves, three" in card.text
    assert str(run) not in str(card) and "/home" not in str(card)
    assert not re.search(r"\{[a-z]+\}", card.text), "a hole was left open"


def test_card_before_training_has_finished(run):
    (run / "sft" / "training_summary.json").unlink()
    assert "Training has not finished." in load(write_stage_card(run / "sft")).text


def test_unimo_card_before_and_after_evaluation(run):
    before = load(write_unimo_card(run / "unimo", run / "grpo"))
    assert before.data.eval_results is None and "Not evaluated yet." in before.text
    card = load(write_unimo_card(run / "unimo", run / "grpo", METRICS))
    assert card.data.base_model == "Qwen/Qwen2.5-3B-Instruct" and card.data.model_name == "unimo"
    found = {(r.task_type, r.metric_name): r for r in card.data.eval_results}
    first = found["text-to-motion", "R-Precision top-1"]
    assert first.metric_value == METRICS["t2m"]["grpo"]["r_precision_top1"]["mean"]
    assert first.metric_args == {"ci95": 0.0125, "n": 550}
    assert first.dataset_split == "test" and first.dataset_name == "Waves"
    assert first.dataset_args == {name: METRICS[name] for name in ("protocol", "generation")}
    assert found["text-to-motion", "FID, N = 550"].metric_value == 1.5
    held_out = found["text-to-motion", "R-Precision top-1, held-out judge"]
    assert held_out.metric_value == 0.5 and held_out.metric_args["judge"] == "held-out judge"
    assert found["text-to-motion", "Valid answers without grammar"].metric_value == 0.984
    assert found["motion-to-text", "BLEU@4"].metric_args == {"ci95": 0.01, "n": 900}
    assert found["text-to-motion", "Instruction accuracy"].metric_value == 0.85
    assert len(found) == len(card.data.eval_results) == 7
    assert "| real motion | 0.75 ± 0.013 | 1.5 ± 0.25 | 550 | 0.85 ± 0.01 |" in card.text
    assert "| after GRPO, held-out judge | 0.5 ± 0.02 |" in card.text
    # Trained again: the figures of the former weights go.
    again = load(write_unimo_card(run / "unimo", run / "grpo"))
    assert again.data.eval_results is None and again.data.model_name is None


def test_card_of_a_run_whose_folders_have_gone(tmp_path):
    (tmp_path / "unimo").mkdir()
    card = load(write_unimo_card(tmp_path / "unimo", tmp_path / "grpo", METRICS))
    assert card.data.license == "unknown" and card.data.base_model is None


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_text_of_the_user_is_kept(run, line_end):
    path = write_stage_card(run / "vqvae")
    first = path.read_bytes().decode()
    head, mine, tail = (
        f"{line_end}My words.{line_end}",
        "license: mit\nlanguage: de\n",
        f"{line_end}# Thanks{line_end}",
    )
    edited = first.replace("license: cc-by-4.0\n", mine).replace(BEGIN, head + BEGIN) + tail
    edited = edited.replace("Limits", "limits, edited where training writes")
    path.write_bytes(edited.encode())
    again = write_stage_card(run / "vqvae").read_bytes().decode()
    assert head + BEGIN in again and again.endswith(END + "\n" + tail)
    assert "edited where training writes" not in again
    card = load(path)
    assert (card.data.license, card.data.language) == ("mit", "de")
    assert write_stage_card(run / "vqvae").read_bytes().decode() == again, "a second time changes nothing"


def test_results_on_other_data_are_kept(run):
    path = write_unimo_card(run / "unimo", run / "grpo", METRICS)
    card = ModelCard.load(path)
    other = {**vars(card.data.eval_results[0]), "dataset_type": "owner/other", "metric_value": 0.25}
    card.data.eval_results.append(type(card.data.eval_results[0])(**other))
    card.save(path)
    values = [r.metric_value for r in load(write_unimo_card(run / "unimo", run / "grpo")).data.eval_results]
    assert values == [0.25]
    assert len(load(write_unimo_card(run / "unimo", run / "grpo", METRICS)).data.eval_results) == 8


@pytest.mark.parametrize(
    "words",
    [
        "# Mine\n\nNo metadata here.\n",
        "---\ntags: [mine]\n---\n# Mine\n",
        f"---\ntags: [mine]\n---\n# Mine\n{BEGIN}\nhalf of a section\n",
        f"# Mine\n{END}\n",
        "---\ntags: [unclosed\n---\n# Mine\n",
        "---\n- a list\n---\n# Mine\n",
        "---\nmodel-index: [1]\n---\n# Mine\n",
    ],
    ids=["no header", "no marks", "no end mark", "no begin mark", "bad YAML", "no mapping", "bad results"],
)
def test_a_card_of_the_user_is_taken_in(run, words, capsys):
    (run / "sft" / "README.md").write_text(words, encoding="utf-8")
    card = load(write_stage_card(run / "sft"))
    assert "# Mine" in card.text
    if "[mine]" in words:
        assert "mine" in card.data.tags
    if "unclosed" in words:
        assert "tags: [unclosed" in card.text and "is invalid" in capsys.readouterr().out


def test_what_users_typed_neither_acts_nor_tells(run):
    settings = json.loads((run / "sft" / SETTINGS).read_text())
    settings |= {"base_model": f"/home/zoe/{NASTY.replace('/', '')}", "new_model": {"note": NASTY, "hub_token": "abc"}}
    settings |= {"url": f"https://zoe:{SECRET}@host/model", "other": SECRET, "windows": r"C:\Users\zoe\model"}
    write_json(run / "sft" / SETTINGS, settings)
    words = f"---\npretty_name: {json.dumps(NASTY)}\n---\n\nSee {NASTY.splitlines()[0]} {SECRET} C:\\Users\\zoe\\x\n"
    (run / "data" / "README.md").write_text(words, encoding="utf-8")
    content = str(load(write_stage_card(run / "sft")))
    assert "<script>" not in content.replace("Waves", "") and "[a](" not in re.sub(r'"[^\n]*"', "", content)
    for told in (SECRET, "abc", "/home", "Users", "zoe"):
        assert told not in content, told
    assert load(write_unimo_card(run / "unimo", run / "grpo", METRICS)).data.base_model is None


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("dataset", "/data/sets/mocap/", "mocap"),
        ("dataset", r"D:\sets\mocap", "mocap"),
        ("dataset", "/c/hub/datasets--jo--waves/snapshots/0123", "jo/waves"),
        ("base_model", "Qwen/Qwen2.5-3B-Instruct", "Qwen/Qwen2.5-3B-Instruct"),
        ("base_model", "/c/hub/models--Qwen--Qwen2.5-3B/snapshots/0123", "Qwen/Qwen2.5-3B"),
        ("base_model", "/models/mine", "mine"),
        ("base_model", "", ""),
        ("quantizer", "ema_reset", "ema_reset"),
        ("hub_token", "anything", "(left out)"),
        ("lists", ["/a/b", 3, None], ["b", 3, None]),
        ("rate", 0.1, 0.1),
    ],
)
def test_public(key, value, shown):
    assert public({key: value}) == {key: shown}


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("plain words, 3 of them: a/b (word/POS)", "plain words, 3 of them: a/b (word/POS)"),
        ("a|b `c` *d* _e_ #f", r"a\|b \`c\` \*d\* \_e\_ \#f"),
        ("<b> & </b>", "&lt;b&gt; &amp; &lt;/b&gt;"),
        ("two\nlines\x00\u2028here", "two lines here"),
        ("in /home/jo/x and ~/y/z.npy, https://host/a/b", "in x and z.npy, https://host/a/b"),
    ],
)
def test_text(typed, shown):
    assert text(typed) == shown


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("/opt/venv/bin/python -m train.quickstart --seed 0", "python -m train.quickstart --seed 0"),
        ("accelerate launch /home/jo/unimo/train/sft.py", "accelerate launch train/sft.py"),
        ("x --config /home/jo/unimo/train/configs/paper/sft.yaml", "x --config train/configs/paper/sft.yaml"),
        ("x --dataset /home/jo/data --vqvae runs/a/vqvae", "x --dataset data --vqvae runs/a/vqvae"),
        ("x --hub_token abc --hub_token=def --seed 1", "x --hub_token '(left out)' '--hub_token=(left out)' --seed 1"),
        (f"x --base_model https://zoe:{SECRET}@host/model", "x --base_model model"),
    ],
)
def test_command_line(typed, shown):
    assert command_line(typed.split()) == shown


def test_a_command_stays_in_its_code_block():
    shown = command_line(["x", "--name", f"it's\n```\n{END} $(ls)", SECRET])
    assert "\n" not in shown and END not in shown and SECRET not in shown
    assert shown.startswith("""x --name 'it'"'"'s ```""")


def test_refusals(tmp_path):
    with pytest.raises(FileNotFoundError, match="training_run.json"):
        write_stage_card(tmp_path)
    write_json(tmp_path / SETTINGS, {"stage": "cooking"})
    with pytest.raises(ValueError, match="cooking"):
        write_stage_card(tmp_path)


def saved(stage, folder):
    """A tiny model of a stage in its folder, as training saves it."""
    if stage == "unimo":
        model, processor = tiny_unimo()
    elif stage == "vqvae":
        model, processor = tiny_vqvae(), feature_extractor()
    elif stage == "sft":
        processor = plain_processor("qwen")
        model = tiny_lm(processor.tokenizer)
    else:
        sizes = ("movement_hidden_size", "movement_latent_size", "text_hidden_size", "motion_hidden_size")
        model = TextMotionEvaluatorModel(TextMotionEvaluatorConfig(**dict.fromkeys(sizes, 8), embedding_size=6))
        model.set_statistics(np.zeros(263), np.ones(263))
        processor = None
    model.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)


@pytest.mark.parametrize("stage", ["vqvae", "evaluator", "sft", "unimo"])
def test_snippet_runs(run, stage, monkeypatch, capsys):
    saved(stage, run / stage)
    path = write_unimo_card(run / stage, run / "grpo") if stage == "unimo" else write_stage_card(run / stage)
    (snippet,) = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    assert "path/to/this/folder" in snippet
    monkeypatch.chdir(run)
    np.save("motion.npy", np.random.default_rng(0).normal(size=(22, 263)).astype(np.float32))
    exec(snippet.replace("path/to/this/folder", str(run / stage)), {})
    assert capsys.readouterr().out
    if stage == "vqvae":
        assert "frames // 4" in snippet


def test_trainer_writes_this_card(run):
    """With a checkpoint, before a push and at the end; the summary holds what the card tells of the arguments."""
    settings = TrainingArguments(
        str(run / "vqvae"), use_cpu=True, report_to="none", learning_rate=3e-4, hub_token=SECRET, seed=11
    )
    trainer = StageTrainer(model=tiny_vqvae(), args=settings)
    trainer.create_model_card(model_name="generic")
    assert TITLES["vqvae"] in load(run / "vqvae" / "README.md").text
    trainer.state.global_step = 1
    finish_stage(trainer, "vqvae")
    summary = json.loads((run / "vqvae" / "training_summary.json").read_text())
    assert summary["training"]["learning_rate"] == 3e-4 and summary["training"]["seed"] == 11
    assert '"learning_rate": 0.0003' in load(run / "vqvae" / "README.md").text
    assert not any(SECRET in path.read_text() for path in (run / "vqvae").glob("*.json"))
    assert SECRET not in (run / "vqvae" / "README.md").read_text()
