"""The card of a stage folder: README.md with the Hub's metadata, made from what the stage left in its folder.

Only the part between two marker comments, and the metadata that follow from the run, are written; everything else in
a card belongs to its user and stays. What users typed (names, settings, the data's own description) is escaped, paths
are cut to their last component, and nothing that looks like a secret is copied.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import DatasetCard, EvalResult, ModelCard, ModelCardData

from train.card_text import FIGURES, METRICS, NAME, SIDES, STAGES, TASKS, TRUST

README = "README.md"
HUMANML3D_DIM = 263
SETTINGS, SUMMARY = "training_run.json", "training_summary.json"
BEGIN = "<!-- unimo card: begin. Training rewrites what stands between these two marks; text outside is kept. -->"
END = "<!-- unimo card: end -->"
DATASET_TYPE = "unimo-motion-dataset"  # marks the results that this module wrote, which it may replace
TAGS = ["human-motion", "text-to-motion", "motion-to-text"]
LIBRARIES = ("unimo", "torch", "transformers", "trl", "accelerate")


# ---------------------------------------------------------------- the two cards


def write_stage_card(folder: str | Path) -> Path:
    """Write or renew the card of a training stage from its `training_run.json` and, once there, its summary.

    Args:
        folder: output folder of train/vqvae.py, evaluator.py, sft.py or grpo.py.

    Returns:
        The README.md.

    Raises:
        FileNotFoundError: the folder holds no `training_run.json`.
        ValueError: that file names no stage of this package.
    """
    folder = Path(folder)
    run = read_stage(folder)
    if not run:
        raise FileNotFoundError(f"{folder} holds no {SETTINGS}; a card is made from a folder of a training stage")
    stage = run["stage"]
    if stage == "unimo" or stage not in STAGES:
        raise ValueError(f"{folder / SETTINGS} names the stage {stage!r}, none of {', '.join(STAGES)}")
    sft = run if stage == "sft" else read_stage(run.get("sft_model"))
    dataset = read_dataset(run.get("dataset"))
    return _renew(folder, card_data(stage, sft, dataset), stage, {stage: run}, dataset)


def write_unimo_card(folder: str | Path, grpo_folder: str | Path, metrics: Mapping[str, Any] | None = None) -> Path:
    """Write or renew the card of an assembled UniMo folder.

    Args:
        folder: the UniMo folder.
        grpo_folder: folder of the GRPO stage, whose `training_run.json` leads to the other stages.
        metrics: what `metrics.json` of a run holds; None before evaluation.

    Returns:
        The README.md.
    """
    grpo = read_stage(grpo_folder)
    names = {"vqvae": "vqvae", "evaluator": "evaluator", "sft": "sft_model"}
    parts = {stage: read_stage(grpo.get(key)) for stage, key in names.items()} | {"grpo": grpo}
    dataset = read_dataset(grpo.get("dataset"))
    data = card_data("unimo", parts["sft"], dataset)
    if metrics is not None:
        data.model_name, data.eval_results = Path(folder).resolve().name, eval_results(metrics, dataset)
    return _renew(Path(folder), data, "unimo", parts, dataset, metrics)


# ---------------------------------------------------------------- what the folders say


def read_stage(folder: str | Path | None) -> dict[str, Any]:
    """Settings of a stage with its summary under "summary"; empty where the folder is not there (any more)."""
    if not folder or not (Path(folder) / SETTINGS).is_file():
        return {}
    run = json.loads((Path(folder) / SETTINGS).read_text(encoding="utf-8"))
    summary = Path(folder) / SUMMARY
    return run | {"summary": json.loads(summary.read_text(encoding="utf-8")) if summary.is_file() else {}}


def read_dataset(folder: str | Path | None) -> dict[str, Any]:
    """What a dataset folder says of itself: {"name", "splits", "feature_dim"}, and with a card "description",
    "pretty_name", "license", "license_name", "license_link"; "hub_names" where it lies in the Hub's cache."""
    facts: dict[str, Any] = {"name": "", "splits": {}, "feature_dim": HUMANML3D_DIM}
    if not folder:
        return facts
    path, cached = Path(folder), cached_name(str(folder), "datasets")
    facts |= {"name": cached, "hub_names": [cached]} if cached else {"name": last_component(str(folder))}
    if (path / "build.json").is_file():
        build = json.loads((path / "build.json").read_text(encoding="utf-8"))
        facts |= {name: build[name] for name in ("splits", "feature_dim") if name in build}
    card = _read_card(DatasetCard, path / README)
    if card is not None:
        names = ("license", "license_name", "license_link", "pretty_name")
        facts |= {name: card.data.get(name) for name in names if card.data.get(name)}
        lines = (line.strip() for line in card.text.splitlines())
        facts["description"] = next((line for line in lines if line and line[0] not in "#|<!-`[>"), "")
    return facts


