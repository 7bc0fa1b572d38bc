"""UniMo as Hugging Face classes, registered with the Auto classes.

The import itself is light: torch and transformers are imported when a class is first used (see `registration`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .registration import register_when_imported

if TYPE_CHECKING:
    from .configuration_unimo import MotionVQVAEConfig, TextMotionEvaluatorConfig, UniMoConfig
    from .export_unimo import save_motion
    from .feature_extraction_unimo import MotionFeatureExtractor
    from .generated_unimo import GeneratedMotion, MotionDescription
    from .generation_unimo import AnswerGrammar, default_generation_config
    from .inputs_unimo import load_motion
    from .modeling_evaluator import TextMotionEvaluatorModel
    from .modeling_motion_vqvae import MotionVQVAEModel
    from .modeling_unimo import UniMoForConditionalGeneration
    from .motion_representation import features_to_joints, joints_to_features
    from .pipeline_unimo import MotionToTextPipeline, TextToMotionPipeline
    from .processing_unimo import Answer, UniMoProcessor
    from .skeletons_unimo import HUMANML3D, KIT, Skeleton
    from .smpl_unimo import BodyModel, joints_from_smpl, load_body_model
    from .tokenization_unimo import MotionVocabulary, UniMoTokenizer, extend_vocabulary

# The same for the interpreter: the module of each name.
_MODULES = {
    "HUMANML3D": "skeletons_unimo",
    "KIT": "skeletons_unimo",
    "Answer": "processing_unimo",
    "AnswerGrammar": "generation_unimo",
    "BodyModel": "smpl_unimo",
    "GeneratedMotion": "generated_unimo",
    "MotionDescription": "generated_unimo",
    "MotionFeatureExtractor": "feature_extraction_unimo",
    "MotionToTextPipeline": "pipeline_unimo",
    "MotionVQVAEConfig": "configuration_unimo",
    "MotionVQVAEModel": "modeling_motion_vqvae",
    "MotionVocabulary": "tokenization_unimo",
    "Skeleton": "skeletons_unimo",
    "TextMotionEvaluatorConfig": "configuration_unimo",
    "TextMotionEvaluatorModel": "modeling_evaluator",
    "TextToMotionPipeline": "pipeline_unimo",
    "UniMoConfig": "configuration_unimo",
    "UniMoForConditionalGeneration": "modeling_unimo",
    "UniMoProcessor": "processing_unimo",
    "UniMoTokenizer": "tokenization_unimo",
    "default_generation_config": "generation_unimo",
    "extend_vocabulary": "tokenization_unimo",
    "features_to_joints": "motion_representation",
    "joints_from_smpl": "smpl_unimo",
    "joints_to_features": "motion_representation",
    "load_body_model": "smpl_unimo",
    "load_motion": "inputs_unimo",
    "save_motion": "export_unimo",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})


register_when_imported()
