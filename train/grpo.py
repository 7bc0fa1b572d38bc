"""Reinforcement learning with GRPO on both tasks: `accelerate launch train/grpo.py --config Y.yaml`.

Rollouts are sampled free (no grammar, temperature 1, no top-k or top-p), so that sampling and training
log-probabilities are one distribution and the format reward means something.
"""

from dataclasses import asdict, dataclass, field

from datasets import Dataset
from transformers import AutoModelForCausalLM, set_seed
from trl import GRPOConfig, GRPOTrainer

from datasets_scripts.examples import captioned_motions
from datasets_scripts.schema import load_motion_dataset
from modeling_unimo import MotionVQVAEModel, TextMotionEvaluatorModel, UniMoForConditionalGeneration, UniMoProcessor
from modeling_unimo.commands import load_whole, refusals, require_width
from modeling_unimo.tokenization_unimo import UniMoTokenizer
from train.arguments import already_finished, parse_arguments, prepare_output, require_folder, require_splits
from train.cards import write_unimo_card
from train.rewards import MotionScorer, grpo_rows, make_rewards
from train.stages import StageTrainer, finish_stage


@dataclass
class GRPOArguments:
    """The policy to start from, and the frozen networks the rewards use."""

    dataset: str = field(metadata={"help": "Dataset folder made by `python -m datasets_scripts.build`."})
    sft_model: str = field(metadata={"help": "Folder of the supervised model (train/sft.py)."})
    vqvae: str = field(metadata={"help": "Folder of the motion VQ-VAE."})
    evaluator: str = field(metadata={"help": "Folder of the evaluator that rewards (never the held-out one)."})
    unimo_output_dir: str = field(default="", metadata={"help": "Also assemble LM and VQ-VAE into this UniMo folder."})
    t2m_share: float = field(default=0.5, metadata={"help": "Share of text-to-motion prompts."})


class MotionGRPOTrainer(StageTrainer, GRPOTrainer):
    """TRL's trainer with the card of the stage."""


def main(argv: list[str] | None = None) -> None:
    """Runs the script."""
    arguments, training = parse_arguments((GRPOArguments, GRPOConfig), argv)
    require_folder(arguments.dataset, "dataset", "python -m datasets_scripts.build")
    require_folder(arguments.sft_model, "supervised model", "accelerate launch train/sft.py")
    require_folder(arguments.vqvae, "motion VQ-VAE", "accelerate launch train/vqvae.py")
    require_folder(arguments.evaluator, "evaluator", "accelerate launch train/evaluator.py")
    if training.max_steps <= 0:
        raise SystemExit("error: max_steps must be positive: it says how many prompts are drawn")
    if already_finished(training, "grpo", asdict(arguments)):
        return
    with refusals():
        dataset = require_splits(load_motion_dataset(arguments.dataset), arguments.dataset, "train")
        vqvae = load_whole(MotionVQVAEModel, arguments.vqvae, "as vqvae the folder of a motion VQ-VAE")
        evaluator = load_whole(TextMotionEvaluatorModel, arguments.evaluator, "as evaluator the folder of one")
        needed = "as sft_model the folder of a supervised model"
        model = load_whole(AutoModelForCausalLM, arguments.sft_model, needed, dtype="float32")
        processor = UniMoProcessor.from_pretrained(arguments.sft_model)
        vqvae, evaluator = vqvae.to(training.device), evaluator.to(training.device)
        entries = captioned_motions(dataset["train"])
        if not entries:
            raise ValueError(f"{arguments.dataset}: no captioned motion to ask about")
        require_width(evaluator, entries[0].motion.shape[1], arguments.evaluator)
        require_width(vqvae, entries[0].motion.shape[1], arguments.vqvae)
        codes = vqvae.encode_motions([entry.motion for entry in entries], processor.feature_extractor)
    checkpoint = prepare_output(training, "grpo", asdict(arguments))
    set_seed(training.seed)

    prompts = training.max_steps * training.generation_batch_size // training.num_generations
    rows = grpo_rows(processor, entries, codes, prompts, arguments.t2m_share, training.seed)

    training.temperature, training.top_p, training.top_k = 1.0, 1.0, 0
    training.remove_unused_columns = False
    trainer = MotionGRPOTrainer(
        model=model,
        args=training,
        train_dataset=Dataset.from_list(rows),
        processing_class=processor.tokenizer,
        reward_funcs=make_rewards(processor, MotionScorer(vqvae, processor.feature_extractor, evaluator)),
    )
    trainer.train(resume_from_checkpoint=checkpoint)

    def leave() -> None:
        processor.save_pretrained(training.output_dir)
        if arguments.unimo_output_dir:
            policy = trainer.accelerator.unwrap_model(trainer.model)
            # The wrapper's class is what AutoTokenizer finds there; the policy's own folder has the base's.
            processor.tokenizer = UniMoTokenizer.from_tokenizer(processor.tokenizer)
            model = UniMoForConditionalGeneration.from_parts(policy, vqvae, processor)
            model.save_pretrained(arguments.unimo_output_dir)
            processor.save_pretrained(arguments.unimo_output_dir)
            write_unimo_card(arguments.unimo_output_dir, training.output_dir)

    finish_stage(trainer, "grpo", leave)


if __name__ == "__main__":
    main()
