"""What model cards say whatever the run was: a text and a snippet for each kind of folder, names of figures.

`{name}` (the line that names the folder), `{dim}`, `{fps}`, `{joints}` and `{unit}` are filled in by
train/engine/cards.py.
"""

from dataclasses import dataclass

NAME = 'name = "path/to/this/folder"  # or the name of the repository on the Hub\n'
TRUST = (
    "`trust_remote_code=True` runs the Python files that lie beside the weights: read them first, and when loading "
    "from the Hub pin what you have read with `revision=`."
)


@dataclass(frozen=True)
class StageText:
    """What the card of one kind of folder says whatever the run was."""

    title: str
    what: str
    snippet: str
    limits: str
    tags: tuple[str, ...] = ()
    pipeline_tag: str | None = None  # the Hub knows none for motion


_JUDGE = """import numpy as np
from transformers import AutoModel

{name}judge = AutoModel.from_pretrained(name, trust_remote_code=True).eval()
motion = np.load("motion.npy")  # raw features, (frames, {dim}) at {fps} fps
texts = judge.get_text_features([["a/DET", "person/NOUN", "wave/VERB"]])
motions = judge.get_motion_features([motion])
print((texts - motions).norm(dim=-1))  # smaller: a better match
"""
_LANGUAGE_MODEL = """from transformers import AutoModelForCausalLM, AutoProcessor

{name}model = AutoModelForCausalLM.from_pretrained(name)
processor = AutoProcessor.from_pretrained(name, trust_remote_code=True)
inputs = processor.encode_prompts("t2m", ["a person waves with the left hand"])
answer = model.generate(**inputs, max_new_tokens=320)[0, inputs["input_ids"].shape[1] :]
print(processor.parse(answer, "t2m"))  # valid, thought, codes
"""
_JUDGE_LIMITS = (
    "It tells motions apart only as far as its own training data did: scores of different judges are not comparable, "
    "and a model that was rewarded by a judge should also be scored by one that no reward has seen."
)
_ANSWER_LIMITS = (
    "One person, {joints} body joints without fingers, face, objects or scene, and only a few seconds an answer. "
    "Wording and actions far from the training captions give plausible but wrong motion; a thought is no proof that "
    "the motion does what it says. Without the answer grammar some answers are invalid."
)
_JOIN = (
    "Codes become motion with the VQ-VAE it was trained with; `python -m modeling_unimo.convert_checkpoint --kind "
    "unimo` makes one model of the two."
)
STAGES = {
    "vqvae": StageText(
        "UniMo: motion VQ-VAE",
        "Turns human motion, features (frames, {dim}) at {fps} fps, into one discrete code for every {unit} frames, "
        "and codes back into motion.",
        """import numpy as np
from transformers import AutoFeatureExtractor, AutoModel

{name}vqvae = AutoModel.from_pretrained(name, trust_remote_code=True).eval()
extractor = AutoFeatureExtractor.from_pretrained(name, trust_remote_code=True)
motion = np.load("motion.npy")  # raw features, (frames, {dim}) at {fps} fps
codes = vqvae.encode(**extractor(motion)).codes  # (1, frames // {unit})
again = extractor.denormalize(vqvae.decode(codes)[0].detach().numpy())
print(codes.shape, again.shape)
""",
        "Reconstructions are smoother than the motion they stand for, and root drift adds up over a clip. Frames "
        "beyond a multiple of {unit} are dropped.",
        ("vq-vae", "motion-tokenizer"),
    ),
    "evaluator": StageText(
        "UniMo: text-motion evaluator",
        "Puts captions and motions into one space, in which a motion lies near its caption: the judge behind "
        "R-Precision, FID and MM-Dist, and a reward in reinforcement learning.",
        _JUDGE,
        _JUDGE_LIMITS,
        ("text-motion-retrieval",),
    ),
    "held_out_evaluator": StageText(
        "UniMo: held-out text-motion evaluator",
        "A second judge, of another seed, width and share of the data, which no reward has seen: it shows whether a "
        "gain measured by the first judge is one.",
        _JUDGE,
        _JUDGE_LIMITS,
        ("text-motion-retrieval",),
    ),
    "sft": StageText(
        "UniMo: language model after supervised fine-tuning",
        "A causal language model with motion codes in its vocabulary, tuned to think in words before it writes motion "
        "codes from text, or text from motion codes. " + _JOIN,
        _LANGUAGE_MODEL,
        _ANSWER_LIMITS,
        ("trl", "sft"),
        "text-generation",
    ),
    "grpo": StageText(
        "UniMo: language model after GRPO",
        "A causal language model with motion codes in its vocabulary: after supervised fine-tuning, reinforcement "
        "learning (GRPO) on both tasks, rewarded for format, motion similarity, semantic similarity and captions. "
        + _JOIN,
        _LANGUAGE_MODEL,
        _ANSWER_LIMITS,
        ("trl", "grpo"),
        "text-generation",
    ),
    "unimo": StageText(
        "UniMo",
        "One language model that writes human motion from text and text from human motion, thinking in words first; "
        "the motion VQ-VAE that its codes belong to is part of it.",
        """from transformers import AutoModel, AutoProcessor

{name}model = AutoModel.from_pretrained(name, trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained(name, trust_remote_code=True)
motion = model.generate_motion(["a person waves with the left hand"], processor, seed=0)[0]
print(motion.thought)
motion.save("wave.bvh")  # or .npy, .npz, .html, .mp4
print(model.describe_motion([motion.features], processor, seed=0)[0].caption)
""",
        _ANSWER_LIMITS,
        ("chain-of-thought",),
    ),
}
FIGURES = {
    "steps": "Steps",
    "processes": "Processes",
    "train_runtime": "Seconds of training",
    "peak_memory_mb_per_process": "Peak memory of a process, MB",
    "loss": "Training loss, last logged",
    "mean_token_accuracy": "Token accuracy in training, last logged",
    "reward": "Reward, last logged",
    "kl": "KL to the supervised model, last logged",
    "eval_mpjpe_mm": "Joint error without the root, validation, mm",
    "eval_root_drift_m": "Root drift at the end of a clip, validation, median, m",
    "eval_codes_used": "Share of the codes in use, validation",
    "eval_r_precision_top1": "R-Precision top-1 in pools of at most 32, validation",
}
