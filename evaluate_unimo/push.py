"""Add results to the card of a model on the Hub: `python -m evaluate_unimo.push --results DIR --repo NAME`.

The scores go into the card's metadata, each with its protocol tag and its interval; the card's own words stay. Nothing
is computed: `python -m evaluate_unimo.run --push_to_hub NAME` does the same once it has written its files.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from huggingface_hub import DatasetCard

from datasets_scripts.hub.upload import README, HubRepo, Pushed, PushError
from evaluate_unimo.card_results import push_results
from modeling_unimo.command_line import command

RESULTS = "results.json"


def push(folder: str | Path, repo: str) -> Pushed:
    """Push the results of an evaluation to the card of a model.

    Args:
        folder: Output folder of `evaluate_unimo.run`.
        repo: Name of the model's repository.

    Returns:
        What was pushed, and its address.

    Raises:
        SystemExit: There are no results, or the Hub refused them; the message gives the command to try again.
    """
    path = Path(folder) / RESULTS
    if not path.is_file():
        raise SystemExit(f"error: {folder} holds no {RESULTS}; python -m evaluate_unimo.run writes it when it is done")
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        pushed = push_results(repo, results, results["dataset_name"])
    except (ValueError, KeyError) as error:
        raise SystemExit(f"error: {path} is not a result of this version of evaluate_unimo.run: {error!r}") from None
    except PushError as error:
        raise SystemExit(f"error: the results were not pushed: {error}. {_again(folder, repo)}") from None
    print(f'Results are on the card of {pushed.repo}, revision="{pushed.revision}"', flush=True)
    return pushed


def check(repo: str, folder: str | Path) -> None:
    """Warn before an evaluation begins if the Hub will probably refuse its results.

    Args:
        repo: Name of the model's repository.
        folder: Output folder of the evaluation.
    """
    try:
        HubRepo(repo, create=False)
    except PushError as error:
        print(f"warning: --push_to_hub: {error}. The evaluation goes on, and tries again at its end.", flush=True)


def shown_name(dataset: Path) -> str:
    """Name of a dataset for a card.

    Args:
        dataset: Folder of the dataset.

    Returns:
        The name in its card, else that of the folder.
    """
    path = dataset / README
    if path.is_file():
        try:
            named = DatasetCard.load(path).data.get("pretty_name")
        except (ValueError, TypeError, yaml.YAMLError):
            named = None  # a card without metadata that can be read names nothing
        if isinstance(named, str):
            return named
    return dataset.resolve().name


def _again(folder: str | Path, repo: str) -> str:
    return (
        f"They lie whole in {folder}; try again with: python -m evaluate_unimo.push --results {folder} --repo {repo}"
    )


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", required=True, help="--output of python -m evaluate_unimo.run")
    parser.add_argument("--repo", required=True, help="the model's repository, owner/name or a name of your own")
    arguments = parser.parse_args(argv)
    push(arguments.results, arguments.repo)


if __name__ == "__main__":
    main()
