"""What all guards share: when they measure, where readings are logged, when they warn and when they end a run."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from modeling_unimo.files_unimo import write_json
from train.engine.checkpoints import last_checkpoint
from train.guards.arguments import GuardArguments

PREFIX = "guard"
GUARDS = "guards.json"  # in the folder of a finished run: who watched it, and who warned
BASELINE = 3  # readings that make what training began with: one alone is noise
Reading = dict[str, float]


class Guard(TrainerCallback):
    """One failure watched for.

    A subclass measures (`read`) and says what is wrong with a reading (`faults`). Readings live in the Trainer's log
    history alone, which checkpoints carry: a resumed run judges as if it had never stopped.

    Args:
        trainer: the Trainer that is watched; the guard logs through it.
        settings: thresholds.
    """

    name = ""

    def __init__(self, trainer: Trainer, settings: GuardArguments):
        self.trainer, self.settings = trainer, settings
        self.stopped: str | None = None  # why this guard ended the run
        self.seconds = 0.0  # spent on readings
        self._alarmed = False

    def concerned(self, logs: Reading) -> bool:
        """Whether logs are to be read: those of training, not of an evaluation, the end, or a guard.

        Args:
            logs: What the trainer logged.

        Returns:
            Whether the guard reads now.
        """
        return "loss" in logs

    def read(self, logs: Reading, past: Sequence[Reading]) -> Reading:
        """Measure. Called on every process, with the same result on each.

        Args:
            logs: What the trainer logged.
            past: Earlier readings.

        Returns:
            Figures by name; empty if there is nothing to measure yet.

        Raises:
            NotImplementedError: In the base class.
        """
        raise NotImplementedError

    def faults(self, reading: Reading, past: Sequence[Reading]) -> list[str]:
        """Judge a reading; a function of its arguments alone.

        Args:
            reading: The reading.
            past: Earlier readings.

        Returns:
            What is wrong, each with what to change.

        Raises:
            NotImplementedError: In the base class.
        """
        raise NotImplementedError

    # ---------------------------------------------------------------- the Trainer's events

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """Restore the alarm with which a resumed run stopped.

        Args:
            args: The Trainer's settings.
            state: The Trainer's state.
            control: The Trainer's control.
            **kwargs: Unused.
        """
        self._alarmed = self._may_stop and self._streak(self.past(state))[0] > 0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Reading | None = None,
        **kwargs,
    ) -> None:
        """Read, log and warn; end the run if it has to.

        Args:
            args: The Trainer's settings.
            state: The Trainer's state.
            control: The Trainer's control.
            logs: What was logged.
            **kwargs: Unused.
        """
        if not logs or not self.concerned(logs):
            return
        past = self.past(state)
        if past and state.global_step - past[-1]["step"] < self.settings.guard_every:
            self._keep_checkpoint(control)
            return
        began = time.perf_counter()
        reading = self.read(logs, past)
        self.seconds += time.perf_counter() - began
        if not reading:
            return
        # Not the trainer's own `log`, which would flush its other figures with these.
        Trainer.log(self.trainer, {f"{PREFIX}/{self.name}/{key}": value for key, value in reading.items()})
        streak, faults = self._streak(self.past(state))
        self._alarmed = streak > 0 and self._may_stop
        if streak and streak & (streak - 1) == 0 and state.is_world_process_zero:
            print(f"[guard] {self.name}, step {state.global_step}: warning: {'; '.join(faults)}", flush=True)
        if self._alarmed and streak >= self.settings.guard_patience:
            self.stopped = f"guard {self.name}, {streak} readings in a row: {'; '.join(faults)}"
            control.should_training_stop = True
        self._keep_checkpoint(control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """Save no checkpoint while a reading is bad; a log of this step may clear it.

        Args:
            args: The Trainer's settings.
            state: The Trainer's state.
            control: The Trainer's control.
            **kwargs: Unused.
        """
        if not control.should_log:
            self._keep_checkpoint(control)

    def _keep_checkpoint(self, control: TrainerControl) -> None:
        if self._alarmed:
            control.should_save = False

    # ---------------------------------------------------------------- readings

    @property
    def _may_stop(self) -> bool:
        return self.name in self.settings.stopping

    def past(self, state: TrainerState) -> list[Reading]:
        """This guard's earlier readings.

        Args:
            state: The Trainer's state.

        Returns:
            The readings, each with its step.
        """
        start = f"{PREFIX}/{self.name}/"
        readings = []
        for entry in state.log_history:
            reading = {key.removeprefix(start): value for key, value in entry.items() if key.startswith(start)}
            if reading:
                readings.append(reading | {"step": entry["step"]})
        return readings

    def warned(self) -> dict[str, Any] | None:
        """What this guard warned of in the whole training, before a kill and after; None where it did not.

        Returns:
            "guard"; "first_step" of a bad reading; "bad" of "readings" in number; "said": what was wrong last.
        """
        readings = self.past(self.trainer.state)
        faults = [self.faults(reading, readings[:place]) for place, reading in enumerate(readings)]
        bad = [place for place, found in enumerate(faults) if found]
        if not bad:
            return None
        first, said = readings[bad[0]]["step"], "; ".join(faults[bad[-1]])
        return {"guard": self.name, "first_step": first, "bad": len(bad), "readings": len(readings), "said": said}

    def _streak(self, readings: Sequence[Reading]) -> tuple[int, list[str]]:
        """How many of the last readings are bad in a row, and what is wrong with the last."""
        last: list[str] = []
        count = 0
        while count < len(readings):
            place = len(readings) - 1 - count
            found = self.faults(readings[place], readings[:place])
            if not found:
                break
            last = last or found
            count += 1
        return count, last


def baseline(past: Sequence[Reading], key: str) -> float | None:
    """Mean of the first readings of a figure.

    Args:
        past: Earlier readings.
        key: Name of the figure.

    Returns:
        The mean, or None while there are too few readings.
    """
    values = [reading[key] for reading in past if key in reading][:BASELINE]
    return sum(values) / BASELINE if len(values) == BASELINE else None


def latest(past: Sequence[Reading], reading: Reading, key: str) -> float | None:
    """Mean of the last readings of a figure, as many as make a baseline.

    Args:
        past: Earlier readings.
        reading: The reading of now.
        key: Name of the figure.

    Returns:
        The mean, or None while there are too few readings.
    """
    values = [r[key] for r in [*past[1 - BASELINE :], reading] if key in r]
    return sum(values) / BASELINE if len(values) == BASELINE else None


def require_sound(guards: Iterable[Guard], output_dir: str) -> None:
    """Stop a run that a guard has ended, before its model is saved.

    Args:
        guards: The guards.
        output_dir: Output folder of the run.

    Raises:
        SystemExit: With the reason, what to change, and the last good checkpoint.
    """
    for guard in guards:
        if guard.stopped:
            raise SystemExit(f"error: training ended by {guard.stopped}. {kept(output_dir)}")


def write_warnings(guards: Sequence[Guard], output_dir: str) -> None:
    """Write `guards.json` at the end of a training.

    It holds the guards' names under "watched", their "warnings", and under "seldom" those that read too few times to
    compare a reading with the start of the training; these are also printed.

    Args:
        guards: The guards.
        output_dir: Output folder of the run.
    """
    warnings = [warning for guard in guards if (warning := guard.warned())]
    readings = {guard.name: len(guard.past(guard.trainer.state)) for guard in guards}
    seldom = [
        {"guard": name, "said": f"read {count} times, too few to compare with the start"}
        for name, count in readings.items()
        if count <= BASELINE and name not in {warning["guard"] for warning in warnings}
    ]
    for row in seldom:
        print(f"[guard] {row['guard']}: {row['said']}; log more often, or train longer", flush=True)
    content = {"watched": [guard.name for guard in guards], "seldom": seldom, "warnings": warnings}
    write_json(Path(output_dir) / GUARDS, content)


def kept(output_dir: str) -> str:
    """Say which checkpoint remains of a run that was ended.

    Args:
        output_dir: Output folder of the run.

    Returns:
        One sentence.
    """
    checkpoint = last_checkpoint(Path(output_dir))
    if checkpoint is None:
        return "No checkpoint was made before; a smaller save_steps keeps one"
    return f"The last good checkpoint is {checkpoint}"
