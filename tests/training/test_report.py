"""The report: that everything a run wrote is on the page, texts stay texts, gaps are named, and charts are right."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from html_reader import Reader

from bodies import standing, travel
from train.report import run_page as report
from train.report.__main__ import main
from train.report.charts import histogram, line_chart
from train.report.run_page import write_report

NASTY = 'a man <b>waves</b> </script><script>alert(1)</script> & "so" <|im_end|> 走 😀'
STAGES = (
    "data",
    "vqvae",
    "evaluator",
    "evaluator_held_out",
    "sft",
    "grpo",
    "evaluate_sft",
    "evaluate_grpo",
    "samples",
)


def ci(mean: float, width: float = 0.01) -> dict[str, float]:
    return {"mean": mean, "ci95": width}


def side(r1: float, fid: float, **more: object) -> dict[str, object]:
    scores = {f"r_precision_top{k}": ci(r1 + 0.1 * (k - 1)) for k in (1, 2, 3)}
    return {**scores, "mm_dist": ci(3.2), "fid": ci(fid), "diversity": ci(9.1), "n": 550, **more}


def metrics() -> dict[str, object]:
    generated = {"valid": ci(1.0, 0.0), "valid_free": 0.9996}
    t2m = {
        "real": side(0.71, 0.30, consistency=0.973, held_out=side(0.68, 0.31)),
        "sft": side(0.61, 0.50, consistency=ci(0.804), **generated, held_out=side(0.60, 0.52)),
        "grpo": side(0.66, 0.44, consistency=ci(0.852), **generated, held_out=side(0.64, 0.47)),
    }
    captions = {"bleu1": ci(0.71), "bleu4": ci(0.47), "rouge_l": ci(0.66), "cider": ci(2.1), "valid": 1.0}
    return {
        "seconds": {stage: 20.0 + 10 * i for i, stage in enumerate(STAGES)} | {"total": 871.0},
        "memory_mb": {stage: 500 + 300 * i for i, stage in enumerate(STAGES)},
        "peak_memory_mb": 3100,
        "vqvae": {"mpjpe_mm": 10.3, "root_drift_m": 0.061, "codes_used": 0.98, "perplexity": 380.0},
        "evaluator": {"r_precision_top1": ci(0.71)},
        "t2m": t2m,
        "t2m_hard": t2m,
        "t2m_attributes": {arm: {"r_precision_top1": ci(0.5), "n": 256} for arm in t2m},
        "m2t": {"sft": captions, "grpo": captions | {"bleu4": ci(0.51)}},
        "generation": {"temperature": 0.7, "top_k": 0, "note": NASTY},
        "protocol": {"evaluator": "runs/x/evaluator"},
        "seed": 7,
    }


def curves() -> dict[str, object]:
    def log(**values) -> list[dict[str, float]]:
        return [{"step": 10 * i, "learning_rate": 1e-4} | {k: f(i) for k, f in values.items()} for i in range(1, 80)]

    return {
        "vqvae": [*log(loss=lambda i: 1 / i), {"step": 800, "eval_mpjpe_mm": 10.3}],
        "sft": log(loss=lambda i: f"{2 / i:.4f}", mean_token_accuracy=lambda i: 1 - 1 / i),
        "grpo": log(
            reward=lambda i: i / 80, kl=lambda i: float("nan"), **{"rewards/format_reward/mean": lambda i: 1.0}
        ),
        "evaluator": [],
    }


def write_run(folder: Path, count: int = 14, frames: int = 40) -> Path:
    """A run folder as a quickstart leaves it, with more samples than the page shows."""
    (folder / "samples").mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics()), encoding="utf-8")
    (folder / "curves.json").write_text(json.dumps(curves()), encoding="utf-8")
    joints = {}
    for i in range(count):
        for name in ("t2m_ref", "t2m_gen", "m2t"):
            moved = travel(standing(frames + i), np.linspace(0.0, 1.0 + 0.1 * i, frames + i))
            joints[f"{name}_{i}"] = moved.astype(np.float32)
    samples = {
        "t2m": [
            {
                "caption": f"{NASTY} {i}",
                "unknown_words": [f"kneels{NASTY}"] if i == 1 else [],
                "thought": NASTY,
                "reference": f"t2m_ref_{i}",
                "generated": f"t2m_gen_{i}",
            }
            for i in range(count)
        ],
        "taught_words": ["person", "walks"],
        "m2t": [
            {"references": [NASTY, "b"], "thought": "", "caption": f"described {i}", "motion": f"m2t_{i}"}
            for i in range(count)
        ],
        "codebook_counts": [*range(500), *[0] * 12],
    }
    np.savez(folder / "samples" / "samples.npz", **joints)
    (folder / "samples" / "samples.json").write_text(json.dumps(samples), encoding="utf-8")
    (folder / "sft").mkdir()
    (folder / "sft" / "training_run.json").write_text(json.dumps({"model": {"width": NASTY}}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("runs") / "demo")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(run) -> Reader:
    return Reader((run / "report.html").read_text(encoding="utf-8")).check()


def text(page: Reader) -> str:
    return re.sub(r"\s+", " ", " ".join(page.texts))


def test_twelve_motions_and_twelve_descriptions_move(page):
    tracks = [[track["label"] for track in data["tracks"]] for data in page.data()]
    assert len(tracks) == 24
    assert tracks[0] == ["Ground truth · 2.0 s", "Generated · 2.0 s"] and tracks[12] == ["Motion · 2.0 s"]
    assert sum(map(len, tracks)) == 36 == len(page.tags("canvas"))
    # One script runs them all.
    assert sum(1 for s in page.tags("script") if s.get("type") != "application/json") == 1


def test_texts_stay_texts(page):
    # The run's name and the word before each thought, and nothing out of the texts.
    assert len(page.tags("b")) == 1 + 12
    # Two sheets of frames, which are in the page itself.
    assert [tag["src"].split(",")[0] for tag in page.tags("img")] == ["data:image/png;base64"] * 2
    shown = "\n".join(page.texts)
    assert f"{NASTY} 0" in shown and f"{NASTY} 11" in shown and f"{NASTY} 12" not in shown
    assert shown.count(NASTY) >= 12 + 12 + 12 + 2  # captions, thoughts, references, settings


def test_words_that_were_never_met_are_named_beside_their_sample(page):
    words = text(page)
    assert words.count("Warning: words that the model's training on motion never met: kneels") == 1
    assert "captions of 2 different words" in words and "person, walks" in words


def test_every_figure_is_there(page):
    shown = text(page)
    for words in ("R@1", "FID", "MM-Dist", "Held-out judge", "Hard split", "Attribute pools", "BLEU@4", "CIDEr"):
        assert words in shown, words
    for number in ("0.660", "± 0.010", "0.440", "0.510", "10.3", "98.0%", "14.5 min", "3.0 GB", "550", "seed 7"):
        assert number in shown, number
    assert "temperature" in shown and "runs/x/evaluator" in shown and "model.width" in shown
    for stage in ("Data", "Motion VQ-VAE", "Supervised fine-tuning", "GRPO", "Held-out judge"):
        assert stage in shown


def test_instruction_accuracy_stands_beside_r_precision(run):
    """It needs no judge, so the held-out judge has none; the share of real motion is what a perfect model reaches."""
    html = (run / "report.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr><th scope=row>(.*?)</th>(.*?)</tr>", html)
    names = [name for name, _ in rows]
    assert names[names.index("R@3 ↑") + 1] == "Instruction accuracy ↑"
    cells = re.findall(r"<td(.*?)>(.*?)</td>", dict(rows)["Instruction accuracy ↑"])
    assert [re.sub("<.*?>", "", cell) for _, cell in cells] == ["97.3%", "80.4 ± 1.0%", "85.2 ± 1.0%", "–", "–", "–"]
    assert ["best" in classes for classes, _ in cells] == [False, False, True, False, False, False]
    shown = re.sub(r"<.*?>", " ", html)
    assert re.search(r"Instruction accuracy\s+85\.2%\s+real motion 97\.3%", shown)


def test_a_share_just_below_one_is_not_shown_as_one(page):
    assert "99.96%" in text(page) and "100.0%" in text(page)


def test_the_better_trained_model_is_bold_and_real_motion_never(run):
    html = (run / "report.html").read_text(encoding="utf-8")
    row = re.search(r"<th scope=row>FID ↓</th>(.*?)</tr>", html)[1]
    cells = re.findall(r"<td(.*?)>", row)
    assert ["best" in c for c in cells] == [False, False, True, False, False, True]


def test_the_page_is_small_and_needs_nothing_from_outside(run):
    html = (run / "report.html").read_text(encoding="utf-8")
    assert len(html.encode()) < 2_000_000
    assert not re.search(r"https?://|@import|\burl\((?!#)|\bsrc\s*=(?!\"data:image/png)|\bfetch\(|<link", html)
    assert str(run) not in html  # no machine paths
    assert not list(run.glob("*.part"))


def test_same_run_same_report(run):
    before = (run / "report.html").read_bytes()
    assert write_report(str(run)).read_bytes() == before


def test_links_lead_to_sections(page):
    targets = {section["id"] for section in page.tags("section")}
    links = [a["href"].removeprefix("#") for a in page.tags("a")]
    assert links and set(links) == targets


def test_curves_are_charts_and_what_was_measured_once_a_number(page):
    shown = text(page)
    charts = [svg["aria-label"] for svg in page.tags("svg") if "class" in svg]
    assert any(label.startswith("Loss: loss over step") for label in charts)
    assert any(label.startswith("Rewards by kind: format reward") for label in charts)
    assert "Measured once: mpjpe mm (validation) 10.3 (step 800)" in shown
    assert "Nothing was logged" in shown  # the evaluator's empty log
    assert not any("kl" in label.lower().split(":")[0] for label in charts)  # all NaN
    assert any(label.startswith("learning_rate") for label in charts)


def test_missing_files_are_named(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"seed": 0}), encoding="utf-8")
    shown = text(Reader(write_report(tmp_path).read_text(encoding="utf-8")).check())
    for name in ("curves.json", "samples/samples.json", "no seconds per stage", "No settings"):
        assert name in shown


def test_samples_that_cannot_be_drawn_say_so(tmp_path):
    run = write_run(tmp_path / "run", count=3)
    with np.load(run / "samples" / "samples.npz") as archive:
        joints = dict(archive)
    joints["t2m_gen_0"] = joints["t2m_gen_0"] * np.nan
    del joints["t2m_ref_1"]
    np.savez(run / "samples" / "samples.npz", **joints)
    page = Reader(write_report(run).read_text(encoding="utf-8")).check()
    shown = text(page)
    assert "cannot be drawn: joints of track 1 'Generated" in shown and "No motion t2m_ref_1 in" in shown
    assert len(page.data()) == 1 + 3 and len(page.tags("img")) == 1
    (run / "samples" / "samples.npz").unlink()
    assert not Reader(write_report(run).read_text(encoding="utf-8")).check().data()


def test_the_page_stays_small_however_long_the_motions(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", count=4)
    monkeypatch.setattr(report, "PLAYER_BUDGET", 60_000)
    path = write_report(run)
    assert "Left out to keep the page small" in text(Reader(path.read_text(encoding="utf-8")))
    assert path.stat().st_size < 60_000 + 150_000 + 2 * 200_000  # players, page, sheets of frames


def test_other_arms_and_unknown_metrics_are_shown_by_their_names(tmp_path):
    scores = {"r_precision_top1": 0.5, "new_metric<": 1.5, "fid": float("inf")}
    data = {"t2m": {"real": scores, "ablation & co": scores}}
    (tmp_path / "metrics.json").write_text(json.dumps(data), encoding="utf-8")
    shown = text(Reader(write_report(tmp_path).read_text(encoding="utf-8")).check())
    assert "ablation & co" in shown and "new metric<" in shown and "not finite" in shown


@pytest.mark.parametrize(
    ("prepare", "error", "message"),
    [
        (lambda run: shutil.rmtree(run), FileNotFoundError, "no folder at"),
        (lambda run: (run / "metrics.json").unlink(), FileNotFoundError, "no metrics.json"),
        (lambda run: (run / "metrics.json").write_text("{"), ValueError, "metrics.json is not valid JSON"),
        (lambda run: (run / "metrics.json").write_text("[]"), ValueError, "must hold a JSON object, got list"),
        (lambda run: (run / "curves.json").write_text("nope"), ValueError, "curves.json is not valid JSON"),
        (lambda run: (run / "curves.json").write_text("[]"), ValueError, "curves.json must hold a JSON object"),
        (
            lambda run: (run / "samples" / "samples.json").write_text("3"),
            ValueError,
            "samples.json must hold a JSON object",
        ),
        (lambda run: (run / "samples" / "samples.npz").write_bytes(b"PK"), ValueError, "samples.npz cannot be read"),
    ],
)
def test_broken_runs_are_refused(tmp_path, prepare, error, message):
    run = write_run(tmp_path / "run", count=1, frames=3)
    prepare(run)
    with pytest.raises(error, match=message):
        write_report(run)
    assert not (run / "report.html").exists()


def test_command_line(tmp_path, capsys):
    run = write_run(tmp_path / "run", count=1, frames=3)
    main(["--run", str(run)])
    assert "report.html" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--run", str(tmp_path / "nowhere")])
    assert "no folder at" in capsys.readouterr().err


def drawn_points(chart: str) -> list[list[tuple[float, float]]]:
    """The points of each coloured line of a chart, in the units of its view box."""
    lines = re.findall(r'<path d="(M[^"]*)"[^>]*style="fill: none; stroke: var\(--c', chart)
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.-]+) ([\d.-]+)", line)] for line in lines]


def test_lines_stay_inside_the_chart_and_long_ones_get_a_trend():
    points = [(float(i), float(np.sin(i / 5) * 10 ** (i % 3))) for i in range(200)]
    chart = line_chart({"a": points, "b": points[:40]}, "step", "value", "A <title>")
    assert 'aria-label="A &lt;title&gt;: a, b over step"' in chart and "<title>" not in chart
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', chart).groups())
    lines = drawn_points(chart)
    assert len([line for line in lines if len(line) > 30]) == 3  # noisy a with its trend, and b
    assert all(0 <= x <= width and 0 <= y <= height for line in lines for x, y in line)


def test_charts_take_their_colours_and_fonts_from_the_page():
    chart = line_chart({"a": [(0, 1.0), (1, 2.0)]}, "step", "loss", "t")
    assert "var(--c0, #2f7acd)" in chart and "var(--soft, " in chart
    assert "DejaVu" not in chart and "<style" not in chart and "<metadata" not in chart
    assert chart == line_chart({"a": [(0, 1.0), (1, 2.0)]}, "step", "loss", "t")


def test_wide_ranges_get_a_logarithmic_axis():
    assert "log scale" in line_chart({"loss": [(0, 1000.0), (1, 0.1)]}, "step", "loss", "t")
    assert "log scale" not in line_chart({"loss": [(0, 1000.0), (1, -0.1)]}, "step", "loss", "t")
    assert "<use" in line_chart({"loss": [(0, 3.0)]}, "step", "loss", "t")  # a marker


def test_charts_without_a_point_are_refused():
    for series in ({}, {"a": []}, {"a": [(0.0, float("nan"))]}):
        with pytest.raises(ValueError, match="no finite point"):
            line_chart(series, "step", "y", "t")


def test_histogram_is_sorted():
    drawn = re.search(r'<path d="([^"]*)"[^>]*style="fill: var\(--c0', histogram([1, 5, 0, 3], "x", "y", "t"))[1]
    base, *tops = dict.fromkeys(float(y) for y in re.findall(r"[ML] [\d.-]+ ([\d.-]+)", drawn))
    assert tops == sorted(tops) and len(tops) == 3 and base > tops[-1]  # y grows downwards; the last bar has no height
    assert histogram([0, 0], "x", "y", "t")


def test_other_ways_to_answer_are_columns_with_their_names():
    sides = {name: side(0.5, 1.0) for name in ("real", "grpo", "grpo_best_of_8", "grpo_without_thought", "mine")}
    arms = report._metric_table(sides, "Hard split")["arms"]
    assert arms == ["Real motion", "After GRPO", "After GRPO, best of 8", "After GRPO, without thought", "mine"]
