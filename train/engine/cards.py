"""The card of a stage folder: README.md with the Hub's metadata, made from what the stage left in its folder.

Only the part between two marker comments, and the metadata that follow from the run, are written; everything else in
a card belongs to its user and stays. What users typed (names, settings, the data's own description) is escaped, paths
are cut to their last component, and nothing that looks like a secret is copied.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import DatasetCard, ModelCard, ModelCardData

from datasets_scripts.hub.card_merge import TAGS, Card
from datasets_scripts.hub.card_words import (
    base_name,
    cached_name,
    command_line,
    description,
    last_component,
    prose,
    public,
    text,
)
from datasets_scripts.hub.upload import Pushed, published
from datasets_scripts.templates import render
from evaluate_unimo import results
from evaluate_unimo.card_results import eval_results, replaced
from evaluate_unimo.functional import fingerprint
from evaluate_unimo.labels import MODELS, TASKS, Task, metric
from modeling_unimo.files_unimo import write_json, write_text
from train.engine.run_folder import SETTINGS, SUMMARY

README = "README.md"
HUMANML3D_DIM = 263
DONE = "stage_done.json"  # of the quickstart
PICTURE, SAMPLE = "sample.png", "sample.json"
MADE_FROM = "made_from.json"  # in a UniMo folder: the folder of its policy
TEMPLATES = Path(__file__).parent / "templates"
LIBRARIES = ("unimo", "torch", "transformers", "trl", "accelerate")


@dataclass(frozen=True)
class Kind:
    """What the Hub's metadata say of one kind of folder; its text is `templates/<stage>.md`."""

    tags: tuple[str, ...]
    pipeline_tag: str | None = None  # the Hub knows none for motion


STAGES = {
    "vqvae": Kind(("vq-vae", "motion-tokenizer")),
    "evaluator": Kind(("text-motion-retrieval",)),
    "held_out_evaluator": Kind(("text-motion-retrieval",)),
    "sft": Kind(("trl", "sft"), "text-generation"),
    "grpo": Kind(("trl", "grpo"), "text-generation"),
    "unimo": Kind(("chain-of-thought",)),
}
# Numbers of a training summary that a card shows.
FIGURES = {
    "steps": "Steps",
    "processes": "Processes",
    "train_runtime": "Seconds of training",
    "peak_memory_mb_per_process": "Peak memory of a process, MB",
    "loss": "Training loss, last logged",
    "mean_token_accuracy": "Token accuracy in training, last logged",
    "reward": "Reward, last logged",
    "kl": "KL to the supervised model, last logged",
    "eval_mpjpe_mm": "Joint error without the root, validation, mm",
    "eval_root_drift_m": "Root drift at the end of a clip, validation, median, m",
    "eval_codes_used": "Share of the codes in use, validation",
    "eval_r_precision_top1": "R-Precision top-1 in pools of at most 32, validation",
}


# ---------------------------------------------------------------- the two cards


def write_stage_card(folder: str | Path, repo: str = "") -> Path:
    """Write or renew the card of a training stage from its `training_run.json` and, if it exists, its summary.

    Args:
        folder: output folder of train/vqvae.py, evaluator.py, sft.py or grpo.py.
        repo: name of the repository that the folder is published to; "" if it is not.

    Returns:
        The README.md.

    Raises:
        FileNotFoundError: the folder holds no `training_run.json`.
        ValueError: that file names no stage of this package.
    """
    folder = Path(folder)
    run = read_stage(folder)
    if not run:
        raise FileNotFoundError(f"no {SETTINGS} in {folder}; expected the folder of a training stage")
    stage = run["stage"]
    if stage == "unimo" or stage not in STAGES:
        raise ValueError(f"stage in {folder / SETTINGS} must be one of {', '.join(STAGES)}, got {stage!r}")
    sft_folder = beside(folder, run.get("sft_model"))
    base = base_name((run if stage == "sft" else read_stage(sft_folder)).get("base_model") or "")
    parents = _parents([sft_folder], base)
    dataset = read_dataset(beside(folder, run.get("dataset")))
    return _renew(folder, card_data(stage, parents, dataset), stage, {stage: run}, dataset, repo=repo)


