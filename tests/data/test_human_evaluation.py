"""Sheets for raters: what is in them, who may see what; and agreement against published values."""

import csv
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from html_reader import Reader

from bodies import standing, swing_arm, travel
from datasets_scripts.schema import Caption, Clip, write_dataset
from datasets_scripts.thoughts.human_study import study as evaluation
from datasets_scripts.thoughts.human_study.agreement import estimate, krippendorff_alpha, raw_agreement
from datasets_scripts.thoughts.human_study.findings import findings
from datasets_scripts.thoughts.human_study.items import choose_items, swap_sides
from datasets_scripts.thoughts.human_study.rater_page import PageRow, rater_page
from datasets_scripts.thoughts.human_study.sheets import read_key, read_sheets
from modeling_unimo import joints_to_features

N = np.nan
# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: four observers, twelve units.
FOUR_OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
)
# The same paper, section A: two observers, ten units, yes or no.
TWO_OBSERVERS = np.array([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("marks", "level", "alpha"),
    [
        (TWO_OBSERVERS, "nominal", 0.095),
        (FOUR_OBSERVERS, "nominal", 0.743),
        (FOUR_OBSERVERS, "ordinal", 0.815),
        (FOUR_OBSERVERS, "interval", 0.849),
    ],
)
def test_alpha_is_the_published_one(marks, level, alpha):
    assert krippendorff_alpha(marks, level) == pytest.approx(alpha, abs=5e-4)
    assert krippendorff_alpha(marks[::-1, ::-1], level) == pytest.approx(alpha, abs=5e-4)


def test_alpha_at_its_ends():
    same = np.array([[1, 2, 3, 4], [1, 2, 3, 4]])
    for level in ("nominal", "ordinal", "interval"):
        assert krippendorff_alpha(same, level) == 1.0
    assert krippendorff_alpha(np.array([[0, 1, 0, 1], [1, 0, 1, 0]])) < -0.5
    chance = np.random.default_rng(0).integers(0, 4, (3, 4000))
    assert abs(krippendorff_alpha(chance)) < 0.02
    # Nearby ranks disagree less than far ones.
    near, far = np.array([[1, 2, 4, 5], [2, 2, 4, 5]]), np.array([[1, 2, 4, 5], [5, 2, 4, 5]])
    assert krippendorff_alpha(near, "ordinal") > krippendorff_alpha(far, "ordinal")


@pytest.mark.parametrize(
    "marks", [np.ones((2, 5)), np.array([[1, N], [N, 2]]), np.array([[1, 2, 3]]), np.empty((2, 0))]
)
def test_alpha_is_undefined_where_nothing_can_be_said(marks):
    assert krippendorff_alpha(marks) is None


@pytest.mark.parametrize(
    ("marks", "level", "message"),
    [
        (np.ones(3), "nominal", "shape"),
        (np.ones((2, 2)), "ratio", "level"),
        (np.full((2, 2), np.inf), "nominal", "inf"),
    ],
)
def test_alpha_refuses(marks, level, message):
    with pytest.raises(ValueError, match=message):
        krippendorff_alpha(marks, level)


def test_raw_agreement_and_intervals():
    assert raw_agreement(TWO_OBSERVERS) == pytest.approx(0.6)
    assert raw_agreement(np.array([[1, 1], [1, 2], [2, N]])) == pytest.approx(1 / 4)
    assert raw_agreement(np.array([[1, 2]])) is None
    found = estimate(np.array([1.0, 2.0, 3.0, 4.0]))
    assert (found.mean, found.n) == (2.5, 4) and found.ci95 == pytest.approx(2.0542, abs=1e-3)  # 3.182 * 1.291 / 2
    assert estimate(np.array([2.0])).ci95 is None
    with pytest.raises(ValueError, match="at least one"):
        estimate(np.array([]))


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("The left hand rises, then the Right.", "The right hand rises, then the Left."),
        ("LEFT leftwards right-handed", "RIGHT rightwards left-handed"),
        ("raises the left leg right away", "raises the right leg right away"),
        ("all right, turns left by a right angle", "all right, turns right by a right angle"),
        ("stands upright; it is bright", "stands upright; it is bright"),
        ("the right foot is right behind the left one", "the left foot is right behind the right one"),
        (
            "he left; one arm is left hanging, the left hand low",
            "he left; one arm is left hanging, the right hand low",
        ),
        ("the chest is left-facing, the weight is left", "the chest is left-facing, the weight is left"),
        ("leans to the right, and the arm is left foot high", "leans to the left, and the arm is right foot high"),
        ("steps right, then to the left and right", "steps left, then to the right and left"),
        ("walks forward", "walks forward"),
    ],
)
def test_sides_are_exchanged_and_back(text, swapped):
    assert swap_sides(text) == swapped and swap_sides(swapped) == text