def cached_name(path: str, kind: str) -> str | None:
    """The name on the Hub of a folder in the Hub's cache, `../datasets--owner--name/snapshots/..`; else None."""
    found = re.search(rf"(?:^|[\\/]){kind}--([\w.-]+?)--([\w.-]+?)[\\/]snapshots(?:[\\/]|$)", path)
    return f"{found[1]}/{found[2]}" if found else None


def base_name(name: str) -> str | None:
    """The name on the Hub of a base model given by name or by its folder in the cache; None for another folder."""
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", name) and not Path(name).exists():
        return name
    return cached_name(name, "models")


def last_component(path: str) -> str:
    """The last component of a path of either kind; also of a URL, which may carry a password before its host."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


_SECRET = re.compile(r"\b(?:hf|api_org|sk|gh[opsu]|github_pat)_\w{16,}")
_SECRET_KEY = re.compile(r"(^|_)(token|secret|password|api_key)$", re.IGNORECASE)
# An absolute path inside prose: what stands before its last component says something about a machine.
_FOLDERS = re.compile(r"(?<![\w/:.~])(?:[A-Za-z]:|~)?[\\/](?:[^\s\\/\"'<>()]+[\\/])+")


def public(value: Any, key: str = "") -> Any:
    """Settings fit for publishing: paths cut to their last component, secrets left out."""
    if isinstance(value, Mapping):
        return {str(k): public(v, str(k)) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [public(v, key) for v in value]
    if not isinstance(value, str):
        return value
    if _SECRET_KEY.search(key) and value:
        return "(left out)"
    named = base_name(value) if key == "base_model" else cached_name(value, "datasets")
    return _SECRET.sub("(left out)", named or last_component(value))


def prose(value: Any) -> Any:
    """Words, or a nest of them, fit for publishing: absolute paths lose their folders, secrets are left out."""
    if isinstance(value, Mapping):
        return {str(k): prose(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [prose(v) for v in value]
    return _FOLDERS.sub("", _SECRET.sub("(left out)", value)) if isinstance(value, str) else value


def text(value: Any) -> str:
    """One line of plain Markdown text that shows `value` as it was typed and does nothing else."""
    line = " ".join("".join(c if c.isprintable() else " " for c in prose(str(value))).split())
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", escape(line, quote=False))


# ---------------------------------------------------------------- metadata


def card_data(stage: str, sft: Mapping[str, Any], dataset: Mapping[str, Any]) -> ModelCardData:
    """The Hub's metadata of one folder; only names on the Hub are given as base model and data sets."""
    about, license_ = STAGES[stage], dataset.get("license")
    known = isinstance(license_, str)
    return ModelCardData(
        library_name="transformers",
        license=license_ if known else "unknown",
        license_name=dataset.get("license_name") if known else None,
        license_link=dataset.get("license_link") if known else None,
        tags=[*TAGS, *about.tags],
        pipeline_tag=about.pipeline_tag,
        base_model=base_name(sft.get("base_model") or ""),
        datasets=dataset.get("hub_names"),
    )


