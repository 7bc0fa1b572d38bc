"""Sentences to embeddings by any text encoder of the Hub: a sentence encoder, or the text side of CLIP."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoTokenizer, CLIPTextModelWithProjection

from modeling_unimo.inference_unimo import batches_by_length

Pooling = Literal["mean", "pooled"]


class CaptionEncoder:
    """A frozen text encoder and its tokenizer.

    Args:
        folder: a saved transformers text encoder with its tokenizer; of a whole CLIP, the text model with its
            projection is taken.
        pooling: "mean" averages the last hidden states over a sentence's tokens, as sentence encoders do; "pooled"
            takes the model's own sentence output (CLIP's projected text embedding, BERT's pooler).
        device: where it computes.

    Raises:
        FileNotFoundError: no model or no tokenizer at `folder`.
        ValueError: weights that are damaged or were never saved, "pooled" asked of a model without such an output, or
            no text model.
    """

    def __init__(self, folder: str, pooling: Pooling = "mean", device: torch.device | str = "cpu"):
        if not (Path(folder) / "config.json").is_file():
            raise FileNotFoundError(
                f"caption_encoder {folder}: no config.json there; give the folder of a text encoder"
            )
        kind = AutoConfig.from_pretrained(folder).model_type
        loader = CLIPTextModelWithProjection if kind == "clip" else AutoModel
        try:
            model, loading = loader.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
        except OSError as error:
            raise FileNotFoundError(f"caption_encoder {folder}: {str(error).splitlines()[0]}") from error
        except (RuntimeError, SafetensorError) as error:
            raise ValueError(f"caption_encoder {folder}: damaged weights or of another size") from error
        missing = sorted(loading["missing_keys"])
        # A masked language model is saved without a pooler; only the pooled output would be made of random numbers.
        if pooling == "mean":
            missing = [name for name in missing if "pooler" not in name]
        if missing:
            raise ValueError(
                f"caption_encoder {folder}: {len(missing)} weights are missing ({', '.join(missing[:3])}); "
                "take a whole model, or caption_pooling: mean where only the pooler is missing"
            )
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model, self.pooling = model.eval().to(device), pooling
        limits = (self.tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None))
        self.max_length = min(limit for limit in limits if limit is not None)
        self._embed(["a"])  # says before training whether it can

    @torch.no_grad()
    def embed(self, texts: Sequence[str], batch_size: int = 64) -> torch.Tensor:
        """Sentences -> (N, E) float32 embeddings, in the order given; what is too long for the encoder is cut off.

        Args:
            texts: The sentences, N of them.
            batch_size: Sentences read at once.

        Returns:
            Embeddings (N, E), float32.
        """
        rows: dict[int, torch.Tensor] = {}
        for chosen in batches_by_length([len(text) for text in texts], batch_size):
            rows.update(zip(chosen, self._embed([texts[i] for i in chosen]), strict=True))
        return torch.stack([rows[i] for i in range(len(texts))])

    @torch.no_grad()
    def _embed(self, texts: list[str]) -> torch.Tensor:
        inputs = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        ).to(self.model.device)
        output = self.model(**inputs)
        if self.pooling == "mean":
            mask = inputs["attention_mask"][..., None]
            return (output.last_hidden_state * mask).sum(1).float() / mask.sum(1)
        pooled = output.get("text_embeds", output.get("pooler_output"))
        if pooled is None:
            raise ValueError(
                f"caption_encoder: {type(self.model).__name__} has no pooled output; use caption_pooling: mean"
            )
        return pooled.float()
