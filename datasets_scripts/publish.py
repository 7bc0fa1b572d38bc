"""Publish a dataset folder on the Hugging Face Hub: `python -m datasets_scripts.publish --dataset DIR --repo NAME`.

One repository can hold several configurations (`--config`), each a folder of Parquet files that `load_dataset` can
stream. Motion that is not known to be free, such as anything made from AMASS, is refused unless you state
your right to publish it; the thoughts alone (`python -m datasets_scripts.annotate --texts_only`) can always be
published. A push that fails leaves the repository as it was, and the same command completes it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from datasets_scripts.hub.card_merge import TAGS, Card, marked
from datasets_scripts.hub.card_words import command_line, description, prose
from datasets_scripts.hub.upload import README, HubRepo, Pushed, PushError, remember
from datasets_scripts.schema import dataset_files
from datasets_scripts.templates import CARDS, render
from modeling_unimo.command_line import words_of
from modeling_unimo.files_unimo import sha256_of

FREE = {"synthetic": "apache-2.0"}  # sources whose motion may be redistributed, with its licence
THOUGHTS = "thoughts.parquet"
PROVENANCE = "provenance.json"
_NOT_FREE = (
    "{folder} contains motion of {sources}, which is not known to be free to redistribute (HumanML3D and KIT-ML are "
    "made from AMASS and other sets whose licences forbid it). Publish its thoughts without motion: `python -m "
    "datasets_scripts.annotate --dataset {folder} --annotator none --texts_only DIR`, then --dataset DIR. If you do "
    'have the right, state why: --i_may_redistribute "..." (the card will quote it)'
)


@dataclass
class Config:
    """One configuration as it is about to be published."""

    name: str
    files: dict[str, list[Path]]  # split -> Parquet files
    licence: str
    provenance: dict[str, Any]
    extra: dict[str, str] = field(default_factory=dict)  # license_name, license_link, pretty_name

    def path(self, split: str, file: Path) -> str:
        """Where a file lies in the repository.

        Args:
            split: The split.
            file: The local file.

        Returns:
            Path in the repository.
        """
        return f"{self.name}/{file.name}"


def read_configs(
    folder: Path, name: str = "", licence: str = "", right: str = "", link: str = "", texts_only: bool = False
) -> list[Config]:
    """The configurations of a folder: a dataset with the provenance of its thoughts, or thoughts alone.

    Args:
        folder: made by `datasets_scripts.build`, `.annotate` or `.texts`.
        name: of the configuration; "" takes the data's source.
        licence: identifier of the Hub's list; "" takes what is known.
        right: why motion that is not known to be free may be redistributed.
        link: address of a licence that is not on the list.
        texts_only: the thoughts of a dataset folder, without its motion.

    Returns:
        The configurations.

    Raises:
        FileNotFoundError: no dataset there, or no thoughts although they are asked for.
        ValueError: the motion may not be published, no licence is known, or a name or licence is invalid.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    thoughts = folder / THOUGHTS
    if texts_only and not thoughts.is_file():
        raise FileNotFoundError(
            f"no {THOUGHTS} in {folder}; make it with `python -m datasets_scripts.annotate --dataset {folder} "
            "--annotator none --texts_only DIR` and publish that folder"
        )
    alone = texts_only or (thoughts.is_file() and not (folder / "data").is_dir())
    files = {"train": [thoughts]} if alone else {s: [Path(p) for p in ps] for s, ps in dataset_files(folder).items()}
    sources = [] if alone else sources_of(files)
    if thoughts.is_file():
        check_words_only(thoughts)
    held = [source for source in sources if source not in FREE]
    if held and not right.strip():
        raise ValueError(_NOT_FREE.format(folder=folder, sources=", ".join(repr(s) for s in held)))
    if not name and len(sources) != 1:
        raise ValueError("name the configuration with --config (humanml3d, for thoughts on HumanML3D)")
    name = name or re.sub(r"\W+", "-", sources[0]).strip("-")
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name):
        raise ValueError(f"--config must consist of letters, digits, - and _, got {name!r}")
    head = card_header(folder)
    licence = licence or str(head.get("license") or "") or (FREE[sources[0]] if sources and not held else "")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence):
        raise ValueError(
            f"--license must be an identifier of the Hub's list, such as cc-by-4.0, or other with --license_link; got "
            f"{licence!r}"
        )
    if licence == "other" and not (link or head.get("license_link")):
        raise ValueError("--license other requires --license_link, the address of its text")
    extra = {k: str(head[k]) for k in ("license_name", "license_link", "pretty_name") if head.get(k)}
    if licence == "other":
        extra = {"license_name": "see-link"} | extra | ({"license_link": link} if link else {})
    about = provenance(folder, files, sources, right.strip() if held else "")
    made = [Config(name, files, licence, about, extra)]
    if thoughts.is_file() and not alone:
        about = provenance(folder, {"train": [thoughts]}, [], "")
        made.append(Config(f"{name}_thoughts", {"train": [thoughts]}, licence, about))
    return made