def write_plain_card(folder: Path, stage: str, repo: str = "") -> Path:
    """Write the card of a model without a training run of this package, such as a converted one.

    Args:
        folder: the model.
        stage: the key of its kind in `STAGES`.
        repo: name of the repository that the folder is published to; "" if it is not.

    Returns:
        Path of the card.
    """
    dataset = read_dataset(None)
    return _renew(folder, card_data(stage, [], dataset), stage, {}, dataset, repo=repo)


def write_unimo_card(
    folder: str | Path, grpo_folder: str | Path, metrics: Mapping[str, Any] | None = None, repo: str = ""
) -> Path:
    """Write or renew the card of an assembled UniMo folder.

    Args:
        folder: the UniMo folder.
        grpo_folder: folder of the GRPO stage, whose `training_run.json` leads to the other stages.
        metrics: what `metrics.json` of a run holds; None before evaluation.
        repo: name of the repository that the folder is published to; "" if it is not.

    Returns:
        The README.md.
    """
    folder, grpo_folder = Path(folder), Path(grpo_folder)
    write_json(folder / MADE_FROM, {"grpo": str(grpo_folder)})
    grpo = read_stage(grpo_folder)
    names = {"vqvae": "vqvae", "evaluator": "evaluator", "sft": "sft_model"}
    folders = {stage: beside(grpo_folder, grpo.get(key)) for stage, key in names.items()}
    parts = {stage: read_stage(place) for stage, place in folders.items()} | {"grpo": grpo}
    dataset = read_dataset(beside(grpo_folder, grpo.get("dataset")))
    policy = grpo_folder if published(grpo_folder) else folders["sft"]
    parents = _parents([policy, folders["vqvae"]], base_name(parts["sft"].get("base_model") or ""))
    data = card_data("unimo", parents, dataset)
    if metrics is not None:
        scores = {task: metrics.get(task, {}).get("grpo", {}) for task in TASKS}
        tag = {name: metrics[name] for name in ("protocol", "generation") if name in metrics}
        shown = str(dataset.get("pretty_name") or dataset["name"] or "motion and text")
        data.model_name = (repo or folder.resolve().name).split("/")[-1]
        data.eval_results = eval_results(scores, tag, shown)
        parts["evaluation"] = {"command": _command(folder.parent / "evaluation_grpo")}
    return _renew(folder, data, "unimo", parts, dataset, metrics, repo)


# ---------------------------------------------------------------- what the folders say


def beside(folder: Path, path: str | Path | None) -> Path | None:
    """Current path of a folder that a run names: as named, or, if the run was moved, beside the run's own folder.

    Args:
        folder: The run's own folder.
        path: The folder as the run named it, or None.

    Returns:
        Its path, or None if it does not exist.
    """
    if not path:
        return None
    named, sibling = Path(path), folder.parent / last_component(str(path))
    return sibling if not named.exists() and sibling.is_dir() else named


def read_stage(folder: str | Path | None) -> dict[str, Any]:
    """Settings of a stage, with its summary under "summary" and the command that made it under "command".

    Empty if the folder does not exist (any more).

    Args:
        folder: Output folder of the stage, or None.

    Returns:
        The settings.
    """
    if not folder or not (Path(folder) / SETTINGS).is_file():
        return {}
    run = json.loads((Path(folder) / SETTINGS).read_text(encoding="utf-8"))
    path = Path(folder) / SUMMARY
    summary = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return run | {"summary": summary, "command": summary.get("command") or _command(Path(folder))}


def _command(folder: Path) -> str:
    """The command that filled a folder of a quickstart, fit for a card; "" if it is not recorded."""
    path = folder / DONE
    return command_line(json.loads(path.read_text(encoding="utf-8"))["command"]) if path.is_file() else ""


def _parents(folders: Sequence[Path | None], base: str | None) -> list[Pushed | str]:
    """What a model was made from, as far as it is on the Hub: the folders' repositories, or else the base model."""
    found: list[Pushed | str] = [pushed for folder in folders if (pushed := published(folder))]
    return [base, *found] if base and not (folders and published(folders[0])) else found


def older_than_weights(file: Path, folder: Path) -> bool:
    """Whether a file is missing, or was made before the weights of a model folder.

    Args:
        file: The file.
        folder: The model folder.

    Returns:
        Whether it is.
    """
    weights = max((path.stat().st_mtime for path in folder.glob("*.safetensors")), default=0.0)
    return not file.is_file() or file.stat().st_mtime < weights


