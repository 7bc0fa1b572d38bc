"""Options of the guards, which train/sft.py and train/grpo.py share."""

from dataclasses import dataclass, field

from train.engine.arguments import did_you_mean, require_range

NAMES = ("collapse", "thoughts", "motion_tokens", "tasks", "reward_balance", "reward_gaming")


@dataclass
class GuardArguments:
    """When guards read, what they take for a failure, and which of them may end a run. They change no training."""

    guard_every: int = field(
        default=10, metadata={"help": "Steps between two readings, taken where the Trainer logs; 0: no guards."}
    )
    guard_sample: int = field(
        default=16, metadata={"help": "Answers of each process a reading looks at: half the cost for half as many."}
    )
    guard_patience: int = field(
        default=3, metadata={"help": "Bad readings in a row that end the run; one bad batch is no collapse."}
    )
    guard_stops: str = field(
        default="collapse",
        metadata={"help": f"Guards that may end a run; the others only warn. Of {', '.join(NAMES)}."},
    )
    held_out_evaluator: str = field(
        default="", metadata={"help": "Folder of the held-out judge, which watches the reward's; it never rewards."}
    )
    guard_reward_drop: float = field(
        default=1.0,
        metadata={"help": "Reward below its start by so many spreads of its answers: what a random answer loses."},
    )
    guard_min_spread_ratio: float = field(
        default=0.05, metadata={"help": "Spread of the reward as a share of its start: below it nothing is ranked."}
    )
    guard_min_entropy: float = field(
        default=0.1, metadata={"help": "Entropy as a share of its start: sound runs lose a half, collapsed ones all."}
    )
    guard_max_entropy: float = field(
        default=4.0, metadata={"help": "Entropy as a multiple of its start: the policy dissolves into noise."}
    )
    guard_max_kl: float = field(
        default=1.0, metadata={"help": "KL from the reference, nats a token; sound runs stay below a tenth of it."}
    )
    guard_max_zero_spread: float = field(
        default=0.9, metadata={"help": "Share of groups whose answers all score the same and teach nothing."}
    )
    guard_length_drift: float = field(
        default=2.0, metadata={"help": "Mean answer length as a multiple or fraction of its start."}
    )
    guard_min_consistency: float = field(
        default=0.6,
        metadata={
            "help": "Share of a thought's checked claims that hold: 1 for true ones, 0.44 for another motion's."
        },
    )
    guard_consistency_drop: float = field(
        default=0.15, metadata={"help": "Loss of consistency since the start, beyond what 16 thoughts vary by."}
    )
    guard_min_rank: float = field(
        default=4.0,
        metadata={"help": "Effective rank of the codes' embeddings; a codebook of width 16 gives 8 to 16."},
    )
    guard_min_token_spread: float = field(
        default=0.1,
        metadata={
            "help": "Spread of the codes' embeddings against the text tokens'; rows set to the mean have 0.005."
        },
    )
    guard_min_mass: float = field(
        default=0.5, metadata={"help": "Probability of motion tokens where a motion is due; learned ones are near 1."}
    )
    guard_grace: float = field(
        default=0.3, metadata={"help": "Share of a supervised run after which that probability must be reached."}
    )
    guard_task_loss: float = field(
        default=0.1, metadata={"help": "Rise of a task's validation loss over its best, nats a token."}
    )
    guard_task_reward: float = field(
        default=0.5,
        metadata={"help": "Fall of a task's mean reward below its start, twice the noise of four prompts."},
    )
    guard_max_share: float = field(
        default=0.9, metadata={"help": "Share of the advantage's variance that one reward may have."}
    )
    guard_max_drift: float = field(
        default=0.5, metadata={"help": "Gain by the reward's judge beyond the held-out's, in spreads of its answers."}
    )

    def __post_init__(self) -> None:
        require_range(self, "guard_sample", "guard_patience", least=1)
        require_range(self, "guard_every", least=0)
        for name in self.stopping:
            if name not in NAMES:
                raise ValueError(f"guard_stops: there is no guard {name!r}{did_you_mean(name, NAMES)}")

    @property
    def stopping(self) -> tuple[str, ...]:
        """The guards that may end a run."""
        return tuple(filter(None, (name.strip() for name in self.guard_stops.split(","))))