def sources_of(files: Mapping[str, list[Path]]) -> list[str]:
    """The sources that the rows of a dataset name.

    Args:
        files: Parquet files by split.

    Returns:
        Names of the sources, sorted.
    """
    import pyarrow.parquet as pq

    found: set[str] = set()
    for path in (path for paths in files.values() for path in paths):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(10_000, columns=["source"]):
                found.update(source or "an unnamed source" for source in batch.column(0).unique().to_pylist())
    return sorted(found)


def check_words_only(path: Path) -> None:
    """Check that a file of thoughts has only columns of text, numbers and lists of text.

    Args:
        path: The Parquet file.

    Raises:
        ValueError: naming the column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for column in pq.read_schema(path):
        kind = column.type.value_type if pa.types.is_list(column.type) else column.type
        words = pa.types.is_string(kind) or (
            kind is column.type and (pa.types.is_integer(kind) or pa.types.is_floating(kind))
        )
        if not words:
            raise ValueError(
                f"{path} has a column {column.name!r} of {column.type}; a file of thoughts must not contain motion"
            )


def card_header(folder: Path) -> dict[str, Any]:
    """The header of a folder's card, as its user may have completed it; empty if there is none.

    Args:
        folder: The folder.

    Returns:
        The header's entries.
    """
    path = folder / README
    header = yaml.safe_load(Card.parse(path.read_text(encoding="utf-8")).header) if path.is_file() else None
    return header if isinstance(header, dict) else {}


def provenance(folder: Path, files: Mapping[str, list[Path]], sources: list[str], right: str) -> dict[str, Any]:
    """Origin of a configuration, fit for publishing: sources, command, what was left out, and file hashes.

    Args:
        folder: The dataset folder.
        files: Parquet files by split.
        sources: Sources of the rows.
        right: Reason given for redistributing motion that is not free, or "".

    Returns:
        Content of the provenance file.
    """
    about: dict[str, Any] = {"sources": sources}
    if (folder / README).is_file():
        about["description"] = prose(description(Card.parse((folder / README).read_text(encoding="utf-8")).before))
    records = {"build.json": ("splits", "skipped", "feature_dim")} if sources else {}  # else there is no motion
    for record, keep in (records | {"stage_done.json": ("command",)}).items():
        if (folder / record).is_file():
            content = json.loads((folder / record).read_text(encoding="utf-8"))
            about |= {key: content[key] for key in keep if key in content}
    if "command" in about:
        about["command"] = command_line(about["command"])
    if right:
        about["right_to_redistribute"] = prose(right)
    about["files"] = {path.name: sha256_of([path]) for paths in files.values() for path in paths}
    try:
        about["made_with"] = f"unimo {metadata.version('unimo')}"
    except metadata.PackageNotFoundError:
        about["made_with"] = "unimo"
    return about


# ---------------------------------------------------------------- the card


def header_entries(config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """A configuration's entries under `configs` and `dataset_info`: what `load_dataset` reads before any file.

    Args:
        config: The configuration.

    Returns:
        The entry under `configs` and the one under `dataset_info`.
    """
    import pyarrow.parquet as pq
    from datasets import DatasetInfo, Features, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    splits = SplitDict(dataset_name=config.name)
    size = 0
    for split, paths in config.files.items():
        parts = [pq.read_metadata(path) for path in paths]
        stored = sum(part.row_group(i).total_byte_size for part in parts for i in range(part.num_row_groups))
        splits.add(SplitInfo(split, num_bytes=stored, num_examples=sum(part.num_rows for part in parts)))
        size += sum(path.stat().st_size for path in paths)
    features = Features.from_arrow_schema(pq.read_schema(next(iter(config.files.values()))[0]))
    info = DatasetInfo(features=features, splits=splits, download_size=size, dataset_size=sum(
        split.num_bytes for split in splits.values()
    ))  # fmt: skip
    data = DatasetCardData()
    DatasetInfosDict({config.name: info}).to_dataset_card_data(data)
    files = [
        {"split": split, "path": [config.path(split, path) for path in paths]} for split, paths in config.files.items()
    ]
    entry = data.to_dict()["dataset_info"]
    return {"config_name": config.name, "data_files": files}, {"config_name": config.name} | entry


def card(
    configs: list[Config], old: str | None, others: Mapping[str, Mapping[str, Any]], repo: str
) -> tuple[str, dict[str, Any]]:
    """The card of a repository with these configurations beside those that it has; its user's words stay.

    Args:
        configs: what is about to be published.
        old: the card as it is.
        others: provenance of every configuration that stays, by name.
        repo: name of the repository.

    Returns:
        The card and its header.

    Raises:
        PushError: the header of the present card cannot be read.
    """
    parsed = Card.parse(old or "")
    try:
        head = yaml.safe_load(parsed.header) or {}
        entries = {entry["config_name"]: entry for entry in head.get("configs") or []}
        infos = head.get("dataset_info") or []
        infos = {
            entry.get("config_name", "default"): entry for entry in ([infos] if isinstance(infos, dict) else infos)
        }
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise PushError(f"the header of {repo}/{README} is invalid ({type(error).__name__}); correct it") from None
    about = {name: dict(content) for name, content in others.items()}
    for config in configs:
        entries[config.name], infos[config.name] = header_entries(config)
        about[config.name] = config.provenance | {"license": config.licence}
        head |= {key: value for key, value in config.extra.items() if key not in head}
    about = {name: about[name] for name in entries if name in about}
    licences = list(dict.fromkeys(str(part["license"]) for part in about.values() if part.get("license")))
    by_user = head.get("license")
    head["license"] = licences[0] if len(licences) == 1 else licences
    if by_user and not any(part.get("license") for part in others.values()):
        head["license"] = by_user  # settled by hand before
    head["tags"] = list(dict.fromkeys([*TAGS, *(head.get("tags") or [])]))
    head |= {"configs": list(entries.values()), "dataset_info": list(infos.values())}
    header = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000).strip()
    return marked(parsed.with_section(header, _section(about, infos, repo)).content), head


def _section(about: Mapping[str, Mapping[str, Any]], infos: Mapping[str, Any], repo: str) -> str:
    """The generated part of a repository's card."""
    configs = []
    unknown = {"description": "", "right_to_redistribute": "", "sources": [], "command": ""}
    for name, part in about.items():
        info, built = infos.get(name, {}), part.get("splits") or {}
        rows = [
            [split["name"], split["num_examples"], *(_minutes(built.get(split["name"])))]
            for split in info.get("splits", [])
        ]
        dropped = sum(number for reasons in (part.get("skipped") or {}).values() for number in reasons.values())
        columns = [feature["name"] for feature in info.get("features", [])]
        configs.append(
            {"name": name, "rows": rows, "columns": columns, "dropped": dropped, "about": unknown | dict(part)}
        )
    return render(CARDS / "dataset_repository.md", repo=repo, configs=configs, provenance=PROVENANCE).strip()


