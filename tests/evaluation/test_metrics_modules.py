"""The `evaluate` modules: one call and batch by batch, from anywhere and from a checkout, alone and combined."""

import configparser
import doctest
import inspect
import json
import os
import runpy
import subprocess
import sys
import tracemalloc
from pathlib import Path

import evaluate
import numpy as np
import pytest
import torch
from forked import fork_server
from hub_server import Hub, run_client

import evaluate_unimo
from datasets_scripts.sources.synthetic.motion import Plan, Segment, animate
from evaluate_unimo import functional, gradio_space, instruction_accuracy, row_store

REPOSITORY = Path(__file__).resolve().parents[2]
SETUP = configparser.ConfigParser()
SETUP.read(REPOSITORY / "setup.cfg", encoding="utf-8")
# The commands of this environment, `hf` among them, are found by name.
COMMANDS = f"import os; os.environ['PATH'] = {str(Path(sys.executable).parent)!r} + ':' + os.environ['PATH']\n"
NAMES = [
    "foot_skating",
    "mm_dist",
    "motion_captioning",
    "motion_consistency",
    "motion_diversity",
    "motion_fid",
    "motion_multimodality",
    "r_precision",
]
WITH_TEXTS = ("motion_captioning", "motion_consistency")
CAPTIONS = ["a man walks forward.", "a person jumps", "someone sits down slowly.", ""]
REFERENCES = [["a man walks forward.", "someone walks."], ["a person hops."], ["someone sits."], ["a man runs."]]


def paired(rows=70, width=6):
    rng = np.random.default_rng(0)
    texts = rng.standard_normal((rows, width)).astype(np.float32)
    return {"text_embeddings": texts, "motion_embeddings": texts + rng.standard_normal((rows, width), np.float32)}


def sided():
    rng = np.random.default_rng(1)
    return {
        "predictions": rng.standard_normal((70, 6), np.float32),
        "references": 1 + rng.standard_normal((70, 6), np.float32),
    }


def described():
    """70 clips of one length with captions, some of which say what is not there."""
    clips = [animate(Plan((Segment(*action),), tail=9)).joints[:49] for action in (("wave", "left", 2), ("bow",))]
    texts = ["a person waves the right hand twice.", "someone bows.", "a man jumps, then sits down.", "he hums."]
    return {"joints": np.stack([clips[i % 2] for i in range(70)]), "texts": [texts[i % 4] for i in range(70)]}


# name -> (inputs, options known beforehand, options at the end, what the functions say)
CASES = {
    "motion_fid": (sided(), {}, {}, lambda i: {"fid": functional.fid(**i)}),
    "r_precision": (
        paired(),
        {"pool_size": 16},
        {"top_k": 2},
        lambda i: functional.r_precision(**i, top_k=2, pool_size=16),
    ),
    "mm_dist": (paired(), {}, {}, lambda i: {"mm_dist": functional.mm_dist(**i)}),
    "motion_diversity": (
        {"embeddings": sided()["predictions"]},
        {},
        {"times": 20, "seed": 3},
        lambda i: {"diversity": functional.diversity(**i, times=20, seed=3)},
    ),
    "motion_multimodality": (
        {"embeddings": np.random.default_rng(2).standard_normal((70, 8, 6), np.float32)},
        {"times": 5, "seed": 3},
        {},
        lambda i: {"multimodality": functional.multimodality(**i, times=5, seed=3)},
    ),
    "motion_captioning": (
        {"predictions": CAPTIONS, "references": REFERENCES},
        {},
        {"reference_rule": "all"},
        lambda i: functional.captioning(**i, reference_rule="all"),
    ),
    "motion_consistency": (
        described(),
        {"fps": 10.0},
        {},
        lambda i: instruction_accuracy.merge(instruction_accuracy.check_pairs(i["joints"], i["texts"], fps=10.0)),
    ),
    "foot_skating": (
        {"joints": np.random.default_rng(3).uniform(0, 0.08, (70, 9, 22, 3))},
        {"fps": 10.0},
        {},
        lambda i: functional.foot_skating(**i, fps=10.0),
    ),
}


