"""The tables of README.md and docs/, written from the JSON files in docs/results/.

A Markdown file names a table between two comments, `<!-- results: NAME -->` and `<!-- /results -->`. What stands
between them is replaced by the table of `docs/results/NAME.json`, so that no figure is copied by hand.

`python -m benchmarks.results_tables` writes the tables, with `--check` it only compares them. Figures of new runs come
in with `--quickstart runs/quickstart runs/quickstart-1` and `--take study-thoughts runs/ablate/cot/results.json`.
Where a study knows the seconds of answering, quality over time is drawn too, as SVG files beside the JSON.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluate_unimo.labels import TASKS
from modeling_unimo.files_unimo import write_json, write_text
from train.studies.study_page import DRAWN, charts_over_time, curves_over_time

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "docs" / "results"
_BLOCK = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- /results -->)", re.DOTALL)
# An SVG within a page needs none, one in a file does.
_NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'

Json = dict[str, Any]
# A title for each column; for each line a cell of each column, the first of them its label.
Table = tuple[list[str], list[list[str]]]


def number(value: Any, digits: int = 3, sign: bool = False) -> str:
    """A cell of a table.

    Args:
        value: A number, or {"mean", "ci95"}.
        digits: After the point.
        sign: Whether a positive number gets its sign.

    Returns:
        `0.878 ± 0.012` of a mean with its half-width, `0.878` of a plain number.
    """
    if not isinstance(value, Mapping):
        return f"{value:{'+' if sign else ''}.{digits}f}"
    shown = number(value["mean"], digits, sign)
    return (
        shown
        if value.get("ci95") is None
        else f"{shown}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{value['ci95']:.{digits}f}"
    )


def _mean(value: Any) -> float:
    return value["mean"] if isinstance(value, Mapping) else value


def _of_real(metrics: Json, figure: str, digits: int = 3) -> str:
    generated, real = metrics["t2m"]["grpo"][figure], metrics["t2m"]["real"][figure]
    ratio = _mean(generated) / _mean(real)
    return f"{ratio:.2f} ({number(generated, digits)} of {number(real, digits)})"


def _before_after(figure: str, digits: int, judge: str | None = None) -> Callable[[Json], str]:
    def cell(metrics: Json) -> str:
        sides = [metrics["t2m"][stage] for stage in ("sft", "grpo")]
        sides = [side[judge] for side in sides] if judge else sides
        return " → ".join(number(side[figure], digits) for side in sides)

    return cell


def _real_and_grpo(split: str) -> Callable[[Json], str]:
    return lambda metrics: "; ".join(number(metrics[split][side]["r_precision_top1"]) for side in ("real", "grpo"))


# Label, goal, and how to read the cell from the run's metrics.json.
QUICKSTART: list[tuple[str, str, Callable[[Json], str]]] = [
    ("time after installation, two cores", "≤ 15 min", lambda m: f"{m['seconds']['total'] / 60:.1f} min"),
    ("peak memory", "≤ 4 GB", lambda m: f"{m['peak_memory_mb'] / 1000:.1f} GB"),
    ("VQ-VAE: joint error relative to the root", "≤ 12 mm", lambda m: f"{_mean(m['vqvae']['mpjpe_mm']):.1f} mm"),
    ("VQ-VAE: root drift at a clip's end, median", "≤ 0.10 m", lambda m: f"{_mean(m['vqvae']['root_drift_m']):.3f} m"),
    ("VQ-VAE: codes used", "≥ 90%", lambda m: f"{_mean(m['vqvae']['codes_used']):.1%}"),
    ("text to motion: R@1 over real motion's", "≥ 0.90", lambda m: _of_real(m, "r_precision_top1")),
    ("text to motion: R@3 over real motion's", "≥ 0.95", lambda m: _of_real(m, "r_precision_top3")),
    ("text to motion: FID over real motion's", "≤ 1.5", lambda m: _of_real(m, "fid", 4)),
    (
        "text to motion, sampled without grammar: valid after SFT → after GRPO",
        "≥ 97%",
        lambda m: " → ".join(f"{_mean(m['t2m'][stage]['valid_free']):.1%}" for stage in ("sft", "grpo")),
    ),
    ("motion to text: BLEU@1", "≥ 0.70", lambda m: number(m["m2t"]["grpo"]["bleu1"])),
    ("motion to text: BLEU@4", "≥ 0.45", lambda m: number(m["m2t"]["grpo"]["bleu4"])),
    ("motion to text: ROUGE-L", "≥ 0.65", lambda m: number(m["m2t"]["grpo"]["rouge_l"])),
    ("R@1 after SFT → after GRPO", "not worse", _before_after("r_precision_top1", 3)),
    ("the same by the held-out judge", "agrees", _before_after("r_precision_top1", 3, "held_out")),
    ("FID after SFT → after GRPO", "not worse", _before_after("fid", 4)),
    ("the same by the held-out judge", "agrees", _before_after("fid", 4, "held_out")),
    ("hard split, R@1: real; GRPO", "reported", _real_and_grpo("t2m_hard")),
    ("pools of 8 that differ in one attribute, R@1: real; GRPO", "reported", _real_and_grpo("t2m_attributes")),
]


def _quickstart_table(content: Json) -> Table:
    runs = content["runs"]
    rows = [[label, goal, *(cell(run) for run in runs)] for label, goal, cell in QUICKSTART]
    return ["", "goal", *(f"seed {run['seed']}" for run in runs)], rows


JUDGES: tuple[tuple[str, ...], ...] = ((), ("held_out",))
# Row of a run's metrics.json, and how it is told.
ANSWERS = {
    "real": "real motion",
    "grpo_without_thought": "one answer without a thought",
    "grpo": "one answer with a thought",
    "grpo_best_of_8": "the best of 8 with thoughts, by the model's own reading",
}


def _answers_table(content: Json) -> Table:
    """One model's ways of answering, as far as a run measured them."""
    metrics = content["runs"][0]

    def cell(*keys: str, digits: int = 3) -> str:
        found: Any = metrics
        for key in keys:
            found = found.get(key, {})
        return number(found, digits) if found != {} else ""

    columns = ["", "R@1", "held-out judge", "FID", "hard split, R@1", "held-out judge", "motion to text: BLEU@1"]
    rows = []
    for row, told in ANSWERS.items():
        r_precision = [(task, row, *judge, "r_precision_top1") for task in ("t2m", "t2m_hard") for judge in JUDGES]
        cells = [cell(*keys) for keys in r_precision]
        fid = cell("t2m", row, "fid", digits=4)
        rows.append([told, *cells[:2], fid, *cells[2:], cell("m2t", row, "bleu1")])
    return columns, rows


