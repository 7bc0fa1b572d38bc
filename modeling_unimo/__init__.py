"""UniMo as Hugging Face classes. Importing the package registers them with the Auto classes."""

from transformers import AutoConfig
from transformers import AutoFeatureExtractor
from transformers import AutoModel
from transformers import AutoProcessor
from transformers import AutoTokenizer

from .configuration_unimo import MotionVQVAEConfig, TextMotionEvaluatorConfig, UniMoConfig
from .feature_extraction_unimo import MotionFeatureExtractor
from .modeling_evaluator import TextMotionEvaluatorModel
from .modeling_motion_vqvae import MotionVQVAEModel
from .motion_representation import HUMANML3D, KIT, Skeleton, features_to_joints, joints_to_features
from .processing_unimo import Answer, UniMoProcessor
from .tokenization_unimo import MOTION_TOKENS, MotionVocabulary, UniMoTokenizer, extend_vocabulary

__all__ = [
    "HUMANML3D",
    "KIT",
    "MOTION_TOKENS",
    "Answer",
    "MotionFeatureExtractor",
    "MotionVQVAEConfig",
    "MotionVQVAEModel",
    "MotionVocabulary",
    "Skeleton",
    "TextMotionEvaluatorConfig",
    "TextMotionEvaluatorModel",
    "UniMoConfig",
    "UniMoProcessor",
    "UniMoTokenizer",
    "extend_vocabulary",
    "features_to_joints",
    "joints_to_features",
]

AutoConfig.register("motion_vqvae", MotionVQVAEConfig)
AutoConfig.register("text_motion_evaluator", TextMotionEvaluatorConfig)
AutoConfig.register("unimo", UniMoConfig)
AutoModel.register(MotionVQVAEConfig, MotionVQVAEModel)
AutoModel.register(TextMotionEvaluatorConfig, TextMotionEvaluatorModel)
AutoTokenizer.register(UniMoConfig, fast_tokenizer_class=UniMoTokenizer)
for _config in (MotionVQVAEConfig, UniMoConfig):
    AutoFeatureExtractor.register(_config, MotionFeatureExtractor)
AutoProcessor.register(UniMoConfig, UniMoProcessor)