def batches(inputs, sizes=(1, 20, 3)):
    """The same rows in batches of these sizes and one with the rest."""
    rows = len(next(iter(inputs.values())))
    edges = [0, *(edge for edge in np.cumsum(sizes).tolist() if edge < rows), rows]
    return [{k: v[a:b] for k, v in inputs.items()} for a, b in zip(edges, edges[1:], strict=False)]


def close(scores):
    numbers = {k: pytest.approx(v, rel=1e-9, abs=1e-9) for k, v in scores.items() if isinstance(v, int | float)}
    return scores | numbers


def test_every_folder_is_a_module_with_its_files():
    assert sorted(CASES) == NAMES
    for name in NAMES:
        folder = REPOSITORY / "evaluate_unimo" / name
        assert {"README.md", "app.py", "requirements.txt", f"{name}.py"} <= {path.name for path in folder.iterdir()}
        assert evaluate_unimo.load(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_examples_in_docstrings_and_cards(name):
    module = inspect.getmodule(type(evaluate_unimo.load(name)))
    # A closing fence would count as output.
    card = (REPOSITORY / "evaluate_unimo" / name / "README.md").read_text(encoding="utf-8").replace("```", "\n")
    for where, text in {"docstring": module._KWARGS_DESCRIPTION, "card": card}.items():
        test = doctest.DocTestParser().get_doctest(text, {}, f"{name} {where}", None, 0)
        assert test.examples and doctest.DocTestRunner().run(test).failed == 0
    for field in ("title:", "sdk: gradio", "app_file: app.py", "- metric", "## How to use", "## Limits"):
        assert field in card


def test_example_of_load():
    assert doctest.testmod(evaluate_unimo).attempted > 0 == doctest.testmod(evaluate_unimo).failed


@pytest.mark.parametrize("name", NAMES)
def test_one_call(name):
    inputs, early, late, expected = CASES[name]
    assert evaluate_unimo.load(name).compute(**inputs, **early, **late) == close(expected(inputs))
    assert evaluate_unimo.load(name, **early, **late).compute(**inputs) == close(expected(inputs))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITH_TEXTS])
@pytest.mark.parametrize("kind", ["tensor", "list"])
def test_one_call_with_tensors_and_lists(name, kind):
    inputs, early, late, expected = CASES[name]
    given = {k: torch.tensor(v) if kind == "tensor" else v.tolist() for k, v in inputs.items()}
    assert evaluate_unimo.load(name).compute(**given, **early, **late) == close(expected(inputs))


@pytest.mark.parametrize("name", NAMES)
def test_batch_by_batch(name):
    inputs, early, late, expected = CASES[name]
    module = evaluate_unimo.load(name, **early)
    # Twice: nothing may stay behind from the first time.
    for _ in range(2):
        for batch in batches(inputs):
            module.add_batch(**batch)
        assert module.compute(**late) == close(expected(inputs))
        assert len(module) == 0
    *first, last = batches(inputs)
    for batch in first:
        module.add_batch(**batch)
    assert module.compute(**last, **late) == close(expected(inputs))


@pytest.mark.parametrize("name", NAMES)
def test_one_by_one(name):
    inputs, early, late, expected = CASES[name]
    module = evaluate_unimo.load(name, **early)
    singular = {"predictions": "prediction", "references": "reference"}
    rows = len(next(iter(inputs.values())))
    for i in range(rows):
        module.add(**{singular.get(k, k): v[i] for k, v in inputs.items()})
    assert len(module) == (2 * rows if name == "motion_fid" else rows)
    assert module.compute(**late) == close(expected(inputs))


def test_a_batch_that_was_added_may_be_overwritten():
    inputs, early, late, expected = CASES["motion_diversity"]
    module, buffer = evaluate_unimo.load("motion_diversity"), np.empty((10, 6))
    for begin in range(0, 70, 10):
        buffer[:] = inputs["embeddings"][begin : begin + 10]
        module.add_batch(embeddings=buffer)
    assert module.compute(**late) == close(expected(inputs))


def test_fid_of_different_counts_and_sides_apart():
    sides = sided() | {"references": sided()["references"][:40]}
    module = evaluate_unimo.load("motion_fid")
    expected = {"fid": pytest.approx(functional.fid(**sides), rel=1e-9)}
    assert module.compute(**sides) == expected
    module.add_batch(references=sides["references"])
    module.add_batch(predictions=sides["predictions"][:50])
    module.add_batch(predictions=sides["predictions"][50:])
    assert module.compute() == expected