def _study_cell(row: Json | None) -> str:
    if row is None:
        return ""
    cell = number(row)
    if "difference" in row:
        change = f"({number({'mean': row['difference'], 'ci95': row['difference_ci95']}, sign=True)})"
        cell += " " + (f"**{change}**" if row["verdict"] else change)
    return f"{cell}; {row['rests_on']}" if "rests_on" in row else cell


def _study_table(content: Json) -> Table:
    rows = content["results"]["rows"]
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    lines: dict[str, dict[str, Json]] = {}
    for row in rows:
        label = f"{row['figure']}, {row['split']}" + (" (held-out judge)" if row["judge"] else "")
        lines.setdefault(label, {})[row["arm"]] = row
    shown = content.get("show", list(lines))
    cells = [[label, *(_study_cell(lines[label].get(arm)) for arm in arms)] for label in shown]
    seconds = content["results"].get("seconds", {})
    for task in DRAWN:
        taken = [seconds.get(arm, {}).get(task) for arm in arms]
        if any(taken):
            took = ["" if one is None else f"{one:.0f}" for one in taken]
            cells.append([f"seconds to answer and score once, {TASKS[task].short}", *took])
    return ["", *arms], cells


def _shares_table(content: Json) -> Table:
    """Shares with Wilson intervals, as benchmarks/human_captions.py writes them: a line for each group of texts."""
    groups = content["results"]["texts"]
    measures = list(dict.fromkeys(measure for group in groups.values() for measure in group))
    rows = []
    for name, group in groups.items():
        found = [group.get(measure) for measure in measures]
        cells = ["" if one is None else f"{_interval(one)} ({one['yes']} of {one['of']})" for one in found]
        rows.append([name, *cells])
    return ["", *measures], rows


