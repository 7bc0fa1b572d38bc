"""The "text-to-motion" and "motion-to-text" pipelines."""

from typing import Any

from transformers import Pipeline

from .inputs_unimo import as_motions, as_texts, is_single_text

# What a model folder's config.json says about its pipelines; `AutoModel` by name, as the library stores it.
CUSTOM_PIPELINES = {
    "text-to-motion": {"impl": "pipeline_unimo.TextToMotionPipeline", "pt": ["AutoModel"]},
    "motion-to-text": {"impl": "pipeline_unimo.MotionToTextPipeline", "pt": ["AutoModel"]},
}


class UniMoPipeline(Pipeline):
    """What both directions share: a list of requests is answered as one, so that it is batched by length."""

    _load_processor = True
    _load_tokenizer = False
    _load_feature_extractor = False
    _load_image_processor = False
    _load_video_processor = False

    def __init__(self, *args: Any, **kwargs: Any):
        """As the base class.

        Raises:
            ValueError: the model is none of UniMo's.
        """
        super().__init__(*args, **kwargs)
        if self.model.config.model_type != "unimo":
            raise ValueError(f"the model is of type {self.model.config.model_type!r}; give a UniMo model")

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict, dict, dict]:
        return {}, kwargs, {}

    def _answer(self, requests: list, single: bool, batch_size: int | None, **kwargs: Any) -> Any:
        batch_size = self._batch_size if batch_size is None else batch_size
        settings = {} if batch_size is None else {"batch_size": batch_size}
        # A mapping is one input to the base class, which would otherwise run a list item by item.
        results = super().__call__({"requests": requests, "settings": settings}, **kwargs)
        return results[0] if single and len(results) == 1 else results

    def __call__(self, inputs: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        raise NotImplementedError("Use TextToMotionPipeline or MotionToTextPipeline.")

    def preprocess(self, input_: dict[str, Any]) -> dict[str, Any]:
        """Hand the inputs on; the model's own methods prepare them.

        Args:
            input_: Inputs of one call.

        Returns:
            The same.
        """
        return input_

    def postprocess(self, model_outputs: dict[str, list]) -> list:
        """Take the answers out of the model's outputs.

        Args:
            model_outputs: What `_forward` returned.

        Returns:
            The answers.
        """
        return model_outputs["results"]


class TextToMotionPipeline(UniMoPipeline):
    """Text to motion: `pipeline("text-to-motion", model=folder, trust_remote_code=True)("a person waves")`."""

    def __call__(self, inputs: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Motions for one description or several.

        Args:
            inputs: A description or several: a string, a row `{"text": str}`, or an iterable of these (list, column
                of a dataset, `KeyDataset`, ..).
            batch_size: Sequences generated at once.
            **kwargs: As `generate_motion`: duration, num_samples, seed, temperature, ..

        Returns:
            A `GeneratedMotion` for a string (a list of them with num_samples above 1), else a list.

        Raises:
            ValueError: a text that is blank or too long, a duration out of range.
        """
        return self._answer(as_texts(inputs), is_single_text(inputs), batch_size, **kwargs)

    def _forward(self, model_inputs: dict[str, Any], **kwargs: Any) -> dict[str, list]:
        settings = model_inputs["settings"] | kwargs
        return {"results": self.model.generate_motion(model_inputs["requests"], self.processor, **settings)}


class MotionToTextPipeline(UniMoPipeline):
    """Motion to text: `pipeline("motion-to-text", model=folder, trust_remote_code=True)("motion.npy")`."""

    def __call__(self, inputs: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Descriptions of one motion or several.

        Args:
            inputs: A motion or several, as `describe_motion` takes them: features, joints, paths, rows, ..
            batch_size: Sequences generated at once.
            **kwargs: As `describe_motion`: seed, temperature, ..

        Returns:
            A `MotionDescription` for one motion (a list of them with num_samples above 1), else a list.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a file or array that is no motion.
        """
        motions, single = as_motions(inputs)
        return self._answer(motions, single, batch_size, **kwargs)

    def _forward(self, model_inputs: dict[str, Any], **kwargs: Any) -> dict[str, list]:
        settings = model_inputs["settings"] | kwargs
        return {"results": self.model.describe_motion(model_inputs["requests"], self.processor, **settings)}