def test_shuffled_pools_batch_by_batch():
    module = evaluate_unimo.load("r_precision", pool_size=16, shuffle=True, seed=5)
    for batch in batches(paired()):
        module.add_batch(**batch)
    assert module.compute() == functional.r_precision(**paired(), pool_size=16, shuffle=True, seed=5)


@pytest.mark.parametrize("name", ["motion_fid", "r_precision", "mm_dist", "motion_multimodality"])
def test_memory_does_not_grow_with_the_rows(name):
    inputs, early, _, _ = CASES[name]
    module, rng = evaluate_unimo.load(name, **early), np.random.default_rng(0)
    shapes = {k: (256, *v.shape[1:-1], 32) for k, v in inputs.items()}
    held = []
    tracemalloc.start()
    for i in range(41):
        module.add_batch(**{k: rng.standard_normal(shape) for k, shape in shapes.items()})
        if i in (10, 40):
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    # 30 batches of one array are 2 MB and more.
    assert held[1] - held[0] < 100_000


def test_combined():
    modules = [evaluate_unimo.load("r_precision", pool_size=16), evaluate_unimo.load("mm_dist")]
    expected = functional.r_precision(**paired(), pool_size=16) | {"mm_dist": functional.mm_dist(**paired())}
    combined = evaluate.combine(modules)
    assert combined.compute(**paired()) == close(expected)
    for batch in batches(paired()):
        combined.add_batch(**batch)
    assert combined.compute() == close(expected)


def test_combined_over_different_inputs():
    modules = [
        evaluate_unimo.load("motion_fid"),
        evaluate_unimo.load("mm_dist"),
        evaluate_unimo.load("motion_diversity", times=9),
    ]
    inputs = sided() | paired() | {"embeddings": sided()["predictions"]}
    combined = evaluate.combine(modules)
    scores = combined.compute(**inputs)
    assert set(scores) == {"fid", "mm_dist", "diversity"} and scores["fid"] == functional.fid(**sided())
    combined.add_batch(**inputs)
    assert set(combined.compute()) == set(scores)


FRESH_PROCESS = """
import os
import sys
import evaluate
import evaluate_unimo
for name in sys.argv[2:]:
    module = evaluate.load(f"evaluate_unimo/{name}")
    assert type(module).__module__.startswith("evaluate_modules"), type(module).__module__
    print(module.name)
os.chdir(sys.argv[1])
for name in sys.argv[2:]:
    print(evaluate_unimo.load(name).name)
print(evaluate_unimo.load("mm_dist").compute(text_embeddings=[[0.0, 0.0]], motion_embeddings=[[3.0, 4.0]]))
"""


def test_loaded_by_path_from_a_checkout_and_by_name_from_anywhere(tmp_path):
    """`evaluate.load` copies the file of a module into its cache and runs it there."""
    run = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, str(tmp_path), *NAMES],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "HF_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [*NAMES, *NAMES, "{'mm_dist': 5.0}"]


def test_the_functions_come_without_evaluate():
    code = "import sys, evaluate_unimo.functional; assert not {'evaluate', 'torch', 'nltk'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, timeout=300)


# Unfit input


def test_unknown_module():
    with pytest.raises(ValueError, match="name must be one of foot_skating, mm_dist"):
        evaluate_unimo.load("fid")


def test_unknown_options():
    with pytest.raises(ValueError, match="unknown option pool; its options are: pool_size, shuffle, seed, top_k"):
        evaluate_unimo.load("r_precision", pool=3)
    with pytest.raises(ValueError, match="unknown option times; its options are: none"):
        evaluate_unimo.load("mm_dist").compute(**paired(), times=3)


def test_an_option_that_comes_too_late():
    module = evaluate_unimo.load("r_precision")
    module.add_batch(**paired())
    with pytest.raises(ValueError, match="pool_size cannot change once rows were added"):
        module.compute(pool_size=16)
    # Rows are kept: the call can be made again as it should be.
    assert module.compute() == functional.r_precision(**paired())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_compute(name):
    with pytest.raises(ValueError, match="nothing to compute; it needs"):
        evaluate_unimo.load(name).compute()


