"""benchmarks/kills.py: the counts of several calls add up, and become a table."""

import json

from benchmarks.kills import Counts, add_counts
from benchmarks.results_tables import table


def test_counts_of_several_calls_add_up(tmp_path):
    file = tmp_path / "kills.json"
    for counts in (Counts("build", 5, 2, 2), Counts("annotate", 5, 1, 1), Counts("build", 5, 3, 2, files_left=1)):
        add_counts(file, counts)
    counts = {"kills": 10, "runs_finished": 5, "runs_equal": 4, "processes_left": 0, "files_left": 1, "failures": 0}
    results = json.loads(file.read_text())
    assert results["build"] == counts and list(results) == ["build", "annotate"]
    titles, lines = table({"kind": "kills", "results": results})
    assert titles[:3] == ["command", "kills", "runs finished"] and lines[0] == ["build", "10", "5", "4", "0", "1", "0"]