# -------------------------------------------------------------------------------------------------------- preparing


def clip(index: int, thought: str | None = None) -> Clip:
    frames = 41 + index
    side = ("left", "right")[index % 2]
    angle = np.concatenate([np.zeros(10), np.linspace(0, 170, 10), np.full(frames - 20, 170.0)])
    joints = swing_arm(standing(frames), side, angle)
    if thought is None:
        thought = f"The person raises the {side} hand <b>&</b>."
    return Clip(f"c{index}", joints_to_features(joints).astype(np.float32), [Caption("a", thought=thought)], "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A prepared evaluation of six clips and two raters."""
    pytest.importorskip("av")
    where = tmp_path_factory.mktemp("human")
    write_dataset(iter([clip(i) for i in range(8)]), where / "data")
    words = ["--dataset", where / "data", "--output", where / "out", "--number", 6, "--size", 48, "--quiet"]
    assert evaluation.main(["prepare", *map(str, words)]) == 0
    return where / "out"


def test_each_rater_gets_a_page_a_sheet_and_the_films_but_not_the_key(folder):
    key = json.loads((folder / "key.json").read_text())
    names = sorted(path.name for path in (folder / "raters").iterdir())
    assert names == ["media", "rater-1.csv", "rater-1.html", "rater-2.csv", "rater-2.html"]
    assert len(list((folder / "raters" / "media").iterdir())) == 12
    assert {row["altered_by"] for row in key["rows"].values()} == {"sides"}
    for rater in ("rater-1", "rater-2"):
        text = (folder / "raters" / f"{rater}.html").read_text(encoding="utf-8")
        page = Reader(text).check()
        assert len(page.tags("video")) == 12
        for video in page.tags("video"):
            assert (folder / "raters" / video["src"]).is_file()
        # Nothing tells which text is which, or which clip it is.
        assert "altered" not in text
        assert not any(row["id"] in page.texts for row in key["rows"].values())
        shown = [view["data-view"] for view in page.tags("div") if "data-view" in view]
        sheet = list(csv.DictReader(open(folder / "raters" / f"{rater}.csv", newline="")))
        assert [f"{line['row']}.{line['view']}" for line in sheet] == shown
        firsts = [key["raters"][rater][row]["first"] for row in key["raters"][rater]]
        assert shown[::2] == [f"{row}.{first}" for row, first in zip(key["raters"][rater], firsts, strict=True)]
        assert firsts.count("body") == 3
        assert [place["a"] for place in key["raters"][rater].values()].count("true") == 3
    one, two = key["raters"]["rater-1"], key["raters"]["rater-2"]
    assert all(one[row]["first"] != two[row]["first"] for row in one) and list(one) != list(two)


def test_a_seed_gives_the_same_evaluation(folder, tmp_path):
    again = evaluation.prepare(folder.parent / "data", tmp_path / "out", 6, 2, size=48)
    assert again == json.loads((folder / "key.json").read_text())
    for path in sorted((folder / "raters").rglob("*.*")):
        assert (tmp_path / "out" / "raters" / path.relative_to(folder / "raters")).read_bytes() == path.read_bytes()
    other = choose_items(folder.parent / "data", "test", 6, seed=1)
    assert [item.id for item in other] != [row["id"] for row in again["rows"].values()]


def test_thoughts_without_sides_are_set_against_another_clip_and_wrong_ones_left_out(tmp_path):
    walk = travel(standing(60), np.linspace(0, 3, 60))
    walking = Clip(
        "walk", joints_to_features(walk).astype(np.float32), [Caption("a", thought="It moves forward.")], "test"
    )
    wrong = clip(1, "The person raises the left hand.")
    backward = clip(2, "The person walks backward.")
    write_dataset(iter([walking, wrong, backward, clip(4), clip(3, "")]), tmp_path / "data")
    items = {item.id: item for item in choose_items(tmp_path / "data", "test", 2, 0)}
    assert set(items) == {"walk", "c4"}
    assert (items["walk"].how, items["c4"].how) == ("other clip", "sides")


def test_a_clip_without_a_body_is_passed_over(tmp_path):
    """All joints in one place: finite, and drawable, but with no height that anything could be measured against."""
    flat = clip(7)
    flat.features[:] = 0.0
    write_dataset(iter([flat, clip(0), clip(1)]), tmp_path / "data")
    items = choose_items(tmp_path / "data", "test", 2, 0)
    assert {item.id for item in items} == {"c0", "c1"}
    with pytest.raises(ValueError, match="has only 2 clips"):
        choose_items(tmp_path / "data", "test", 3, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--number", 9], "only 8 clips"),
        (["--number", 1], ">= 2"),
        (["--raters", 0], ">= 1"),
        (["--split", "train"], "no split"),
        (["--size", 4], "got 4"),
    ],
)
def test_what_cannot_be_prepared_is_refused(arguments, message, folder, tmp_path, capsys):
    words = ["--dataset", folder.parent / "data", "--output", tmp_path / "out", "--number", 6, *arguments, "--quiet"]
    assert evaluation.main(["prepare", *map(str, words)]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out" / "key.json").exists()


def test_an_evaluation_is_not_overwritten(folder, capsys):
    words = ["--dataset", str(folder.parent / "data"), "--output", str(folder), "--number", "6"]
    assert evaluation.main(["prepare", *words]) == 2
    assert "not empty" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------- filled-in sheets


def filled(
    folder: Path, to: Path, score: dict[str, int], wrong_choice: set[tuple[str, str]] = frozenset()
) -> list[Path]:
    """The sheets of `folder` filled in: the true text everywhere but in `wrong_choice`, and a score a view."""
    to.mkdir()
    key = json.loads((folder / "key.json").read_text())
    shutil.copy(folder / "key.json", to)
    paths = []
    for rater, rows in key["raters"].items():
        lines = list(csv.DictReader(open(folder / "raters" / f"{rater}.csv", newline="")))
        for line in lines:
            right = rows[line["row"]]["a"] == "true"
            if (rater, line["row"]) in wrong_choice and line["view"] == "skeleton":
                right = not right
            number = int(line["row"][1:])
            line |= {"choice": "A" if right else "b", "score": str(score[line["view"]] + number % 2), "wrong": "0"}
        paths.append(to / f"{rater}.csv")
        with open(paths[-1], "w", newline="") as file:
            writer = csv.DictWriter(file, lines[0])
            writer.writeheader()
            writer.writerows(lines)
    return paths


def test_planted_differences_are_found(folder, tmp_path, capsys):
    missed = {("rater-1", "r001"), ("rater-2", "r001"), ("rater-1", "r002")}
    paths = filled(folder, tmp_path / "sheets", {"body": 4, "skeleton": 2}, missed)
    key = read_key(paths)
    correct, score, wrong = findings(read_sheets(paths, key))
    assert correct.means["body"].mean == 1.0 and correct.means["skeleton"].mean == pytest.approx(0.75)
    assert correct.difference.mean == pytest.approx(-0.25) and correct.difference.n == 6
    # Both raters missed r001, one r002: five of six clips agree. Alpha by hand: 1 - 11 * 2 / (2 * 3 * 9).
    assert correct.raw["skeleton"] == pytest.approx(5 / 6)
    assert correct.alpha["skeleton"] == pytest.approx(1 - 11 * 2 / (2 * 3 * 9))
    assert correct.alpha["body"] is None and correct.raw["body"] == 1.0
    assert score.difference.mean == -2.0 and score.difference.ci95 == 0.0 and score.alpha["body"] == 1.0
    assert score.first_seen.mean == -2.0 and score.first_seen.n == 6
    assert wrong.means["body"].mean == 0.0
    assert evaluation.main(["agreement", *map(str, paths), "--output", str(tmp_path / "found.json")]) == 0
    shown = capsys.readouterr().out
    assert "2 raters, 6 clips" in shown and "alpha undefined" in shown and "-2.000 ± 0.000 (n=6)" in shown
    assert json.loads((tmp_path / "found.json").read_text())[1]["difference"]["mean"] == -2.0


def test_one_rater_has_means_and_no_agreement(folder, tmp_path):
    paths = filled(folder, tmp_path / "sheets", {"body": 4, "skeleton": 4})[:1]
    found = findings(read_sheets(paths, read_key(paths)))
    assert found[1].alpha == {"body": None, "skeleton": None} and found[1].raw["body"] is None
    assert found[1].difference.mean == 0.0 and found[1].first_seen is None


def test_sheets_as_spreadsheets_save_them(folder, tmp_path):
    paths = filled(folder, tmp_path / "sheets", {"body": 4, "skeleton": 3})
    plain = read_sheets(paths, read_key(paths))
    text = paths[0].read_text()
    paths[0].write_text("\ufeff" + text.replace(",", ";").replace("\n", "\r\n") + ";;;;;\r\n", encoding="utf-8")
    assert read_sheets(paths, read_key(paths)) == plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace(",b,", ",,").replace(",A,", ",,"), r"line 2 \(r\d+ \w+\): not filled in: choice"),
        (lambda t: t.replace(",b,", ",C,").replace(",A,", ",C,"), "choice must be A or B, got 'C'"),
        (
            lambda t: t.replace(",5,", ",6,").replace(",4,", ",0,"),
            "score must be an integer from 1 to 5, got '[06]'",
        ),
        (lambda t: t.replace(",5,", ",4.5,").replace(",4,", ",4.5,"), "score must be .* got '4.5'"),
        (lambda t: t.replace(",0\n", ",21\n"), "wrong must be .* got '21'"),
        (lambda t: t.replace(",0\n", ",-1\n"), "wrong must be .* got '-1'"),
        (lambda t: t.replace("r001", "r999"), "no row 'r999'"),
        (lambda t: t.replace("skeleton", "smpl"), "view 'smpl'"),
        (lambda t: t.rsplit("\n", 2)[0] + "\n", "1 views are missing"),
        (lambda t: t + t.split("\n")[1] + "\n", "duplicate of"),
        (lambda t: t.replace("rater-1", "rater-7"), "unknown rater 'rater-7'"),
        (lambda t: t.replace("rater-1", "rater-2"), "are both sheets of rater-2"),
        (lambda t: t.replace("rater-1", "rater-2", 1), "must name one rater"),
        (lambda t: t.replace("score", "points", 1), "columns score are missing"),
        (lambda t: t.split("\n")[0] + "\n", "has no rows"),
        (lambda t: "", "not a sheet of this study"),
    ],
)
def test_sheets_that_cannot_be_used_are_refused(change, message, folder, tmp_path):
    paths = filled(folder, tmp_path / "sheets", {"body": 4, "skeleton": 4})
    paths[0].write_text(change(paths[0].read_text().replace("\r\n", "\n")))
    with pytest.raises(ValueError, match=message):
        read_sheets(paths, read_key(paths))