def test_missing_and_unknown_inputs():
    module = evaluate_unimo.load("mm_dist")
    with pytest.raises(ValueError, match="motion_embeddings is missing"):
        module.compute(text_embeddings=[[1.0]])
    with pytest.raises(ValueError, match="unknown predictions; it takes text_embeddings, motion_embeddings"):
        module.add_batch(predictions=[[1.0]])
    with pytest.raises(ValueError, match="is missing"):
        module.add_batch()
    with pytest.raises(ValueError, match="references must hold at least 2"):
        evaluate_unimo.load("motion_fid").compute(predictions=[[1.0], [2.0]])


@pytest.mark.parametrize("name", NAMES)
def test_an_unfit_batch_leaves_the_others(name):
    inputs, early, late, expected = CASES[name]
    module = evaluate_unimo.load(name, **early)
    *first, last = batches(inputs)
    for batch in first:
        module.add_batch(**batch)
    unfit = {k: v if isinstance(v, list) else v * np.nan for k, v in last.items()}
    if name == "motion_captioning":
        unfit["references"] = "a man walks."
    with pytest.raises(ValueError):
        module.add_batch(**unfit)
    if name not in (*WITH_TEXTS, "foot_skating"):
        with pytest.raises(ValueError, match="embeddings"):
            module.add_batch(**{k: v[..., :3] for k, v in last.items()})
    module.add_batch(**last)
    assert module.compute(**late) == close(expected(inputs))


def test_one_unfit_side_leaves_the_other():
    module = evaluate_unimo.load("motion_fid")
    module.add_batch(**sided())
    with pytest.raises(ValueError, match="references must be finite"):
        module.add_batch(predictions=np.ones((5, 6)), references=np.full((5, 6), np.nan))
    assert module.compute() == close({"fid": functional.fid(**sided())})


def test_too_few_rows_for_a_pool():
    module = evaluate_unimo.load("r_precision")
    for batch in batches(paired(rows=20)):
        module.add_batch(**batch)
    with pytest.raises(ValueError, match="20 pairs do not fill one pool of 32"):
        module.compute()
    # The rows stay, so that more can be added.
    module.add_batch(**paired(rows=12))
    assert set(module.compute()) == {"r_precision_top1", "r_precision_top2", "r_precision_top3"}


def test_a_failed_call_leaves_nothing_behind():
    module = evaluate_unimo.load("motion_diversity")
    with pytest.raises(ValueError, match="got 300 for 70"):
        module.compute(embeddings=sided()["predictions"])
    assert len(module) == 0
    module.add_batch(embeddings=sided()["predictions"])
    with pytest.raises(ValueError, match="got 300 for 70"):
        module.compute()
    assert set(module.compute(times=10)) == {"diversity"}


# Streams that memory does not hold


@pytest.mark.parametrize(
    "name, early, late",
    [("motion_diversity", {}, CASES["motion_diversity"][2]), ("r_precision", {"shuffle": True}, {})],
)
def test_rows_beyond_a_buffer_lie_in_a_file(name, early, late, monkeypatch):
    """The figures that need all rows in the end: the same with a buffer of three rows, and memory does not grow."""
    inputs, options = CASES[name][0], early | ({"pool_size": 16, "seed": 5} if early else {})
    expected = evaluate_unimo.load(name).compute(**inputs, **options, **late)
    monkeypatch.setattr(row_store.RowStore.__init__, "__defaults__", (3 * 6 * 8,))
    module = evaluate_unimo.load(name, **options)
    for batch in batches(inputs):
        module.add_batch(**batch)
    assert module.compute(**late) == close(expected)
    monkeypatch.setattr(row_store.RowStore.__init__, "__defaults__", (100_000,))
    rng, held = np.random.default_rng(0), []
    tracemalloc.start()
    for i in range(41):
        module.add_batch(**{k: rng.standard_normal((256, 32)) for k in inputs})
        if i in (10, 40):
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.reset_peak()
    module.compute(**late)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A batch is 64 kB, all of them 2.7 MB.
    assert held[1] - held[0] < 200_000 and peak - held[1] < 1_000_000