def read_sample(folder: Path) -> dict[str, str]:
    """The picture of a generated motion in a folder: {"picture", "text", "thought"}; empty if there is none.

    Args:
        folder: The model folder.

    Returns:
        The names and words of the sample.
    """
    path = folder / SAMPLE
    if older_than_weights(path, folder) or not (folder / PICTURE).is_file():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))


def read_dataset(folder: str | Path | None) -> dict[str, Any]:
    """What a dataset folder says of itself.

    Args:
        folder: The dataset folder, or None.

    Returns:
        {"name", "splits", "feature_dim"}; with a card also "description", "pretty_name", "license", "license_name" and
        "license_link"; "hub_names" if it is on the Hub or in its cache, "command" if what built it is known.
    """
    facts: dict[str, Any] = {"name": "", "splits": {}, "feature_dim": HUMANML3D_DIM}
    if not folder:
        return facts
    path, cached = Path(folder), cached_name(str(folder), "datasets")
    facts |= {"name": cached, "hub_names": [cached]} if cached else {"name": last_component(str(folder))}
    if (path / "build.json").is_file():
        build = json.loads((path / "build.json").read_text(encoding="utf-8"))
        facts |= {name: build[name] for name in ("splits", "feature_dim") if name in build}
    pushed = published(path)
    if pushed is not None and not pushed.private:
        facts["hub_names"] = [pushed.repo]
    facts["command"] = _command(path)
    card = _read_card(DatasetCard, path / README)
    if card is not None:
        names = ("license", "license_name", "license_link", "pretty_name")
        facts |= {name: card.data.get(name) for name in names if card.data.get(name)}
        facts["description"] = description(card.text)
    return facts


# ---------------------------------------------------------------- metadata


def card_data(stage: str, parents: Sequence[Pushed | str], dataset: Mapping[str, Any]) -> ModelCardData:
    """The Hub's metadata of one folder; only names on the Hub are given as base models and data sets.

    A private repository is named nowhere: its name is not for everybody who may read the card.

    Args:
        stage: Name of the stage.
        parents: Base models: where they were published, or their names.
        dataset: From `read_dataset`.

    Returns:
        The metadata.
    """
    about, license_ = STAGES[stage], dataset.get("license")
    known = isinstance(license_, str)
    names = [parent if isinstance(parent, str) else parent.repo for parent in parents if _open(parent)]
    return ModelCardData(
        library_name="transformers",
        license=license_ if known else "unknown",
        license_name=dataset.get("license_name") if known else None,
        license_link=dataset.get("license_link") if known else None,
        tags=[*TAGS, *about.tags],
        pipeline_tag=about.pipeline_tag,
        base_model=names[0] if len(names) == 1 else names or None,
        datasets=dataset.get("hub_names"),
    )


def merged(data: ModelCardData, old: ModelCardData | None, folder: Path | None = None) -> ModelCardData:
    """`data` over the metadata of the card before: what only the user wrote stays, and so does a licence once named.

    Results on other data sets stay. Of ours, where there are no new ones, those stay that name the weights of
    `folder`; the weights that others scored are gone.

    Args:
        data: The new metadata.
        old: The metadata of the card before, or None.
        folder: The model folder, whose weights results may name.

    Returns:
        The metadata.
    """
    if old is None:
        return data
    ours, before = data.to_dict(), old.to_dict()
    combined = before | ours | {"tags": [*ours["tags"], *(before.get("tags") or [])], "model-index": None}
    if before.get("license") not in (None, "unknown"):
        combined |= {name: before.get(name) for name in ("license", "license_name", "license_link")}
    result = ModelCardData(**combined)
    weights = fingerprint(folder) if folder is not None and any(folder.glob("*.safetensors")) else None
    result.eval_results = replaced(old.eval_results, data.eval_results, weights)
    result.model_name = (data.model_name or old.model_name) if result.eval_results else None
    return result


def _open(parent: Pushed | str) -> bool:
    return isinstance(parent, str) or not parent.private


# ---------------------------------------------------------------- text


