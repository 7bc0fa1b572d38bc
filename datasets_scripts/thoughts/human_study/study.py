"""Does a skeleton rendering mislead the annotator? Sheets for people to fill in, and what the filled sheets say.

    python -m datasets_scripts.thoughts.human_study.study prepare --dataset DIR --number 40 --raters 3 --output FOLDER
    python -m datasets_scripts.thoughts.human_study.study agreement FOLDER/raters/*.csv

`prepare` draws each clip as a body and as a skeleton, identical in everything else, and shows both with two
texts: the clip's thought, and one that the motion contradicts (the thought with left and right exchanged, else
another clip's). FOLDER/raters is for the raters: a page and an empty sheet for each. FOLDER/key.json says which text
was which and stays with whoever evaluates. Order of clips, of views and of texts is drawn with the seed, each
view coming first equally often.

`agreement` reads the sheets and reports, for each question, how far the raters agree, the mean of each view, and the
difference skeleton minus body, paired by clip, each with its 95% interval.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.thoughts.human_study.findings import findings, report
from datasets_scripts.thoughts.human_study.items import Item, choose_items
from datasets_scripts.thoughts.human_study.rater_page import COLUMNS, PageRow, rater_page
from datasets_scripts.thoughts.human_study.sheets import (
    ALTERED,
    FORMAT,
    KEY,
    STYLES,
    TRUE,
    Shown,
    read_key,
    read_sheets,
)
from datasets_scripts.thoughts.render import iter_motion
from modeling_unimo import rendering_unimo
from modeling_unimo.command_line import words_of
from modeling_unimo.files_unimo import atomic_write, write_json, write_text
from modeling_unimo.rendering_unimo import VIEWS, save_gif, save_mp4


def prepare(
    dataset: str | Path,
    output: str | Path,
    number: int = 40,
    raters: int = 2,
    split: str = "test",
    seed: int = 0,
    view: str = "three-quarter",
    size: int = 336,
    progress: bool = False,
) -> dict[str, Any]:
    """Make the folder of a study.

    Args:
        dataset: dataset folder with thoughts.
        output: new folder.
        number: of clips.
        raters: an even number balances which view comes first.
        split: of the dataset.
        seed: of the choice of clips and of all orders.
        view: from which the clips are drawn.
        size: of a film in pixels.
        progress: show a progress bar.

    Returns:
        What `key.json` holds.

    Raises:
        FileNotFoundError, ValueError: see `choose_items`; or an invalid number of raters, view or size.
        FileExistsError: `output` exists and is not empty.
        ImportError: neither PyAV nor Pillow is installed.
    """
    from tqdm.auto import tqdm

    if raters < 1:
        raise ValueError(f"raters must be >= 1, got {raters}")
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise FileExistsError(f"{output} exists and is not empty; give --output a new folder")
    suffix = _film_suffix()
    items = choose_items(dataset, split, number, seed)
    media = output / "raters" / "media"
    media.mkdir(parents=True)
    for item in tqdm(items, unit="clip", desc="draw", disable=not progress):
        for style in STYLES:
            frames = iter_motion(item.joints, (view,), size, style, fps=item.fps)
            save = save_mp4 if suffix == ".mp4" else save_gif
            save(media / f"{item.row}-{style}{suffix}", frames, item.fps)
    words = "".join(f"{item.id}\0{item.true}\0{item.altered}\0" for item in items)
    key: dict[str, Any] = {
        "format": FORMAT,
        "version": 1,
        "dataset": Path(dataset).name,
        "split": split,
        "seed": seed,
        "view": view,
        "size": size,
        "study": hashlib.sha256(f"{seed}\0{words}".encode("utf-8", "replace")).hexdigest()[:12],
        "rows": {i.row: {"id": i.id, "altered_by": i.how, TRUE: i.true, ALTERED: i.altered} for i in items},
        "raters": {},
    }
    for place in range(raters):
        name = f"rater-{place + 1}"
        plan = _plan(items, place, seed)
        key["raters"][name] = {row: asdict(shown) for row, shown in plan.items()}
        by_row = {item.row: item for item in items}
        rows = [_page_row(by_row[row], shown, suffix) for row, shown in plan.items()]
        write_text(output / "raters" / f"{name}.html", rater_page(name, f"{key['study']}-{name}", rows))
        with (
            atomic_write(output / "raters" / f"{name}.csv") as part,
            open(part, "w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([name, row.name, style, "", "", ""] for row in rows for style, _ in row.films)
    # Last: a folder with a key is a whole one.
    write_json(output / KEY, key, ensure_ascii=False)
    return key


def _plan(items: Sequence[Item], rater: int, seed: int) -> dict[str, Shown]:
    """A rater's rows in the order shown.

    Over two raters each clip has either view first once; within one rater half of the clips do, and half have the true
    text as A.
    """
    fixed = np.random.default_rng([seed, 0]).permutation(len(items))
    own = np.random.default_rng([seed, 1, rater])
    texts = own.permutation(len(items))
    plan = {}
    for index in own.permutation(len(items)).tolist():
        first = STYLES[(int(fixed[index]) + rater) % 2]
        plan[items[index].row] = Shown(TRUE if texts[index] % 2 else ALTERED, first)
    return plan


def _page_row(item: Item, shown: Shown, suffix: str) -> PageRow:
    texts = (item.true, item.altered) if shown.a == TRUE else (item.altered, item.true)
    order = STYLES if shown.first == STYLES[0] else STYLES[::-1]
    first, second = ((style, f"media/{item.row}-{style}{suffix}") for style in order)
    return PageRow(item.row, texts, (first, second))


def _film_suffix() -> str:
    if rendering_unimo.av is not None:
        return ".mp4"
    if rendering_unimo.Image is not None:
        return ".gif"
    raise ImportError("films need PyAV (pip install av), or Pillow for animated pictures (pip install pillow)")


def make_parser() -> argparse.ArgumentParser:
    """The command line.

    Returns:
        The parser.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("prepare", help="make pages and sheets")
    making.add_argument("--dataset", required=True, help="dataset folder with thoughts")
    making.add_argument("--output", required=True, help="new folder")
    making.add_argument("--number", type=int, default=40, help="clips (40)")
    making.add_argument("--raters", type=int, default=2, help="an even number balances which view comes first (2)")
    making.add_argument("--split", default="test")
    making.add_argument("--seed", type=int, default=0)
    making.add_argument("--view", choices=VIEWS, default=VIEWS[0])
    making.add_argument("--size", type=int, default=336, help="pixels of a film (336)")
    making.add_argument("--quiet", action="store_true", help="no progress bar")
    reading = commands.add_parser("agreement", help="evaluate filled-in sheets")
    reading.add_argument("sheets", nargs="+", help="CSV files, one per rater")
    reading.add_argument("--key", help="key.json of prepare, if it is neither beside the sheets nor one folder up")
    reading.add_argument("--output", help="also write the results to this JSON file")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for input that cannot be used.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        Exit status.
    """
    arguments = make_parser().parse_args(argv)
    try:
        if arguments.command == "prepare":
            key = prepare(
                arguments.dataset,
                arguments.output,
                arguments.number,
                arguments.raters,
                arguments.split,
                arguments.seed,
                arguments.view,
                arguments.size,
                progress=not arguments.quiet,
            )
            ways = [row["altered_by"] for row in key["rows"].values()]
            print(f"{len(ways)} clips, untrue texts: " + ", ".join(f"{ways.count(w)} {w}" for w in sorted(set(ways))))
            print(f"-> {Path(arguments.output) / 'raters'} for the raters; keep {KEY} from them")
            return 0
        paths = [Path(sheet) for sheet in arguments.sheets]
        marks = read_sheets(paths, read_key(paths, arguments.key))
        found = findings(marks)
        if arguments.output:
            write_json(arguments.output, [asdict(f) for f in found])
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 2
    print("\n".join(report(found, marks)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
