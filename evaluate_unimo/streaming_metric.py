"""Base class of the `evaluate` modules: inputs are reduced as they come, without Arrow files on disk.

A stock `evaluate.Metric` writes every row to an Arrow file and reads all of them back before it computes, needs as
many predictions as references, and converts lists element by element: for embeddings this costs more than the
metric. Here `compute` hands arrays or tensors straight to `evaluate_unimo.functional`, and `add` and `add_batch` keep
only what the figure needs. In several processes it is this that they exchange, not the rows.
"""

import inspect
import json
from collections.abc import Callable
from typing import Any

import evaluate

from evaluate_unimo.state_exchange import StateExchange

# `evaluate.combine` hands every input to every module: these are ignored by a metric that does not take them.
INPUTS = frozenset(
    "predictions references reference_tokens text_embeddings motion_embeddings embeddings joints texts".split()
)


class StreamingMetric(evaluate.Metric):
    """Base of the metrics: `compute`, `add` and `add_batch` of `evaluate` over five methods of the subclass.

    * `_start(**options)` resets the state. Its parameters are the options that have to be known while rows
      come in: they are given to `load`, or to a `compute` that is handed all rows at once.
    * `_add(**inputs) -> int` checks a batch and adds it, or raises ValueError and leaves the state as it was; returns
      the number of rows. Parameters with a default of None may be missing from a batch.
    * `_result(**options) -> dict` is the figure. Its parameters are the options that may wait until the end.
    * `_state() -> dict` is the state, as arrays and JSON values; `_join(state)` adds that of another
      process.

    Args:
        num_process, process_id: of a distributed evaluation: each process adds its own rows and calls `compute`, which
            gives the figure of all rows in process 0 and None in the others.
        experiment_id: the same in those processes, and another one in every evaluation that shares `cache_dir`.
        timeout: seconds that the processes wait for each other.
        options: options of the metric to use instead of their defaults; the others are those of `evaluate.Metric`.

    Raises:
        ValueError: an unknown option, or an `experiment_id` that another evaluation uses now.
    """

    _start: Callable[..., None]
    _add: Callable[..., int]
    _result: Callable[..., dict[str, float]]
    _state: Callable[[], dict[str, Any]]
    _join: Callable[[dict[str, Any]], None]

    def __init__(
        self,
        config_name: str | None = None,
        keep_in_memory: bool = False,
        cache_dir: str | None = None,
        num_process: int = 1,
        process_id: int = 0,
        experiment_id: str | None = None,
        hash: str | None = None,
        timeout: float = 100.0,
        **options: Any,
    ) -> None:
        super().__init__(
            config_name=config_name,
            keep_in_memory=keep_in_memory,
            cache_dir=cache_dir,
            num_process=num_process,
            process_id=process_id,
            experiment_id=experiment_id,
            hash=hash,
            timeout=timeout,
        )
        self._early = _defaults(self._start)
        self._late = _defaults(self._result)
        self._check_options(options)
        self._early |= {k: v for k, v in options.items() if k in self._early}
        self._late |= {k: v for k, v in options.items() if k in self._late}
        self._rows = 0
        self._exchange: StateExchange | None = None
        if num_process > 1:
            self._exchange = StateExchange(self.data_dir, str(self.experiment_id), num_process, process_id, timeout)

    def __len__(self) -> int:
        """Number of rows added since the last `compute`."""
        return self._rows

    def compute(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> dict[str, float] | None:
        """Compute the metric over the rows given here and those added before; the module is empty afterwards.

        Rows that were added before stay if the metric cannot be computed (for example, too few rows).

        Args:
            predictions: First input, if the module names it so; other inputs and options are keyword arguments.
            references: Second input, likewise.
            **kwargs: Other inputs, and options of the metric.

        Returns:
            The scores over the rows of all processes; None if `process_id` is not 0.

        Raises:
            ValueError: Inputs are invalid, missing or empty; an option is unknown, or is given after rows were added;
                or the other processes have other options or did not call `compute` in time.
        """
        given = {"predictions": predictions, "references": references, **kwargs}
        options = {k: v for k, v in given.items() if k not in INPUTS}
        inputs = {k: given[k] for k in self._feature_names() if given.get(k) is not None}
        self._check_options(options)
        early = self._early | {k: v for k, v in options.items() if k in self._early}
        late = self._late | {k: v for k, v in options.items() if k in self._late}
        if self._rows and early != self._early:
            changed = ", ".join(k for k in early if early[k] != self._early[k])
            raise ValueError(
                f"{changed} cannot change once rows were added; give it to evaluate_unimo.load({self.name!r}, ...)"
            )
        alone = not self._rows
        if alone:
            self._start(**early)
        if inputs:
            self._take(inputs)
        if self._exchange is not None:
            if self.process_id:
                self._exchange.send({**self._state(), "rows": self._rows, "options": _told(early)})
                self._rows = 0
                return None
            self._receive(self._exchange.receive(), _told(early))
        if not self._rows:
            raise ValueError(f"{self.name}: nothing to compute; it needs {', '.join(self._feature_names())}")
        try:
            scores = self._result(**late)
        finally:
            # Also where it fails: one call with everything can be made again, while rows that came before it may be
            # gone for the caller.
            if alone:
                self._rows = 0
        self._rows = 0
        return scores

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add a batch of rows.

        Args:
            predictions: First input, if the module names it so; other inputs are keyword arguments.
            references: Second input, likewise.
            **kwargs: Other inputs.

        Raises:
            ValueError: Inputs are invalid, missing or unknown; what was added before stays.
        """
        given = {"predictions": predictions, "references": references, **kwargs}
        unknown = [k for k, v in given.items() if k not in self._feature_names() and v is not None]
        if unknown:
            raise ValueError(f"{self.name}: unknown {', '.join(unknown)}; it takes {', '.join(self._feature_names())}")
        if not self._rows:
            self._start(**self._early)
        self._take({k: v for k, v in given.items() if v is not None})

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one row.

        Args:
            prediction: One element of `predictions`.
            reference: One element of `references`.
            **kwargs: One element of each of the module's other inputs.

        Raises:
            ValueError: See `add_batch`.
        """
        given = {"predictions": prediction, "references": reference, **kwargs}
        self.add_batch(**{k: [v] for k, v in given.items() if v is not None})

    def _take(self, inputs: dict[str, Any]) -> None:
        parameters = inspect.signature(self._add).parameters.values()
        missing = [p.name for p in parameters if p.default is inspect.Parameter.empty and p.name not in inputs]
        if missing or not inputs:
            raise ValueError(f"{self.name}: {', '.join(missing) or 'every input'} is missing")
        self._rows += self._add(**inputs)

    def _receive(self, states: list[dict[str, Any]], options: str) -> None:
        """Add the states of the other processes."""
        for process, state in enumerate(states, 1):
            if state["options"] != options:
                raise ValueError(f"process {process} has the options {state['options']}, process 0 has {options}")
        for state in states:
            if state["rows"]:
                self._join(state)
                self._rows += state["rows"]

    def _check_options(self, options: dict[str, Any]) -> None:
        unknown = [k for k in options if k not in self._early and k not in self._late]
        if unknown:
            known = ", ".join([*self._early, *self._late]) or "none"
            raise ValueError(f"{self.name}: unknown option {', '.join(unknown)}; its options are: {known}")


def _told(options: dict[str, Any]) -> str:
    return json.dumps(options, default=str)


def _defaults(method: Any) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(method).parameters.items()}
