"""The ablation studies: which arms each one compares, and what an arm changes."""

from dataclasses import dataclass, field
from typing import Any

from train.studies.study_page import BEST_OF


@dataclass(frozen=True)
class Arm:
    """One way of training, trained and scored for every seed.

    Attributes:
        name: as in the table.
        sft: settings of train/sft.py over those of the budgets file.
        tune: settings of a further supervised training, over those of train/configs/self_train/; None: there is none.
        answers: how many own answers that training learns from and how they are sampled, as options of
            train/supervised/own_answers.py; None: it learns from the dataset alone.
        grpo: settings of train/grpo.py over those of the budgets file; None: the supervised model is scored as it is.
        style: of the thoughts in the dataset, as `unimo build --style` names it.
        score: options of evaluate_unimo.run.
        tasks: what it is scored on.
        steps_share: supervised steps as a share of the budget's.
        time_of: the arm whose training time this one gets as supervised steps, measured on both in this study; with
            `tune`, as steps of the further training, to which the sampling of answers counts.
        time_from: the arm with the same settings but the budget's steps, whose time a step is measured.
    """

    name: str
    sft: dict[str, Any] = field(default_factory=dict)
    grpo: dict[str, Any] | None = None
    tasks: tuple[str, ...] = ("t2m", "m2t")
    tune: dict[str, Any] | None = None
    answers: dict[str, Any] | None = None
    style: str = ""
    score: dict[str, Any] = field(default_factory=dict)
    steps_share: float = 1.0
    time_of: str = ""
    time_from: str = ""


@dataclass(frozen=True)
class Study:
    """A question, the arms that answer it, and the arm all others are compared with, seed by seed."""

    question: str
    baseline: str
    arms: tuple[Arm, ...]


CANDIDATES = (1, 2, 4, 8, 16)
# Captions of the hard kind, of eight answers to each the best, and of those the best three quarters.
SELF_TRAINING = {"candidates": 8, "temperature": 0.8, "new_captions": 700, "training_captions": 0, "kept_share": 0.75}
SCALED, FACTORS = ("motion_similarity", "semantic_similarity"), (0.1, 0.3, 3.0, 10.0)
REWARDS = ("format_reward", "motion_similarity", "semantic_similarity", "caption_similarity")


def _reward_arms(rewards: str) -> tuple[Arm, ...]:
    """GRPO with the recipe's rewards, without each of them, with others' weights, and with the paper's if they differ.

    The weights of the two motion rewards go from a tenth to ten times the recipe's.
    """
    named = dict(word.split("=") for word in rewards.replace(" ", "").split(",") if word)
    weights = dict.fromkeys(REWARDS, "1") | named
    whole = Arm("all rewards", grpo={})
    without = tuple(
        Arm(
            f"without {left_out}",
            grpo={"rewards": ",".join(f"{n}={w}" for n, w in (weights | {left_out: "0"}).items())},
        )
        for left_out, weight in weights.items()
        if float(weight)
    )
    scaled = tuple(
        Arm(
            f"{name} x {factor:g}",
            grpo={"rewards": ",".join(f"{n}={w}" for n, w in (weights | {name: _scaled(weight, factor)}).items())},
        )
        for name, weight in weights.items()
        if name in SCALED and float(weight)
        for factor in FACTORS
    )
    paper = (Arm("the paper's rewards", grpo={"rewards": ""}),) if named else ()
    return (whole, *without, *scaled, *paper)


def _scaled(weight: str, factor: float) -> str:
    return f"{float(weight) * factor:g}"


def _test_time_arms() -> tuple[Arm, ...]:
    """Thoughts in sentences, as plans, and none, each with its best of 1 to 16 answers."""
    ways: dict[str, dict[str, Any]] = {
        "thoughts": {},
        "plan thoughts": {"style": "plan"},
        "no thoughts": {"sft": {"thoughts": False}},
    }
    return tuple(
        Arm(f"{name}{BEST_OF}{count}", score={"candidates": count}, tasks=("t2m",), **way)
        for name, way in ways.items()
        for count in CANDIDATES
    )


def studies(t2m_only_fraction: float, t2m_share: float, rewards: str = "") -> dict[str, Study]:
    """All studies by name.

    Args:
        t2m_only_fraction, t2m_share: how the budgets' SFT mixes the tasks; says how many examples of each the joint
            arm sees, and with that how many steps a single task takes to see as many.
        rewards: those of the budgets' GRPO, as train/grpo.py is given them; empty: the paper's.

    Returns:
        The studies.
    """
    of_t2m = t2m_only_fraction + (1 - t2m_only_fraction) * t2m_share
    t2m, m2t = {"t2m_only_fraction": 1.0}, {"t2m_only_fraction": 0.0, "t2m_share": 0.0}
    return {
        "cot": Study(
            "Does thinking before answering help?",
            "without thoughts",
            (
                Arm("with thoughts"),
                Arm("without thoughts", {"thoughts": False}),
                Arm(
                    "without thoughts, equal time",
                    {"thoughts": False},
                    time_of="with thoughts",
                    time_from="without thoughts",
                ),
            ),
        ),
        "joint": Study(
            "Does learning both tasks help each, at as many examples of the task?",
            "joint",
            (
                Arm("joint"),
                Arm("text-to-motion alone", t2m, tasks=("t2m",), steps_share=of_t2m),
                Arm("motion-to-text alone", m2t, tasks=("m2t",), steps_share=1 - of_t2m),
            ),
        ),
        "rewards": Study(
            "Which reward does GRPO need?",
            "all rewards",
            (Arm("no GRPO"), *_reward_arms(rewards)),
        ),
        "algorithm": Study(
            "Is it GRPO, or would another algorithm on the same rewards do?",
            "no reinforcement learning",
            (
                Arm("no reinforcement learning"),
                Arm("grpo", grpo={}),
                # GSPO differs from GRPO if answers serve more than one step, so GRPO has an arm of that kind too.
                Arm("grpo, two passes", grpo={"num_iterations": 2}),
                Arm("gspo, two passes", grpo={"algorithm": "gspo", "num_iterations": 2}),
                Arm("ppo", grpo={"algorithm": "ppo"}),
                Arm("rloo", grpo={"algorithm": "rloo"}),
                Arm("dpo", grpo={"algorithm": "dpo"}),
            ),
        ),
        "self_training": Study(
            "Does a model get better by learning from the best of its own answers, at equal time?",
            "supervised steps, equal time",
            (
                Arm("begun with"),
                Arm("supervised steps, as many", tune={}),
                Arm("own answers", tune={}, answers=SELF_TRAINING),
                Arm(
                    "supervised steps, equal time",
                    tune={},
                    time_of="own answers",
                    time_from="supervised steps, as many",
                ),
                Arm("grpo", grpo={}),
                Arm("own answers, best of 8", tune={}, answers=SELF_TRAINING, score={"candidates": 8}),
            ),
        ),
        "test_time": Study(
            "What is thinking worth where it takes the time of more answers to choose from?",
            f"thoughts{BEST_OF}1",
            _test_time_arms(),
        ),
        "embedding_init": Study(
            "How should the rows of the motion tokens start?",
            "mean",
            tuple(Arm(name, {"embedding_init": name}) for name in ("mean", "sampled", "codebook")),
        ),
    }