def test_files_that_are_no_sheets_or_keys(folder, tmp_path, capsys):
    paths = filled(folder, tmp_path / "sheets", {"body": 4, "skeleton": 4})

    def refused(message: str, *more: str) -> None:
        assert evaluation.main(["agreement", str(paths[0]), *more]) == 2
        assert message in capsys.readouterr().err

    refused("no key at", "--key", str(tmp_path / "none.json"))
    for text, message in (
        ("{", "not valid JSON"),
        ("[]", "must hold a JSON object, got list"),
        ('{"format": "x"}', "not the key"),
    ):
        (tmp_path / "sheets" / "key.json").write_text(text)
        refused(message)
    (tmp_path / "sheets" / "key.json").unlink()
    refused("no key at")
    paths[0].write_bytes(b"\xff\xfe\x00")
    refused("not UTF-8", "--key", str(folder / "key.json"))
    paths[0].unlink()
    refused("No such file", "--key", str(folder / "key.json"))


NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> <!-- \" ' 走"


def test_texts_stay_texts_on_a_page():
    page = Reader(
        rater_page("rater-1", "s", [PageRow("r001", (NASTY, "b"), (("body", "a.gif"), ("skeleton", "b.gif")))])
    )
    assert NASTY in page.check().texts and len(page.tags("script")) == 2
    assert [image["src"] for image in page.tags("img")] == ["a.gif", "b.gif"]


