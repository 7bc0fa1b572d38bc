"""The page of a metric as a Hugging Face Space: a table of inputs, the figures below it, the card beside.

`evaluate.utils.launch_gradio_widget` does this for Gradio 3, which cannot be installed beside today's `datasets`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Value
from evaluate.utils.gradio import parse_readme

import evaluate_unimo


def launch(name: str, **settings: Any) -> None:
    """Open the page of the metric `name`.

    Args:
        name: as for `evaluate_unimo.load`.
        settings: of Gradio's `launch`.

    Raises:
        ImportError: Gradio is missing; a Space brings it along.
    """
    page(name).launch(**settings)


def page(name: str) -> Any:
    """The page of a metric.

    Args:
        name: The metric.

    Returns:
        A `gradio.Interface`.

    Raises:
        gradio.Error: On the page, if an input cannot be scored.
    """
    import gradio  # a Space brings it along, and nothing else here needs it

    metric = evaluate_unimo.load(name)
    columns = list(metric.features)
    texts = {column for column in columns if metric.features[column] == Value("string")}

    def compute(table: list[list[Any]]) -> str:
        try:
            return json.dumps(
                metric.compute(**{k: v for k, v in read_table(table, columns, texts).items() if v}), indent=2
            )
        except ValueError as error:
            raise gradio.Error(str(error)) from error

    return gradio.Interface(
        fn=compute,
        inputs=gradio.Dataframe(headers=columns, datatype="str", row_count=2, column_count=len(columns), type="array"),
        outputs=gradio.Textbox(label=name),
        title=f"Metric: {name}",
        description=f"{metric.info.description}\nA row for each motion; numbers as JSON, as in [0.5, 1.0].",
        article=parse_readme(Path(evaluate_unimo.__file__).parent / name / "README.md"),
        flagging_mode="never",
    )


def read_table(rows: Sequence[Sequence[Any]], columns: Sequence[str], texts: set[str]) -> dict[str, list[Any]]:
    """The inputs of a metric from the cells of a table; cells that are left empty are left out.

    Args:
        rows: of as many cells as there are columns.
        columns: names of the inputs.
        texts: those of them that are text as it stands; the others are JSON.

    Returns:
        The inputs by name.

    Raises:
        ValueError: a cell that is no JSON, with its place.
    """
    inputs: dict[str, list[Any]] = {column: [] for column in columns}
    for number, row in enumerate(rows, 1):
        for column, cell in zip(columns, row, strict=True):
            content = "" if cell is None else str(cell).strip()
            if not content:
                continue
            try:
                inputs[column].append(content if column in texts else json.loads(content))
            except json.JSONDecodeError as error:
                raise ValueError(f"{column}, row {number}: {content[:40]!r} is not valid JSON ({error})") from None
    return inputs