def test_rows_are_found_again_wherever_they_lie():
    kept, numbers = row_store.RowStore(buffer_bytes=100), np.arange(60.0).reshape(20, 3)
    assert kept.all().shape == (0, 0)
    for begin in (0, 2, 4, 9):
        kept.append(numbers[begin : {0: 2, 2: 4, 4: 9, 9: 20}[begin]])
    np.testing.assert_array_equal(kept.take(np.array([19, 0, 5])), numbers[[19, 0, 5]])
    np.testing.assert_array_equal(kept.all(), numbers)
    with pytest.raises(ValueError, match="embeddings have 2 dimensions, earlier ones had 3"):
        kept.append(np.zeros((1, 2)))


# Several processes


def one_of_two(process, folder, answers):
    """What process 0 or 1 of two does with its half of every case, twice: nothing may be counted again."""
    for name in NAMES:
        inputs, early, late, _ = CASES[name]
        module = evaluate_unimo.load(
            name, num_process=2, process_id=process, experiment_id="a test", cache_dir=folder, timeout=60.0, **early
        )
        for _ in range(2):
            for batch in halves(inputs)[process]:
                module.add_batch(**batch)
            answers.put((process, name, module.compute(**late), len(module)))


def halves(inputs):
    """The batches of two processes: the first has more, and the rows in order are those of both, one after another."""
    parts = batches(inputs)
    return parts[:-1], parts[-1:]


def test_two_processes_compute_what_one_does(tmp_path):
    """Real processes, every metric, with nothing between them but files."""
    context = fork_server()
    answers = context.Queue()
    running = [
        context.Process(target=one_of_two, args=(process, str(tmp_path), answers), daemon=True) for process in (0, 1)
    ]
    for process in running:
        process.start()
    found = [answers.get(timeout=120) for _ in range(4 * len(NAMES))]
    for process in running:
        process.join(timeout=60)
        assert process.exitcode == 0
    for process, name, scores, rows_left in found:
        inputs, early, late, expected = CASES[name]
        if name == "r_precision":  # each process fills pools of its own, then what is left of both
            order = [*range(16), *range(24, 56), *range(16, 24), *range(56, 70)]
            inputs = {k: v[order] for k, v in inputs.items()}
        assert scores == (None if process else close(expected(inputs))) and rows_left == 0, name
    assert not list(tmp_path.rglob("*.npz")) and not list(tmp_path.rglob("*.part"))


def distributed(folder, process, count=2, timeout=5.0, name="mm_dist", **options):
    shared = {"num_process": count, "process_id": process, "experiment_id": "x", "cache_dir": str(folder)}
    return evaluate_unimo.load(name, **shared, timeout=timeout, **options)


def test_a_process_without_rows(tmp_path):
    first, second, third = (distributed(tmp_path, process, count=3) for process in range(3))
    second.add_batch(**paired())
    assert third.compute() is None and second.compute() is None
    assert first.compute() == close({"mm_dist": functional.mm_dist(**paired())})
    second.compute(), third.compute()
    with pytest.raises(ValueError, match="nothing to compute"):
        first.compute()


def test_what_a_killed_evaluation_left_is_not_counted(tmp_path):
    first, second = distributed(tmp_path, 0), distributed(tmp_path, 1)
    second.compute(**paired())
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    contents = {path: path.read_bytes() for path in left}
    first._exchange._lock.release()
    del first, second
    for path, content in contents.items():
        path.write_bytes(content)
    first, second = distributed(tmp_path, 0, timeout=0.1), distributed(tmp_path, 1)
    with pytest.raises(ValueError, match=r"process 1 did not call `compute` within 0\.1 seconds"):
        first.compute(**paired())
    second.compute(**paired())
    first.compute(**paired())
    assert not any(path.is_file() for path in left)