PROBE = """
<pre id="probe"></pre><script>
window.addEventListener("load", () => {
  const o = {covered: [...document.querySelectorAll(".view")].map(v => v.classList.contains("covered"))};
  const mark = (name, value) => {
    const radio = document.querySelector(`input[name="${name}"][value="${value}"]`);
    const input = radio || document.querySelector(`input[name="${name}"]`);
    if (radio) radio.checked = true; else input.value = value;
    input.dispatchEvent(new Event("input", {bubbles: true}));
  };
  mark("r001.body.choice", "B"); mark("r001.body.score", "4"); mark("r001.body.wrong", "99");
  o.still = document.querySelectorAll(".covered").length;
  mark("r001.body.wrong", "0");
  o.after = document.querySelectorAll(".covered").length;
  o.progress = document.getElementById("progress").textContent;
  o.csv = unimoSheet.csv();
  document.getElementById("probe").textContent = JSON.stringify(o);
});
</script>
"""


@pytest.mark.slow
def test_a_browser_fills_in_the_sheet(tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no browser to open the page with")
    row = PageRow("r001", ("a", "b"), (("body", "a.gif"), ("skeleton", "b.gif")))
    (tmp_path / "page.html").write_text(rater_page("rater-1", "s", [row]) + PROBE, encoding="utf-8")
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    command = [browser, *words, f"--user-data-dir={tmp_path / 'profile'}", str(tmp_path / "page.html")]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    found = json.loads(page.split('<pre id="probe">')[1].split("</pre>")[0])
    assert found["covered"] == [False, True] and (found["still"], found["after"]) == (1, 0)
    assert found["progress"] == "1 of 2 views marked"
    assert found["csv"].split("\r\n") == [
        "rater,row,view,choice,score,wrong",
        "rater-1,r001,body,B,4,0",
        "rater-1,r001,skeleton,,,",
        "",
    ]
