"""Publish what a run made on the Hugging Face Hub: `python -m train.publish --run runs/quickstart --repo NAME`.

A model is pushed as one commit: safetensors, configuration, code, tokenizer and processor, and its card, which keeps
the words of its user, those written here and those written on the Hub. Files that only resume training, local paths
and pickles are not pushed. A push that fails leaves the run as it was, and the same command completes it.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from datasets_scripts.hub.card_merge import marked, merge
from datasets_scripts.hub.upload import README, HubRepo, Pushed, PushError, remember
from evaluate_unimo.functional import fingerprint
from modeling_unimo.command_line import command
from modeling_unimo.files_unimo import write_text
from train.engine.cards import (
    MADE_FROM,
    PICTURE,
    SAMPLE,
    SETTINGS,
    SUMMARY,
    beside,
    older_than_weights,
    read_stage,
    write_plain_card,
    write_stage_card,
    write_unimo_card,
)

WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
FILES = (
    *WEIGHTS,
    *("config.json", "generation_config.json", "chat_template.jinja", "processor_config.json"),
    *("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json"),
    *("merges.txt", "special_tokens_map.json", "added_tokens.json", "LICENSE*", "NOTICE*"),
    *("curves.json", SUMMARY, PICTURE),
)
CODE = Path(__file__).parent.parent / "modeling_unimo"
STAGES = ("vqvae", "evaluator", "evaluator_held_out", "sft", "grpo")  # folders of a run, parents first
_PATHS = ("_name_or_path", "name_or_path")


def publish(folder: str | Path, repo: str, private: bool | None = None, token: str | None = None) -> Pushed:
    """Publish one model folder: of a training stage, or an assembled UniMo.

    Args:
        folder: what `train/*.py` or `modeling_unimo.convert_checkpoint` left.
        repo: "owner/name", or a bare name under the account of the token.
        private: make the repository private.
        token: None takes the one that is logged in.

    Returns:
        Where it is now; also written to `hub_push.json` in the folder.

    Raises:
        FileNotFoundError: no finished model in the folder.
        ValueError: damaged or incomplete weights.
        PushError: the Hub could not be written to.
    """
    folder = Path(folder)
    check_model(folder)
    if model_type(folder) == "unimo" and older_than_weights(folder / SAMPLE, folder):
        from train.report.motion_strip import write_sample

        write_sample(folder)
    hub = HubRepo(repo, private=private, token=token)
    card = folder / README
    try:
        content = merge(card.read_text(encoding="utf-8") if card.is_file() else None, hub.read(README))
    except ValueError as error:
        raise PushError(f"{hub.name}/{README} on the Hub: {error}; correct it there") from None
    write_text(card, content)
    renew_card(folder, hub.name)
    content = marked(card.read_text(encoding="utf-8"))
    files = published_files(folder) | {README: content.encode()}
    stale = [name for name in hub.files if any(fnmatch(name, pattern) for pattern in WEIGHTS)]
    pushed = hub.push(files, f"Publish {STAGE_NAMES.get(stage_of(folder), 'model')}", delete=stale)
    write_text(card, content)
    remember(folder, pushed)
    return pushed


# What a folder of no training stage holds, by its kind of model; any other is a language model.
KINDS = {"motion_vqvae": "vqvae", "text_motion_evaluator": "evaluator"}
STAGE_NAMES = {"unimo": "UniMo", "vqvae": "motion VQ-VAE", "sft": "language model", "grpo": "language model"}


def model_type(folder: Path) -> str:
    """The kind of model that a folder's `config.json` names.

    Args:
        folder: The model folder.

    Returns:
        The kind.
    """
    return str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type"))


def stage_of(folder: Path) -> str:
    """The training stage that made a folder; of any other, its kind of model.

    Args:
        folder: The model folder.

    Returns:
        Name of the stage, or the kind of model.
    """
    return str(read_stage(folder).get("stage") or model_type(folder))


def check_model(folder: Path) -> None:
    """Check that a folder holds a complete model.

    Args:
        folder: The model folder.

    Raises:
        FileNotFoundError: no folder, no configuration or weights in it, or training has not finished.
        ValueError: a cut or damaged safetensors file.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    if (folder / SETTINGS).is_file() and not (folder / SUMMARY).is_file():
        raise FileNotFoundError(f"training in {folder} has not finished; run its command again to the end")
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"no model in {folder} (config.json is missing)")
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    for name in sorted(names):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"the model in {folder} is incomplete ({name} is missing)")
        check_safetensors(folder / name)