def test_processes_that_do_not_fit_together(tmp_path):
    with pytest.raises(ValueError, match=r"looked for process 0 in .* for 0\.1 seconds: it is not there"):
        distributed(tmp_path, 1, timeout=0.1).compute(**paired())
    first = distributed(tmp_path, 0, name="foot_skating", fps=10.0)
    with pytest.raises(ValueError, match="another evaluation uses .x. in .*; give another one"):
        distributed(tmp_path, 0, name="foot_skating")
    distributed(tmp_path, 1, name="foot_skating").compute(joints=CASES["foot_skating"][0]["joints"])
    with pytest.raises(ValueError, match='process 1 has the options .*"fps": 20.0.* process 0 has .*"fps": 10.0'):
        first.compute()
    with pytest.raises(ValueError, match="experiment_id must consist of .*, got '../y'"):
        evaluate_unimo.load("mm_dist", num_process=2, process_id=0, experiment_id="../y", cache_dir=str(tmp_path))
    widths = distributed(tmp_path, 0), distributed(tmp_path, 1)
    widths[1].compute(**paired(width=3))
    with pytest.raises(ValueError, match="embeddings have 3 dimensions, earlier ones had 6"):
        widths[0].compute(**paired())


# Spaces


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_space_is_that_of_its_metric(name, monkeypatch):
    opened = []
    monkeypatch.setattr(gradio_space, "launch", opened.append)
    runpy.run_path(str(REPOSITORY / "evaluate_unimo" / name / "app.py"), run_name="__main__")
    assert opened == [name]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_in_gradio(name):
    gradio = pytest.importorskip("gradio", reason="a Space brings Gradio along; it is not installed here")
    page = gradio_space.page(name)
    assert isinstance(page, gradio.Interface) and "## Limits" in page.article
    if name == "mm_dist":
        assert json.loads(page.fn([["[0.0, 0.0]", "[3.0, 4.0]"], ["", None]])) == {"mm_dist": 5.0}
        with pytest.raises(gradio.Error, match="row 1"):
            page.fn([["[0.0", "[3.0, 4.0]"]])


def test_what_is_typed_into_a_table():
    cells = [["[0.5, 1]", " a man walks "], ["", None], ["[2, 3]", "[0]"]]
    read = {"numbers": [[0.5, 1], [2, 3]], "words": ["a man walks", "[0]"]}
    assert gradio_space.read_table(cells, ["numbers", "words"], {"words"}) == read
    with pytest.raises(ValueError, match=r"numbers, row 2: 'a man' is not valid JSON"):
        gradio_space.read_table([["1"], ["a man"]], ["numbers"], set())


@pytest.mark.slow
def test_pushed_as_the_card_says_and_loaded_from_there(tmp_path):
    """Every module, by the Hub's own command, through the loopback Hub, and the example of one from a fresh cache."""
    source = """
import subprocess, sys
from pathlib import Path
import evaluate
for name in sys.argv[2:]:
    card = Path(sys.argv[1], "evaluate_unimo", name, "README.md").read_text(encoding="utf-8")
    for line in card.split("```bash")[1].split("```")[0].strip().splitlines():
        subprocess.run(line.replace("NAME/", "tester/"), shell=True, cwd=sys.argv[1], check=True)
    module = evaluate.load(f"tester/{name}")
    assert type(module).__module__.startswith("evaluate_modules.metrics.tester--"), type(module).__module__
fid = evaluate.load("tester/motion_fid")
print(fid.compute(predictions=[[0.0], [2.0]], references=[[1.0], [3.0], [5.0]]))
"""
    with Hub() as hub:
        # A run of the module here may have left what no Space needs.
        done = run_client(hub.url, tmp_path, str(REPOSITORY), *NAMES, source=COMMANDS + source)
        assert done.returncode == 0, done.stderr[-3000:]
        for name in NAMES:
            files = set(hub.repo(name, "spaces").files)
            assert files == {".gitattributes", "README.md", "app.py", "requirements.txt", f"{name}.py"}
    assert json.loads(done.stdout.splitlines()[-1].replace("'", '"'))["fid"] == pytest.approx(4.343146)


def test_requirements_name_this_package_and_what_it_requires_is_there():
    for name in NAMES:
        lines = (REPOSITORY / "evaluate_unimo" / name / "requirements.txt").read_text().split()
        assert lines == ["unimo"]
    required = {line.split(">")[0].split("<")[0].strip() for line in SETUP["options"]["install_requires"].splitlines()}
    assert {"evaluate", "datasets", "numpy", "scipy", "nltk", "rouge-score", "pycocoevalcap"} <= required
