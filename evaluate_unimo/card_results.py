"""Scores as a model card shows them: the Hub's `model-index`, each with its protocol and its interval.

Used by the cards of training runs, and by whoever has scored a model that lies on the Hub (`push_results`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from datasets_scripts.hub.card_words import prose
from datasets_scripts.hub.upload import README, HubRepo, Pushed, PushError
from evaluate_unimo.labels import TASKS, metric, variant
from evaluate_unimo.results import COUNTS, RESTS_ON, is_nested, rests_on

DATASET_TYPE = "unimo-motion-dataset"  # marks the results that this package wrote, which it may replace


def eval_results(
    scores: Mapping[str, Mapping[str, Any]], tag: Mapping[str, Any], dataset_name: str, split: str | None = None
) -> list[EvalResult]:
    """The scores of one model for the `model-index`.

    The value is the mean over repeats; `args` holds the 95% half-width, N and the judge, the data set's `args` the
    protocol and the generation settings, without which two figures cannot be compared.

    Args:
        scores: {task: {metric: value or {"mean", "ci95"}, "n": .., "held_out": {the same by another judge}, captioning
            protocol: {the same by that}}}, tasks as in `labels.TASKS`; others are left out.
        tag: {"protocol": .., "generation": ..}.
        dataset_name: as the card shows it.
        split: the split that t2m and m2t were scored on, where it is not `test`.

    Returns:
        Results for the `model-index`.
    """
    results = []
    for key, task in TASKS.items():
        scores_of_task = scores.get(key, {})
        nested = {name: value for name, value in scores_of_task.items() if is_nested(value)}
        for nested_name, nested_scores in {"": scores_of_task, **nested}.items():
            count = nested_scores.get("n")
            common = ({"n": count} if count else {}) | _variant(nested_name)
            for name, value in nested_scores.items():
                if name in COUNTS or name in nested or name.startswith(RESTS_ON):
                    continue
                label = metric(name).name + (f", N = {count}" if name == "fid" else "")
                args = {"ci95": value["ci95"]} if isinstance(value, Mapping) and "ci95" in value else {}
                if name == "consistency" and (basis := rests_on(nested_scores)):
                    args["rests_on"] = basis
                results.append(
                    EvalResult(
                        task_type=task.kind,
                        task_name=task.name,
                        dataset_type=DATASET_TYPE,
                        dataset_name=prose(dataset_name),
                        dataset_split=split if split and task.split == "test" else task.split,
                        dataset_args=prose(dict(tag)),
                        metric_type=name,
                        metric_name=", ".join([label, *_variant(nested_name).values()]),
                        metric_value=value["mean"] if isinstance(value, Mapping) else value,
                        metric_args=args | common,
                    )
                )
    return results


def _variant(name: str) -> dict[str, str]:
    """What the scores nested under a name differ in: another judge, or another captioning protocol."""
    if not name:
        return {}
    return {"judge" if name == "held_out" else "caption_protocol": variant(name)}


def replaced(
    old: Sequence[EvalResult] | None, new: Sequence[EvalResult] | None, weights: str | None = None
) -> list[EvalResult] | None:
    """Replace the results that this package wrote.

    Args:
        old: Results in the card.
        new: Results to write.
        weights: Fingerprint of the model now; without new results, old ones with this fingerprint are kept as well.

    Returns:
        `new` with the results of others, or None if nothing is left.
    """

    def stays(entry: EvalResult) -> bool:
        if entry.dataset_type != DATASET_TYPE:
            return True
        model = str(((entry.dataset_args or {}).get("protocol") or {}).get("model"))
        return not new and weights is not None and model.endswith(f"sha256 {weights}")

    return [*(new or []), *(entry for entry in old or [] if stays(entry))] or None


def push_results(repo: str, results: Mapping[str, Any], dataset_name: str, token: str | None = None) -> Pushed:
    """Write what `evaluate_unimo.run` found into the `model-index` of a model on the Hub.

    The card keeps its text and the results on other data; what this package wrote before is replaced.

    Args:
        repo: name of the model's repository.
        results: what `results.json` holds.
        dataset_name: as the card shows it.
        token: None takes the one that is logged in.

    Returns:
        What was pushed, and its address.

    Raises:
        PushError: the repository is not there or cannot be written to, or its card's metadata cannot be read.
    """
    scores = {
        task: results[task].get("generated", results[task]) if task != "m2t" else results[task]
        for task in TASKS
        if task in results
    }
    tag = {name: results[name] for name in ("protocol", "generation") if name in results}
    split = results.get("settings", {}).get("split")
    hub = HubRepo(repo, token=token, create=False)
    try:
        card = ModelCard(hub.read(README) or "---\n{}\n---\n")
    except (ValueError, TypeError) as error:
        raise PushError(f"the metadata of {hub.name}/{README} cannot be read: {error}") from error
    data = cast(ModelCardData, card.data)
    data.eval_results = replaced(data.eval_results, eval_results(scores, tag, dataset_name, split))
    data.model_name = data.model_name or hub.name.split("/")[-1]
    return hub.push({README: str(card).encode()}, "Evaluation results")
