"""UniMo as Hugging Face classes. Importing the package registers them with the Auto classes."""

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoProcessor, AutoTokenizer
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_unimo import MotionVQVAEConfig, TextMotionEvaluatorConfig, UniMoConfig
from .export_unimo import load_motion, save_motion
from .feature_extraction_unimo import MotionFeatureExtractor
from .generation_unimo import AnswerGrammar, default_generation_config
from .modeling_evaluator import TextMotionEvaluatorModel
from .modeling_motion_vqvae import MotionVQVAEModel
from .modeling_unimo import GeneratedMotion, MotionDescription, UniMoForConditionalGeneration
from .motion_representation import HUMANML3D, KIT, Skeleton, features_to_joints, joints_to_features
from .pipeline_unimo import MotionToTextPipeline, TextToMotionPipeline
from .processing_unimo import Answer, UniMoProcessor
from .tokenization_unimo import MOTION_TOKENS, MotionVocabulary, UniMoTokenizer, extend_vocabulary

__all__ = [
    "HUMANML3D",
    "KIT",
    "MOTION_TOKENS",
    "Answer",
    "AnswerGrammar",
    "GeneratedMotion",
    "MotionDescription",
    "MotionFeatureExtractor",
    "MotionToTextPipeline",
    "MotionVQVAEConfig",
    "MotionVQVAEModel",
    "MotionVocabulary",
    "Skeleton",
    "TextMotionEvaluatorConfig",
    "TextMotionEvaluatorModel",
    "TextToMotionPipeline",
    "UniMoConfig",
    "UniMoForConditionalGeneration",
    "UniMoProcessor",
    "UniMoTokenizer",
    "default_generation_config",
    "extend_vocabulary",
    "features_to_joints",
    "joints_to_features",
    "load_motion",
    "save_motion",
]

AutoConfig.register("motion_vqvae", MotionVQVAEConfig)
AutoConfig.register("text_motion_evaluator", TextMotionEvaluatorConfig)
AutoConfig.register("unimo", UniMoConfig)
AutoModel.register(MotionVQVAEConfig, MotionVQVAEModel)
AutoModel.register(TextMotionEvaluatorConfig, TextMotionEvaluatorModel)
AutoModel.register(UniMoConfig, UniMoForConditionalGeneration)
AutoTokenizer.register(UniMoConfig, fast_tokenizer_class=UniMoTokenizer)
for _config in (MotionVQVAEConfig, UniMoConfig):
    AutoFeatureExtractor.register(_config, MotionFeatureExtractor)
AutoProcessor.register(UniMoConfig, UniMoProcessor)
PIPELINE_REGISTRY.register_pipeline("text-to-motion", pipeline_class=TextToMotionPipeline, pt_model=AutoModel)
PIPELINE_REGISTRY.register_pipeline("motion-to-text", pipeline_class=MotionToTextPipeline, pt_model=AutoModel)
