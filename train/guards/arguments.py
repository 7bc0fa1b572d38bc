"""Options of the guards, which train/sft.py and train/grpo.py share."""

from dataclasses import dataclass, field

from train.engine.arguments import did_you_mean, require_range

NAMES = ("collapse", "thoughts", "motion_tokens", "tasks", "reward_balance", "reward_gaming")


@dataclass
class GuardArguments:
    """When guards measure, their thresholds, and which of them may end a run. They do not change the training."""

    guard_every: int = field(
        default=10,
        metadata={"help": "Steps between two readings, which are taken when the Trainer logs; 0: no guards."},
    )
    guard_sample: int = field(
        default=16, metadata={"help": "Answers per process that a reading looks at; its cost is proportional."}
    )
    guard_patience: int = field(
        default=3,
        metadata={"help": "Consecutive bad readings that end the run; a single bad batch is not a collapse."},
    )
    guard_stops: str = field(
        default="collapse",
        metadata={"help": f"Guards that may end a run; the others only warn. Any of {', '.join(NAMES)}."},
    )
    held_out_evaluator: str = field(
        default="",
        metadata={"help": "Folder of the held-out evaluator, which checks the one that rewards; it never rewards."},
    )
    guard_reward_drop: float = field(
        default=1.0,
        metadata={
            "help": "Largest fall of the reward since the start, in standard deviations of the answers' rewards."
        },
    )
    guard_min_spread_ratio: float = field(
        default=0.05, metadata={"help": "Smallest standard deviation of the reward, as a share of the initial one."}
    )
    guard_min_entropy: float = field(
        default=0.1, metadata={"help": "Smallest entropy, as a share of the initial one; sound runs lose about half."}
    )
    guard_max_entropy: float = field(
        default=4.0, metadata={"help": "Largest entropy, as a multiple of the initial one."}
    )
    guard_max_kl: float = field(
        default=1.0,
        metadata={"help": "Largest KL from the reference, nats per token; sound runs stay below a tenth of this."},
    )
    guard_max_zero_spread: float = field(
        default=0.9, metadata={"help": "Largest share of groups whose answers all score the same."}
    )
    guard_length_drift: float = field(
        default=2.0, metadata={"help": "Largest change of the mean answer length, as a factor of the initial one."}
    )
    guard_min_consistency: float = field(
        default=0.6,
        metadata={
            "help": "Smallest share of a thought's checked claims that hold; 0.44 for another motion's thought."
        },
    )
    guard_consistency_drop: float = field(
        default=0.15, metadata={"help": "Largest fall of that share since the start."}
    )
    guard_min_rank: float = field(
        default=4.0,
        metadata={"help": "Smallest effective rank of the codes' embeddings; a codebook of width 16 gives 8 to 16."},
    )
    guard_min_token_spread: float = field(
        default=0.1,
        metadata={"help": "Smallest spread of the codes' embeddings relative to the text tokens'; 0: all alike."},
    )
    guard_min_mass: float = field(
        default=0.5,
        metadata={"help": "Smallest probability of motion tokens inside <Motion>; a trained model has nearly 1."},
    )
    guard_grace: float = field(
        default=0.3, metadata={"help": "Share of a supervised run after which that probability is checked."}
    )
    guard_task_loss: float = field(
        default=0.1, metadata={"help": "Largest rise of a task's validation loss above its best, nats per token."}
    )
    guard_task_reward: float = field(
        default=0.5,
        metadata={"help": "Largest fall of a task's mean reward since the start."},
    )
    guard_max_share: float = field(
        default=0.9, metadata={"help": "Largest share of the advantage's variance that one reward may have."}
    )
    guard_max_drift: float = field(
        default=0.5,
        metadata={
            "help": "Largest gain by the rewarding evaluator beyond the held-out one's, in standard deviations."
        },
    )

    def __post_init__(self) -> None:
        require_range(self, "guard_sample", "guard_patience", least=1)
        require_range(self, "guard_every", least=0)
        for name in self.stopping:
            if name not in NAMES:
                raise ValueError(f"guard_stops: unknown guard {name!r}{did_you_mean(name, NAMES)}")

    @property
    def stopping(self) -> tuple[str, ...]:
        """The guards that may end a run."""
        return tuple(filter(None, (name.strip() for name in self.guard_stops.split(","))))