def section(
    stage: str,
    parts: Mapping[str, Mapping[str, Any]],
    dataset: Mapping[str, Any],
    data: ModelCardData,
    metrics: Mapping[str, Any] | None = None,
    repo: str = "",
    sample: Mapping[str, str] | None = None,
) -> str:
    """The generated part of a card, without its marks.

    Args:
        stage: Name of the stage.
        parts: Settings of the stage and of those before it, by name.
        dataset: From `read_dataset`.
        data: From `card_data`.
        metrics: The run's metrics, if any.
        repo: Name of the model's repository, "" if it has none.
        sample: From `read_sample`.

    Returns:
        Markdown.
    """
    dim, model = dataset["feature_dim"], parts.get("vqvae", {}).get("model", {})
    base = data.base_model or []
    settings = {}
    for part, run in parts.items():
        own = {k: v for k, v in run.items() if k not in ("stage", "summary", "command")}
        settings[part] = public(own | run.get("summary", {}).get("training", {}))
    settings = {part: used for part, used in settings.items() if used}
    figures = [
        [part, label, results.shown(run["summary"][name])]
        for part, run in parts.items()
        for name, label in FIGURES.items()
        if name in run.get("summary", {})
    ]
    protocol = {name: (metrics or {})[name] for name in ("generation", "protocol") if name in (metrics or {})}
    return render(
        TEMPLATES / f"{stage}.md",
        repo=repo,
        dim=dim,
        fps="20" if dim == HUMANML3D_DIM else "12.5",
        joints="22" if dim == HUMANML3D_DIM else "21",
        unit=model.get("stride_t", 2) ** model.get("down_t", 2),
        sample=sample,
        dataset={"pretty_name": "", "description": ""} | dict(dataset),
        splits=[
            [split, part["clips"], part["captions"], f"{part['seconds'] / 60:.1f}"]
            for split, part in dataset["splits"].items()
        ],
        base_models=[base] if isinstance(base, str) else base,
        commands=[run["command"] for run in (dataset, *parts.values()) if run.get("command")],
        settings=_json(settings) if parts else "",
        versions=_versions(),
        figures=figures,
        evaluations=_evaluations(metrics or {}),
        protocol=_json(prose(protocol)),
        licence=_licence(dataset, data),
    )


def _versions() -> str:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue  # a checkout that is on the path without being installed
    return ", ".join(found)


def _json(value: Any) -> str:
    """JSON for a fenced block: none of its lines can end the block, and it holds no mark of a card."""
    return json.dumps(value, indent=2, ensure_ascii=False).replace("<", "\\u003c")


def _evaluations(metrics: Mapping[str, Any]) -> list[tuple[Task, list[str], list[list[str]]]]:
    """(task, header, rows): a row for real motion and each stage, by both judges; mean ± 95% half-width."""
    tables = []
    for key, task in TASKS.items():
        sides = {MODELS.get(side, side): scores for side, scores in metrics.get(key, {}).items()}
        columns, body = results.table(sides)
        if columns:
            header = ["", *(metric(name).name for name in columns)]
            tables.append((task, header, body))
    return tables


def _licence(dataset: Mapping[str, Any], data: ModelCardData) -> str:
    stated = dataset.get("license")
    if stated:
        names = ", ".join(stated) if isinstance(stated, Sequence) and not isinstance(stated, str) else stated
        words = f"The data states {text(names)}, which binds what was trained on it."
    elif data.license == "unknown":
        words = "The data states no licence, so none is claimed for the weights: settle it before publishing them."
    else:
        words = f"The weights are published under {text(data.license)}."
    return words + (" The licence of the base model holds as well." if data.base_model else "")


# ---------------------------------------------------------------- the file


def _read_card(kind: type[ModelCard] | type[DatasetCard], path: Path) -> Any:
    """The card at `path`; None if there is none, or, with a warning, if its header is invalid."""
    if not path.is_file():
        return None
    try:
        return kind.load(path)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        print(f"warning: the header of {path} is invalid and is not taken over: {error}", flush=True)
        return None


def _renew(
    folder: Path,
    data: ModelCardData,
    stage: str,
    parts: Mapping[str, Mapping[str, Any]],
    dataset: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
    repo: str = "",
) -> Path:
    """Put metadata and the generated part into the card of `folder`, and leave all else in it as it is."""
    path = folder / README
    old = _read_card(ModelCard, path)
    content = path.read_bytes().decode("utf-8", errors="replace") if path.is_file() else ""
    # A header that is not metadata is text like any other: it stays where its user can mend it.
    card = Card.parse(content) if old is not None else Card("", content, None, "")
    data = merged(data, old.data if old is not None else None, folder)
    generated = section(stage, parts, dataset, data, metrics, repo, read_sample(folder))
    write_text(path, card.with_section(data.to_yaml(), generated).content)
    return path