def eval_results(metrics: Mapping[str, Any], dataset: Mapping[str, Any]) -> list[EvalResult]:
    """The scores after GRPO for the `model-index`.

    The value is the mean over repeats; `args` holds the 95% half-width, N and the judge, the data set's `args` the
    protocol and the generation settings, without which two figures cannot be compared.
    """
    results = []
    for task, (task_type, title, split) in TASKS.items():
        scores = metrics.get(task, {}).get("grpo", {})
        protocol = prose({name: metrics[name] for name in ("protocol", "generation") if name in metrics})
        for judge, judged in (("", scores), ("held-out judge", scores.get("held_out", {}))):
            count = judged.get("n")
            for name, value in judged.items():
                if name in ("n", "held_out"):
                    continue
                mean, args = value, {}
                if isinstance(value, Mapping):
                    mean, args = value["mean"], {"ci95": value["ci95"]}
                label = METRICS.get(name, name)
                label += f", N = {count}" if name == "fid" else ""
                results.append(
                    EvalResult(
                        task_type=task_type,
                        task_name=title,
                        dataset_type=DATASET_TYPE,
                        dataset_name=prose(str(dataset.get("pretty_name") or dataset["name"] or "motion and text")),
                        dataset_split=split,
                        dataset_args=protocol,
                        metric_type=name,
                        metric_name=f"{label}, {judge}" if judge else label,
                        metric_value=mean,
                        metric_args=args | ({"n": count} if count else {}) | ({"judge": judge} if judge else {}),
                    )
                )
    return results


def merged(data: ModelCardData, old: ModelCardData | None) -> ModelCardData:
    """`data` over the metadata of the card before: what only the user wrote stays, and so does a licence once named.

    Results on other data sets stay; ours go where there are no new ones, since the weights they scored are gone.
    """
    if old is None:
        return data
    ours, before = data.to_dict(), old.to_dict()
    combined = before | ours | {"tags": [*ours["tags"], *(before.get("tags") or [])], "model-index": None}
    if before.get("license") not in (None, "unknown"):
        combined |= {name: before.get(name) for name in ("license", "license_name", "license_link")}
    result = ModelCardData(**combined)
    kept = [entry for entry in old.eval_results or [] if entry.dataset_type != DATASET_TYPE]
    result.eval_results = [*(data.eval_results or []), *kept] or None
    result.model_name = (data.model_name or old.model_name) if result.eval_results else None
    return result


# ---------------------------------------------------------------- text


def section(
    stage: str,
    parts: Mapping[str, Mapping[str, Any]],
    dataset: Mapping[str, Any],
    data: ModelCardData,
    metrics: Mapping[str, Any] | None = None,
) -> str:
    """The generated part of a card, without its marks."""
    about, dim = STAGES[stage], dataset["feature_dim"]
    model = parts.get("vqvae", {}).get("model", {})
    holes = {"{name}": NAME, "{dim}": str(dim), "{unit}": str(model.get("stride_t", 2) ** model.get("down_t", 2))}
    holes |= {"{fps}": "20", "{joints}": "22"} if dim == HUMANML3D_DIM else {"{fps}": "12.5", "{joints}": "21"}

    def fill(words: str) -> str:
        for hole, value in holes.items():
            words = words.replace(hole, value)
        return words

    lines = [f"# {about.title}", "", fill(about.what), "", "## How to load it", ""]
    lines += ["```python", fill(about.snippet).rstrip(), "```", "", TRUST]
    if stage == "unimo":
        lines[-1] += (
            ' `pipeline("text-to-motion", model=name, trust_remote_code=True)` and `"motion-to-text"` work as well.'
        )
    lines += ["", "## Training", "", *_data_lines(dataset)]
    if data.base_model:
        lines += [f"Base model: {text(data.base_model)}.", ""]
    lines += [f"Made with {_versions()}. Settings (paths without their folders):", "", *_settings_lines(parts)]
    lines += ["", "## Figures", ""]
    if stage == "unimo":
        lines += [*(_metric_lines(metrics) if metrics else ["Not evaluated yet."]), ""]
    lines += _figure_lines(parts)
    lines += ["", "## Limits", "", fill(about.limits)]
    lines += ["", "## Licence", "", _licence(dataset, data)]
    return "\n".join(lines)


def _versions() -> str:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue  # a checkout that is on the path without being installed
    return ", ".join(found)


def _data_lines(dataset: Mapping[str, Any]) -> list[str]:
    name = dataset.get("pretty_name") or dataset["name"] or "not recorded"
    lines = [f"Data: {text(name)}. {text(dataset.get('description', ''))}".rstrip(), ""]
    if dataset["splits"]:
        rows = [
            [split, part["clips"], part["captions"], f"{part['seconds'] / 60:.1f}"]
            for split, part in dataset["splits"].items()
        ]
        lines += [*_table(["split", "clips", "captions", "minutes"], rows), ""]
    return lines


