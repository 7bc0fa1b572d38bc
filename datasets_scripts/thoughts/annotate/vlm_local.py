"""A Qwen2.5-VL of any size, run in this process by transformers."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

from datasets_scripts.thoughts.annotate.vlm_prompt import Film, Prompt, Reply

MODEL_TYPE = "qwen2_5_vl"


class LocalModel:
    """The model in this process; replies are greedy and therefore reproducible.

    Args:
        model: a folder, or the name of a repository on the Hub (`Qwen/Qwen2.5-VL-7B-Instruct`).
        device: where it runs; by default the GPU if available, else the CPU.
        dtype: of its weights; "auto" takes the saved one.
        max_tokens: of an answer.

    Raises:
        FileNotFoundError: no model at that path.
        ValueError: a model of another kind.
        ImportError: the processor needs torchvision, which is not installed.
    """

    def __init__(self, model: str | Path, device: str | None = None, dtype: str = "auto", max_tokens: int = 400):
        import torch
        import transformers
        from transformers import AutoConfig, AutoProcessor, Qwen2_5_VLForConditionalGeneration

        if Path(model).exists() and not (Path(model) / "config.json").is_file():
            raise FileNotFoundError(f"no config.json in {model}; expected the folder of a Qwen2.5-VL")
        try:
            config = AutoConfig.from_pretrained(model)
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise FileNotFoundError(f"cannot load a model from {model} ({reason}); expected a Qwen2.5-VL") from error
        if config.model_type != MODEL_TYPE:
            raise ValueError(
                f"model_type of {model} must be {MODEL_TYPE!r}, got {config.model_type!r}; serve other models with an "
                "OpenAI-compatible server and give --server"
            )
        if not transformers.utils.is_torchvision_available():
            raise ImportError(
                "the processor of Qwen2.5-VL needs torchvision: pip install torchvision (the build that belongs to "
                "the installed torch), or serve the model elsewhere and give --server"
            )
        self.model = Path(model).name if Path(model).exists() else str(model)
        # Transformers records the commit of what it loaded from the Hub, and only of that.
        commit = getattr(config, "_commit_hash", None)
        self.version = f"{commit or _folder_digest(Path(model))}, transformers {transformers.__version__}"
        self.max_tokens = max_tokens
        self._processor = AutoProcessor.from_pretrained(model)
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        loaded = Qwen2_5_VLForConditionalGeneration.from_pretrained(model, dtype=dtype)
        self._model = loaded.to(self._device).eval()
        self._turn = threading.Lock()

    @property
    def kind(self) -> str:
        """Versions of model and library, for the provenance of a thought."""
        return self.version

    def stop(self) -> None:
        """Nothing here waits."""

    def ask(self, prompt: Prompt, film: Film) -> Reply:
        """The reply to one prompt; one at a time, whatever the number of threads.

        Args:
            prompt: What is asked.
            film: What is shown.

        Returns:
            The reply.
        """
        with self._turn:
            return self._ask(prompt, film)

    def _ask(self, prompt: Prompt, film: Film) -> Reply:
        import torch

        started = time.monotonic()
        inputs = self.inputs(prompt, film).to(self._device)
        length = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            # Greedy throughout: the temperature, top_k and penalty of the saved settings would say so in warnings.
            written = self._model.generate(
                **inputs,
                max_new_tokens=self.max_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                repetition_penalty=1.0,
            )[0, length:]
        ends = self._model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        return Reply(
            self._processor.tokenizer.decode(written, skip_special_tokens=True),
            cut_off=len(written) >= self.max_tokens and int(written[-1]) not in ends,
            prompt_tokens=length,
            completion_tokens=len(written),
            seconds=round(time.monotonic() - started, 3),
        )

    def inputs(self, prompt: Prompt, film: Film):
        """The tensors of one request: the chat template's text, with the film in place of its video.

        Args:
            prompt: What is asked.
            film: What is shown.

        Returns:
            What the processor gives, on the model's device.
        """
        from transformers.video_utils import VideoMetadata

        messages = [
            {"role": "system", "content": [{"type": "text", "text": prompt.system}]},
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": prompt.user}]},
        ]
        text = self._processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        count = len(film.frames)
        # In full, and without sampling: a bare `fps` is ignored, and 24 frames per second would be assumed.
        metadata = VideoMetadata(
            total_num_frames=count,
            fps=film.fps,
            duration=count / film.fps,
            frames_indices=list(range(count)),
            height=film.frames.shape[1],
            width=film.frames.shape[2],
        )
        return self._processor(
            text=[text],
            videos=[film.frames],
            video_metadata=[metadata],
            do_sample_frames=False,
            return_tensors="pt",
        )


def _folder_digest(folder: Path) -> str:
    """A name for a model folder, from its configuration and the sizes of its weights."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
    return f"folder {digest.hexdigest()[:12]}"
