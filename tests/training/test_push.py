"""`--push_to_hub` of the training scripts, without a Hub: what is pushed, when, and what is said."""

import os
from types import SimpleNamespace

import pytest
from tiny_unimo import tiny_vqvae
from transformers import TrainingArguments

from datasets_scripts.hub.upload import Pushed, PushError
from train.engine import push
from train.engine.arguments import parse_arguments
from train.engine.stages import StageTrainer


@pytest.fixture
def published(monkeypatch):
    """(folder, repository, private) of every push; those in `published.broken` fail."""
    calls = SimpleNamespace(done=[], broken=set())

    def publish(folder, repo, private):
        if repo in calls.broken:
            raise PushError("the Hub answered 500")
        calls.done.append((str(folder), repo, private))
        return Pushed(f"me/{repo}", "abc", bool(private))

    monkeypatch.setattr(push, "publish", publish)
    return calls


def training(**settings):
    return SimpleNamespace(
        **{"push_to_hub": True, "process_index": 0, "output_dir": "runs/x/grpo", "hub_model_id": None}
        | {"hub_private_repo": None}
        | settings
    )


def test_the_stage_and_what_else_it_made(published, capsys):
    push.push_stage(training(hub_private_repo=True), ("runs/x/unimo", "-unimo"))
    assert published.done == [("runs/x/grpo", "grpo", True), ("runs/x/unimo", "grpo-unimo", True)]
    assert 'me/grpo-unimo  revision="abc"  (private)' in capsys.readouterr().out


@pytest.mark.parametrize("settings", [{"push_to_hub": False}, {"process_index": 1}])
def test_nothing_is_pushed(published, settings):
    push.push_stage(training(**settings))
    assert published.done == []


def test_one_failure_does_not_keep_the_other_back(published):
    published.broken.add("me/m")
    with pytest.raises(SystemExit, match="resume with: python -m train.publish --run runs/x/grpo --repo me/m") as stop:
        push.push_stage(training(hub_model_id="me/m"), ("runs/x/unimo", "-unimo"))
    assert published.done == [("runs/x/unimo", "me/m-unimo", None)]
    assert "Nothing here was lost" in str(stop.value) and stop.value.__suppress_context__ is False


def test_a_token_on_the_command_line_gets_into_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "")
    command = ["--output_dir", str(tmp_path), "--hub_token", "hf_given", "--use_cpu", "true"]
    (arguments,) = parse_arguments((TrainingArguments,), command)
    assert arguments.hub_token is None and os.environ["HF_TOKEN"] == "hf_given"


def trainer(tmp_path, **settings):
    arguments = TrainingArguments(str(tmp_path / "m"), use_cpu=True, report_to="none", push_to_hub=True, **settings)
    return StageTrainer(model=tiny_vqvae(), args=arguments)


def test_the_repository_is_opened_before_training(tmp_path, monkeypatch):
    opened = []

    def repo(name, private):
        opened.append((name, private))
        return SimpleNamespace(name=f"me/{name}")

    monkeypatch.setattr(push, "HubRepo", repo)
    made = trainer(tmp_path, hub_private_repo=True)
    assert opened == [("m", True)] and made.hub_model_id == "me/m"
    made.save_model(str(tmp_path / "m"))  # the Trainer would push here, before the card and with its pickle
    made._push_from_checkpoint(str(tmp_path / "m"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hub_strategy": "checkpoint"}, "contain pickles"),
        ({"hub_strategy": "all_checkpoints"}, "contain pickles"),
        ({"hub_revision": "dev"}, "hub_revision"),
        ({}, "push_to_hub: not logged in"),
    ],
)
def test_what_cannot_be_is_said_before_training(tmp_path, monkeypatch, settings, said):
    def refuse(name, private):
        raise PushError("not logged in")

    monkeypatch.setattr(push, "HubRepo", refuse)
    with pytest.raises(SystemExit, match=said):
        trainer(tmp_path, **settings)