def check_safetensors(path: Path) -> None:
    """Check the header of a safetensors file, and that the file is as long as it says.

    Args:
        path: The file.

    Raises:
        ValueError: a cut or damaged file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            pass
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or not a safetensors file ({error})") from None


def published_files(folder: Path) -> dict[str, Path | bytes]:
    """The files of a model folder that go to the Hub: name -> file, or its content without local paths.

    Args:
        folder: The model folder.

    Returns:
        Files or contents by name.
    """
    files: dict[str, Path | bytes] = {}
    for path in sorted(folder.iterdir()):
        code = path.suffix == ".py" and (CODE / path.name).is_file()
        if path.is_file() and (code or any(fnmatch(path.name, pattern) for pattern in FILES)):
            files[path.name] = path
    for name in [name for name in files if name.endswith("config.json")]:
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        if without_paths(settings) != settings:
            files[name] = (json.dumps(without_paths(settings), indent=2) + "\n").encode()
    return files


def without_paths(settings: Any) -> Any:
    """A configuration without the names that its parts were loaded from, which are mostly local paths.

    Args:
        settings: The configuration, as read from JSON.

    Returns:
        What is left of it.
    """
    if isinstance(settings, dict):
        return {key: without_paths(value) for key, value in settings.items() if key not in _PATHS}
    return [without_paths(value) for value in settings] if isinstance(settings, list) else settings


def renew_card(folder: Path, repo: str) -> None:
    """Update a folder's card with the results of its run; without a run it stays, or gets its first version.

    Args:
        folder: The model folder.
        repo: Name of the repository.
    """
    if (folder / SETTINGS).is_file():
        write_stage_card(folder, repo)
        return
    if model_type(folder) != "unimo":
        if not (folder / README).read_text(encoding="utf-8").strip():
            write_plain_card(folder, KINDS.get(model_type(folder), "sft"), repo)
        return
    made_from = folder / MADE_FROM
    named = json.loads(made_from.read_text(encoding="utf-8"))["grpo"] if made_from.is_file() else "grpo"
    policy = beside(folder, named) or folder.parent / "grpo"
    if read_stage(policy) or not (folder / README).read_text(encoding="utf-8").strip():
        write_unimo_card(folder, policy, run_metrics(folder.parent, policy), repo)


def run_metrics(run: Path, policy: Path) -> dict[str, Any] | None:
    """The `metrics.json` of a run; None if there is none, or if it scored another policy than that folder's.

    Args:
        run: The run folder.
        policy: Folder of the policy that is published.

    Returns:
        The metrics, or None.
    """
    path = run / "metrics.json"
    if not path.is_file():
        return None
    metrics = json.loads(path.read_text(encoding="utf-8"))
    scored = str(metrics.get("protocol", {}).get("model", ""))
    if not any(policy.glob("*.safetensors")) or not scored.endswith(f"sha256 {fingerprint(policy)}"):
        print(f"note: {path} scores other weights than those in {policy}; the card goes without", flush=True)
        return None
    return metrics


# ---------------------------------------------------------------- a run and its folders


def targets(run: Path, repo: str, every: bool) -> Iterator[tuple[Path, str]]:
    """The folders of a run to publish, parents first, each with the name of its repository.

    Args:
        run: The run folder, or the folder of one model.
        repo: Name of the whole model's repository.
        every: Publish every stage.

    Yields:
        Folder and name of the repository.

    Raises:
        FileNotFoundError: neither a model nor a run in the folder.
    """
    if (run / "config.json").is_file():
        yield run, repo
        return
    stages = [name for name in STAGES if (run / name / "config.json").is_file()] if every else []
    whole = (run / "unimo" / "config.json").is_file()
    if not whole and not stages:
        raise FileNotFoundError(
            f"neither a model nor a run with unimo/ in {run}; give the folder of a stage, or --all for a run with "
            "finished stages"
        )
    for name in stages:
        yield run / name, f"{repo}-{name.replace('_', '-')}"
    if whole:
        yield run / "unimo", repo


def failure(folder: Path, repo: str, error: Exception, private: bool | None = None) -> str:
    """The message for a failed push: why, that nothing is lost, and the command that resumes.

    Args:
        folder: Folder of the model or the run.
        repo: Name of the repository.
        error: What went wrong.
        private: As of the command that failed.

    Returns:
        The message.
    """
    again = f"python -m train.publish --run {folder} --repo {repo}" + (" --private" if private else "")
    return f"error: {folder} was not published: {error}. Nothing here was lost; resume with: {again}"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True, help="a run (its unimo/ is published) or the folder of one model")
    parser.add_argument("--repo", required=True, help="owner/name, or a name under your own account")
    parser.add_argument("--private", action="store_true", help="a private repository; a public one is refused")
    parser.add_argument("--all", action="store_true", help="every stage of the run, as NAME-vqvae, NAME-sft, ..")
    arguments = parser.parse_args(argv)
    run, private = Path(arguments.run), arguments.private or None
    try:
        chosen = list(targets(run, arguments.repo, arguments.all))
    except FileNotFoundError as error:
        raise SystemExit(f"error: {error}") from None
    done = []
    for folder, repo in chosen:
        try:
            done.append((folder, publish(folder, repo, private)))
        except (OSError, ValueError, PushError) as error:
            raise SystemExit(failure(folder, repo, error, private)) from None
        print(f"{folder} -> {done[-1][1].repo}", flush=True)
    print(summary(done))


def summary(done: Sequence[tuple[Path, Pushed]]) -> str:
    """What was published, with the revision to pin.

    Args:
        done: Each folder, and where it was published.

    Returns:
        A line for each.
    """
    lines = [f'{pushed.repo}  revision="{pushed.revision}"{"  (private)" * pushed.private}' for _, pushed in done]
    return "\n".join(["Published; load with trust_remote_code=True and the revision, which pins the code:", *lines])


if __name__ == "__main__":
    main()