def _planted_table(content: Json) -> Table:
    """Errors planted into texts, as benchmarks/verifier_planted_errors.py counts them, by kind of text."""
    rows = []
    for name, kinds in content["results"]["planted"].items():
        found = kinds["all"]
        shares = [{"share": found[key], "ci95": found[f"{key}_ci95"]} for key in ("recall", "precision")]
        rows.append([name, str(found["planted"]), *map(_interval, shares), f"{found['accused']} of {found['clean']}"])
    return ["", "planted errors", "found", "precision", "true texts contradicted"], rows


def _of(row: str, figure: str, digits: int = 3, scale: float = 1.0) -> Callable[[Json], str]:
    def cell(rows: Json) -> str:
        value = rows[row][figure]
        return number({name: part * scale for name, part in value.items()}, digits)

    return cell


def _over(row: str, base: str, figure: str, digits: int = 3) -> Callable[[Json], str]:
    def cell(rows: Json) -> str:
        ours, theirs = rows[row][figure], rows[base][figure]
        return f"{_mean(ours) / _mean(theirs):.2f} ({number(ours, digits)} of {number(theirs, digits)})"

    return cell


def _pair(first: str, second: str, figure: str) -> Callable[[Json], str]:
    return lambda rows: f"{number(rows[first][figure])}; {number(rows[second][figure])}"


# Label, goal, the rows (or row:figure) it needs, and how to read the cell from evaluate_unimo.beyond's rows.
BEYOND: list[tuple[str, str, tuple[str, ...], Callable[[Json], str]]] = [
    *(
        (
            f"timelines of 2 to 6 captions: R@1 of segments over {told}, {judge}",
            goal,
            (f"segments:{begins}r_precision_top1", row),
            _over("segments", row, f"{begins}r_precision_top1"),
        )
        for told, row, goal in (
            ("single clips'", "single clips", "≥ 0.90"),
            ("single clips', best of 2", "single clips, best of 2", ""),
            ("real clips', joined in the same way", "real clips, joined", ""),
        )
        for begins, judge in (("", "judge"), ("held_out_", "held-out judge"))
    ),
    *(
        (
            f"real clips joined in the same way: R@1 over real clips', {judge}",
            "",
            ("real clips, joined", f"real clips:{begins}r_precision_top1"),
            _over("real clips, joined", "real clips", f"{begins}r_precision_top1"),
        )
        for begins, judge in (("", "judge"), ("held_out_", "held-out judge"))
    ),
    *(
        (
            f"peak {name} within 0.2 s of a seam over that inside real motion",
            goal,
            ("seams",),
            _of("seams", f"{name}_of_real", 2),
        )
        for name, goal in (("velocity", ""), ("acceleration", ""), ("jerk", "≤ 1.3"))
    ),
    (
        "frames in which a foot skates: timelines; single clips",
        "",
        ("segments", "single clips"),
        _pair("segments", "single clips", "skating_ratio"),
    ),
    (
        "most that the lowest foot floats or sinks over a minute, cm",
        "≤ 3",
        ("minutes",),
        _of("minutes", "drift_m", 1, 100),
    ),
    *(
        line
        for task, told in (("continue", "continue from the first fifth"), ("fill", "fill between the outer quarters"))
        for line in (
            (f"{told}: FID over real motion's", "≤ 2", (task, "real"), _over(task, "real", "fid", 4)),
            (f"{told}: R@1 over real motion's", "", (task, "real"), _over(task, "real", "r_precision_top1")),
            (f"{told}: Diversity; of real motion", "", (task, "real"), _pair(task, "real", "diversity")),
            (f"{told}: ADE, m", "", (task,), _of(task, "ade_m")),
            (f"{told}: FDE, m", "", (task,), _of(task, "fde_m")),
        )
    ),
    ("fill: pose error in the last frame of the gap, cm", "≤ 3", ("fill",), _of("fill", "end_pose_m", 1, 100)),
    (
        "hard split's captions, R@1: a timeline of their clauses; one answer",
        "reported",
        ("long captions, a timeline", "long captions, one answer"),
        _pair("long captions, a timeline", "long captions, one answer", "r_precision_top1"),
    ),
    (
        "the same, held-out judge",
        "reported",
        ("long captions, a timeline:held_out_r_precision_top1", "long captions, one answer"),
        _pair("long captions, a timeline", "long captions, one answer", "held_out_r_precision_top1"),
    ),
]