def _settings_lines(parts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    settings = {}
    for stage, run in parts.items():
        own = {k: v for k, v in run.items() if k not in ("stage", "summary")}
        settings[stage] = public(own | run.get("summary", {}).get("training", {}))
    return _fenced(settings)


def _fenced(value: Any) -> list[str]:
    """JSON in a fence: no line of JSON can end the fence, and no mark of this card is left in it."""
    return ["```json", json.dumps(value, indent=2, ensure_ascii=False).replace("<", "\\u003c"), "```"]


def _figure_lines(parts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [
        [stage, label, _number(run["summary"][name])]
        for stage, run in parts.items()
        for name, label in FIGURES.items()
        if name in run.get("summary", {})
    ]
    return _table(["stage", "figure", "value"], rows) if rows else ["Training has not finished."]


def _metric_lines(metrics: Mapping[str, Any]) -> list[str]:
    """A table a task: a row for real motion and each stage, by both judges; mean ± 95% half-width."""
    lines = ["Mean over repeats ± 95% half-width, on splits that training never saw.", ""]
    for task, (_, title, split) in TASKS.items():
        rows: dict[str, Mapping[str, Any]] = {}
        for side, scores in metrics.get(task, {}).items():
            rows[SIDES.get(side, side)] = {k: v for k, v in scores.items() if k != "held_out"}
            if "held_out" in scores:
                rows[f"{SIDES.get(side, side)}, held-out judge"] = scores["held_out"]
        columns = list(dict.fromkeys(name for scores in rows.values() for name in scores))
        if columns:
            header = ["", *(METRICS.get(name, name) for name in columns)]
            body = [[row, *(_number(scores.get(name)) for name in columns)] for row, scores in rows.items()]
            lines += [f"{title} (split `{split}`):", "", *_table(header, body), ""]
    protocol = prose({name: metrics[name] for name in ("generation", "protocol") if name in metrics})
    return [
        *lines,
        "How answers were generated and scored; figures made otherwise do not compare:",
        "",
        *_fenced(protocol),
    ]


def _licence(dataset: Mapping[str, Any], data: ModelCardData) -> str:
    stated = dataset.get("license")
    if stated:
        names = ", ".join(stated) if isinstance(stated, Sequence) and not isinstance(stated, str) else stated
        words = f"The data states {text(names)}, which binds what was trained on it."
    elif data.license == "unknown":
        words = "The data states no licence, so none is claimed for the weights: settle it before publishing them."
    else:
        words = f"The weights are published under {text(data.license)}."
    if data.base_model:
        words += " The licence of the base model holds as well."
    return words + " The Python files of this folder are Apache-2.0."


def _table(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = ["| " + " | ".join(text(cell) for cell in header) + " |", "| --- " * len(header) + "|"]
    return lines + ["| " + " | ".join(text(cell) for cell in row) + " |" for row in rows]


def _number(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['mean']:.4g} ± {value['ci95']:.2g}"
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


# ---------------------------------------------------------------- the file


def _read_card(kind: type[ModelCard] | type[DatasetCard], path: Path) -> Any:
    """The card at `path`; None where there is none, or, said aloud, where its header cannot be read."""
    if not path.is_file():
        return None
    try:
        return kind.load(path)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        print(f"warning: the header of {path} cannot be read and is not taken over: {error}", flush=True)
        return None


def _renew(
    folder: Path,
    data: ModelCardData,
    stage: str,
    parts: Mapping[str, Mapping[str, Any]],
    dataset: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
) -> Path:
    """Put metadata and the generated part into the card of `folder`, and leave all else in it as it is."""
    path = folder / README
    old = _read_card(ModelCard, path)
    words = old.text if old is not None else ""
    if old is None and path.is_file():
        # A header that is no metadata is text like any other: it stays where its user can mend it.
        words = "\n" + path.read_text(encoding="utf-8", errors="replace")
    before, _, rest = words.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        words = words.replace(BEGIN, "").replace(END, "")
        before, after = "\n", f"\n\n{words}" if words.strip() else "\n"
    data = merged(data, old.data if old is not None else None)
    generated = section(stage, parts, dataset, data, metrics)
    partial = folder / f".{README}.part"
    with open(partial, "w", encoding="utf-8", newline="") as file:  # line ends as the user has them
        file.write(f"---\n{data.to_yaml()}\n---\n{before}{BEGIN}\n\n{generated}\n\n{END}{after}")
    os.replace(partial, path)
    return path