def _minutes(split: Mapping[str, Any] | None) -> list[Any]:
    return [split["captions"], f"{split['seconds'] / 60:.1f}"] if split else ["", ""]


# ---------------------------------------------------------------- the push


def publish(configs: list[Config], repo: str, private: bool | None = None, token: str | None = None) -> Pushed:
    """Publish configurations in one commit; others in the repository stay.

    Args:
        configs: The configurations.
        repo: Name of the repository.
        private: Make a private repository; None leaves this to the account's default.
        token: Token of the Hub; None takes that of the process.

    Returns:
        What was published, and where.

    Raises:
        PushError: the Hub could not be written to.
    """
    hub = HubRepo(repo, kind="dataset", private=private, token=token)
    names = {config.name for config in configs}
    others: dict[str, Mapping[str, Any]] = {}
    for path in sorted(hub.files):
        name, _, file = path.partition("/")
        if file == PROVENANCE and name not in names:
            others[name] = json.loads(hub.read(path) or "{}")
    content, _ = card(configs, hub.read(README), others, hub.name)
    files: dict[str, Path | bytes] = {README: content.encode()}
    for config in configs:
        files |= {config.path(split, path): path for split, paths in config.files.items() for path in paths}
        about = config.provenance | {"license": config.licence}
        files[f"{config.name}/{PROVENANCE}"] = (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode()
    stale = [path for path in hub.files if path.partition("/")[0] in names and path.endswith(".parquet")]
    return hub.push(files, f"Publish {', '.join(sorted(names))}", delete=stale)


def make_parser() -> argparse.ArgumentParser:
    """The command line.

    Returns:
        The parser.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dataset", required=True, help="dataset folder, or folder with thoughts alone")
    parser.add_argument("--repo", required=True, help="owner/name, or a name under your own account")
    parser.add_argument("--config", default="", help="name of the configuration (default: the data's source)")
    parser.add_argument("--license", default="", help="identifier of the Hub's list (default: what the data states)")
    parser.add_argument("--license_link", default="", help="address of the text, with --license other")
    parser.add_argument("--private", action="store_true", help="a private repository; a public one is refused")
    parser.add_argument("--texts_only", action="store_true", help="the thoughts of a dataset folder, without motion")
    parser.add_argument(
        "--i_may_redistribute", default="", metavar="REASON", help="why you may redistribute motion that is not free"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 if nothing was published.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        Exit status.
    """
    arguments = make_parser().parse_args(argv)
    folder = Path(arguments.dataset)
    try:
        configs = read_configs(
            folder,
            arguments.config,
            arguments.license,
            arguments.i_may_redistribute,
            arguments.license_link,
            arguments.texts_only,
        )
        pushed = publish(configs, arguments.repo, arguments.private or None)
    except PushError as error:
        print(f"error: {folder} was not published: {error}. Nothing was lost; run the command again", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 2
    if (folder / "data").is_dir() and not arguments.texts_only:
        remember(folder, pushed)
    names = ", ".join(config.name for config in configs)
    print(f'{folder} -> {pushed.repo} ({names})  revision="{pushed.revision}"{"  (private)" * pushed.private}')
    return 0


if __name__ == "__main__":
    sys.exit(main())