def _beyond_table(content: Json) -> Table:
    """Motion beyond one clip, as evaluate_unimo.beyond measures it; a killed run has some of the lines."""
    rows = content["results"]["rows"]
    known = {*rows, *(f"{row}:{figure}" for row, figures in rows.items() for figure in figures)}
    lines = [[label, goal, cell(rows)] for label, goal, needed, cell in BEYOND if set(needed) <= known]
    return ["", "goal", "measured"], lines


def _interval(share: Json) -> str:
    low, high = share["ci95"]
    return f"{share['share']:.3f} [{low:.3f}, {high:.3f}]".replace(" ", "\N{NO-BREAK SPACE}")


def _plain_table(content: Json) -> Table:
    return content["columns"], content["rows"]


def _kills_table(content: Json) -> Table:
    """What benchmarks.kills counted, a line for each command."""
    counts = list(next(iter(content["results"].values())))
    titles = ["command", *(count.replace("_", " ") for count in counts)]
    return titles, [[name, *(str(line[count]) for count in counts)] for name, line in content["results"].items()]


def _summary_table(content: Json) -> Table:
    """Cells of other files' tables, by file, label and columns (default: all that hold values)."""
    rows = []
    for line in content["rows"]:
        source = read(line["file"])
        columns, cells = table(source)
        found = [row for row in cells if row[0] == line["row"]]
        if not found:
            raise ValueError(f"summary: {line['file']}.json has no line {line['row']!r}")
        wanted = line.get("columns", [name for name in columns[1:] if name != "goal"])
        picked = [found[0][columns.index(name)] for name in wanted]
        rows.append([line["result"], "; ".join(picked), source["tag"]])
    return ["result", "measured", "protocol"], rows


_TABLES = {
    "quickstart": _quickstart_table,
    "answers": _answers_table,
    "study": _study_table,
    "shares": _shares_table,
    "planted": _planted_table,
    "beyond": _beyond_table,
    "kills": _kills_table,
    "table": _plain_table,
    "summary": _summary_table,
}


