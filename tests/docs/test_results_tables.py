"""The figures in README.md and docs/ are those of the JSON files in docs/results/."""

import json
import shutil
from xml.etree import ElementTree

import pytest

from benchmarks import results_tables
from benchmarks.results_tables import filled, main, markdown, number, read, table


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A copy of docs/results/ that may be changed."""
    folder = tmp_path / "docs" / "results"
    shutil.copytree(results_tables.RESULTS, folder)
    monkeypatch.setattr(results_tables, "REPOSITORY", tmp_path)
    monkeypatch.setattr(results_tables, "RESULTS", folder)
    (tmp_path / "README.md").write_text("<!-- results: summary -->\n<!-- /results -->\n")
    return tmp_path


def test_tables_are_current():
    main(["--check"])


def test_every_results_file_is_shown():
    named = " ".join(page.read_text(encoding="utf-8") for page in results_tables.pages())
    assert [p.stem for p in results_tables.RESULTS.glob("*.json") if f"<!-- results: {p.stem} -->" not in named] == []


def test_an_outdated_table_is_refused_and_renewed(results):
    with pytest.raises(SystemExit, match="outdated tables in README.md"):
        main(["--check"])
    main([])
    main(["--check"])
    assert "R@1" in (results / "README.md").read_text()


def test_a_table_without_a_file_is_an_error():
    with pytest.raises(FileNotFoundError, match=r"no docs/results/nowhere\.json"):
        filled("<!-- results: nowhere -->\n\n<!-- /results -->")


def test_a_summary_of_a_line_that_is_gone_is_an_error():
    line = {"result": "x", "file": "captured", "row": "no such line", "columns": ["seed 0"]}
    with pytest.raises(ValueError, match=r"captured\.json has no line 'no such line'"):
        table({"kind": "summary", "rows": [line]})


@pytest.mark.parametrize(
    "value, digits, sign, shown",
    [
        (0.5, 3, False, "0.500"),
        ({"mean": 0.12345, "ci95": 0.01}, 3, False, "0.123\xa0±\xa00.010"),
        ({"mean": 0.1, "ci95": None}, 2, True, "+0.10"),
    ],
)
def test_numbers(value, digits, sign, shown):
    assert number(value, digits, sign) == shown


def test_shares_name_their_interval_and_counts():
    share = {"yes": 3, "of": 4, "share": 0.75, "ci95": [0.3006, 0.9544]}
    content = {"kind": "shares", "results": {"texts": {"all": {"read": share}, "planted": {"found": share}}}}
    columns, rows = table(content)
    assert columns == ["", "read", "found"]
    assert rows == [["all", "0.750\xa0[0.301,\xa00.954] (3 of 4)", ""], ["planted", "", rows[0][1]]]


def test_planted_errors_take_only_what_is_kept(results):
    (results / "README.md").write_text("")
    counts = {"planted": 5, "accused": 1, "clean": 5}
    counts |= {name: 0.8 for name in ("recall", "precision")}
    counts |= {f"{name}_ci95": [0.4, 0.9] for name in ("recall", "precision")}
    file = results / "errors.json"
    file.write_text(json.dumps({"planted": {"captions": {"all": counts}}, "wrong": ["a long list"]}))
    main(["--take", "planted-errors", str(file)])
    assert "wrong" not in read("planted-errors")["results"]
    share = "0.800\xa0[0.400,\xa00.900]"
    assert table(read("planted-errors"))[1] == [["captions", "5", share, share, "1 of 5"]]


def test_figures_of_new_runs_take_the_place_of_the_old(results):
    (results / "README.md").write_text("<!-- results: quickstart -->\n<!-- /results -->\n")
    run = results / "run"
    run.mkdir()
    metrics = read("quickstart")["runs"][0]
    metrics |= {"seed": 7, "seconds": {"total": 600}, "m2t": {"grpo": metrics["m2t"]["grpo"] | {"bleu1": 0.5}}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    study = {"baseline": "a", "rows": [
        {"split": "hard split", "judge": "held out", "figure": "FID", "arm": "a", "mean": 0.2, "ci95": 0.1},
        {"split": "hard split", "judge": "held out", "figure": "FID", "arm": "b", "mean": 0.1, "ci95": 0.1,
         "difference": -0.1, "difference_ci95": 0.02, "verdict": "better"},
    ]}  # fmt: skip
    (run / "results.json").write_text(json.dumps(study))
    main(["--quickstart", str(run)])
    main(["--take", "study-grpo", str(run / "results.json")])
    columns, rows = table(read("quickstart"))
    assert columns == ["", "goal", "seed 7"]
    assert {("time after installation, two cores", "10.0 min"), ("motion to text: BLEU@1", "0.500")} <= {
        (row[0], row[2]) for row in rows
    }
    assert "seed 7" in (results / "README.md").read_text()
    told = markdown("study-grpo", read("study-grpo"))
    assert "| FID, hard split (held-out judge) | 0.200" in told and "**(-0.100\xa0±\xa00.020)** |" in told
    assert "--study algorithm" in told


def test_a_study_that_knows_the_seconds_is_drawn_over_them(results):
    page = results / "README.md"
    page.write_text("<!-- results: study-grpo -->\n<!-- /results -->\n")
    means = {"a, best of 1": 0.4, "a, best of 8": 0.6, "b, best of 1": 0.5}
    rows = [
        {"split": "hard split", "judge": "held-out", "figure": "R@1", "arm": arm, "mean": mean, "ci95": 0.1}
        for arm, mean in means.items()
    ]
    seconds = {
        "a, best of 1": {"t2m_hard": 3.0},
        "a, best of 8": {"t2m_hard": 20.0},
        "b, best of 1": {"t2m_hard": 2.0},
    }
    file = results / "results.json"
    file.write_text(json.dumps({"baseline": "a, best of 1", "rows": rows, "seconds": seconds}))
    main(["--take", "study-grpo", str(file)])
    picture = ElementTree.parse(results_tables.RESULTS / "study-grpo-hard-split.svg").getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    told = " ".join(picture.itertext())
    assert "seconds" in told and " a " in told and " b " in told
    assert "| seconds to answer and score once, hard split | 3 | 20 | 2 |" in page.read_text()
    assert "![quality over seconds, hard split](results/study-grpo-hard-split.svg)\n\n|" in page.read_text()


def test_figures_beyond_a_clip_as_far_as_they_are_measured():
    rows = {
        "segments": {"r_precision_top1": {"mean": 0.9}, "skating_ratio": {"mean": 0.1}},
        "single clips": {"r_precision_top1": {"mean": 0.75, "ci95": 0.01}, "skating_ratio": {"mean": 0.2}},
        "minutes": {"drift_m": {"mean": 0.0213, "ci95": 0.001}},
    }
    columns, lines = table({"kind": "beyond", "results": {"rows": rows}})
    assert columns == ["", "goal", "measured"]
    assert [line[2] for line in lines] == ["1.20 (0.900 of 0.750\xa0±\xa00.010)", "0.100; 0.200", "2.1\xa0±\xa00.1"]