def read(name: str) -> Json:
    """Read `docs/results/NAME.json`.

    Args:
        name: Of the file.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(f"no {path.relative_to(REPOSITORY)}; a Markdown file names it in a results comment")
    return json.loads(path.read_text(encoding="utf-8"))


def table(content: Json) -> Table:
    """The table of a results file, by its kind.

    Args:
        content: Of a results file.

    Returns:
        Titles, and the cells of each line.
    """
    return _TABLES[content["kind"]](content)


def _charts(name: str, content: Json) -> dict[str, str]:
    """The SVG files of a study that knows the seconds of answering, beside its JSON: split by name of the file."""
    seconds = content.get("results", {}).get("seconds") if content["kind"] == "study" else None
    splits = curves_over_time(content["results"]["rows"], seconds) if seconds else ()
    return {f"{name}-{split.replace(' ', '-')}.svg": split for split in splits}


def markdown(name: str, content: Json) -> str:
    """The table of a results file with its charts, the commands, the protocol and the conditions it was made under.

    Args:
        name: Of the results file.
        content: Its content.

    Returns:
        The lines between the comments.
    """
    columns, rows = table(content)
    words = {columns[0], "goal", "protocol", "command", "also", "gain", "kept", "note", "what happened"}
    words |= {"measured"} if content["kind"] == "summary" else set()
    lines = [f"![quality over seconds, {split}](results/{file})\n" for file, split in _charts(name, content).items()]
    lines += [
        f"| {' | '.join(columns)} |",
        f"|{'|'.join(' --- ' if name in words else ' ---: ' for name in columns)}|",
    ]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    if "protocol" in content:
        lines += ["", f"Protocol `{content['tag']}`: {content['protocol']}"]
    if "commands" in content:
        lines += ["", "```bash", *content["commands"], "```"]
    return "\n".join(lines)


def filled(text: str) -> str:
    """Write the tables of a Markdown text.

    Args:
        text: Of a Markdown file.

    Returns:
        The text with its tables written anew.

    Raises:
        FileNotFoundError: a comment names a file that docs/results does not have.
    """
    return _BLOCK.sub(lambda found: f"{found[1]}\n{markdown(found[2], read(found[2]))}\n\n{found[3]}", text)


def pages() -> list[Path]:
    """The Markdown files that may name tables.

    Returns:
        README.md and the pages of docs/.
    """
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def write_table(
    output: Path | None, columns: Sequence[str], rows: Sequence[Sequence[str]], tag: str, protocol: str, command: str
) -> None:
    """Print a benchmark's table, and write it as this module reads it.

    Args:
        output: JSON file to write; None: none.
        columns: Titles.
        rows: Cells of each line.
        tag: Name of the protocol.
        protocol: How it was measured, in words.
        command: What measures it.
    """
    for row in (columns, *rows):
        print("  ".join(row))
    if output is not None:
        about = {"kind": "table", "tag": tag, "protocol": protocol, "commands": [command]}
        write_json(output, about | {"columns": columns, "rows": rows})


def _take_runs(name: str, runs: Sequence[Path]) -> None:
    """Put the metrics of finished runs into docs/results/NAME.json, in the place of those that stand there."""
    content = read(name)
    content["runs"] = [json.loads((run / "metrics.json").read_text(encoding="utf-8")) for run in runs]
    _write(name, content)


def _take(name: str, results: Path) -> None:
    """Put the JSON file of a study or a benchmark into docs/results/NAME.json, in the place of what stands there.

    Where NAME.json has a list `keep`, only these parts of the file are taken.
    """
    content, taken = read(name), json.loads(results.read_text(encoding="utf-8"))
    _write(name, content | {"results": {part: taken[part] for part in content.get("keep", taken)}})


def _write(name: str, content: Json) -> None:
    write_json(RESULTS / f"{name}.json", content, indent=1, ensure_ascii=False)
    files = _charts(name, content)
    drawn = charts_over_time(content["results"]["rows"], content["results"]["seconds"]) if files else {}
    for file, split in files.items():
        write_text(RESULTS / file, drawn[split].replace("<svg ", f"<svg {_NAMESPACES} ", 1))


def main(argv: Sequence[str] | None = None) -> None:
    """Take new figures, and write or check the tables.

    Args:
        argv: Arguments; None takes those of the process.

    Raises:
        SystemExit: `--check` found outdated pages; the message names them.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results_tables", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is outdated")
    parser.add_argument("--quickstart", type=Path, nargs="+", metavar="RUN", help="take the figures of these runs")
    parser.add_argument("--answers", type=Path, metavar="RUN", help="take how a run's model answers in several ways")
    parser.add_argument("--take", nargs=2, metavar=("NAME", "FILE"), help="take a study's or benchmark's JSON as NAME")
    arguments = parser.parse_args(argv)
    if arguments.quickstart:
        _take_runs("quickstart", arguments.quickstart)
    if arguments.answers:
        _take_runs("answers", [arguments.answers])
    if arguments.take:
        _take(arguments.take[0], Path(arguments.take[1]))
    outdated = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if filled(text) == text:
            continue
        outdated.append(str(page.relative_to(REPOSITORY)))
        if not arguments.check:
            write_text(page, filled(text))
    if arguments.check and outdated:
        raise SystemExit(f"outdated tables in {', '.join(outdated)}; run `make results`")
    if outdated:
        print(f"wrote {', '.join(outdated)}")


if __name__ == "__main__":
    main()
