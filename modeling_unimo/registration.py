"""Registers the classes with the Auto classes of transformers as soon as transformers itself is imported.

Importing torch and transformers takes seconds, which `--help` and the data commands need not spend. So
`import modeling_unimo` imports neither: where transformers is already there, the classes are registered at once;
otherwise an import hook registers them at the end of `import transformers`, whoever asks for it. Either way
`AutoModel.from_pretrained(folder)` knows them.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def register() -> None:
    """Registers configurations, models, tokenizer, feature extractor, processor and pipelines."""
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoProcessor, AutoTokenizer
    from transformers.pipelines import PIPELINE_REGISTRY

    from .configuration_unimo import MotionVQVAEConfig, TextMotionEvaluatorConfig, UniMoConfig
    from .feature_extraction_unimo import MotionFeatureExtractor
    from .modeling_evaluator import TextMotionEvaluatorModel
    from .modeling_motion_vqvae import MotionVQVAEModel
    from .modeling_unimo import UniMoForConditionalGeneration
    from .pipeline_unimo import MotionToTextPipeline, TextToMotionPipeline
    from .processing_unimo import UniMoProcessor
    from .tokenization_unimo import UniMoTokenizer

    for config, model in (
        (MotionVQVAEConfig, MotionVQVAEModel),
        (TextMotionEvaluatorConfig, TextMotionEvaluatorModel),
        (UniMoConfig, UniMoForConditionalGeneration),
    ):
        AutoConfig.register(config.model_type, config)
        AutoModel.register(config, model)
    AutoTokenizer.register(UniMoConfig, fast_tokenizer_class=UniMoTokenizer)
    AutoFeatureExtractor.register(MotionVQVAEConfig, MotionFeatureExtractor)
    AutoFeatureExtractor.register(UniMoConfig, MotionFeatureExtractor)
    AutoProcessor.register(UniMoConfig, UniMoProcessor)
    PIPELINE_REGISTRY.register_pipeline("text-to-motion", pipeline_class=TextToMotionPipeline, pt_model=AutoModel)
    PIPELINE_REGISTRY.register_pipeline("motion-to-text", pipeline_class=MotionToTextPipeline, pt_model=AutoModel)


class _RegisterAfterImport(MetaPathFinder):
    """Calls `register` once, at the end of the import of transformers.

    A module of this package may be what imports transformers, and `register` needs that module complete. So imports
    of this package are followed too, and the outermost one calls `register` when it ends.
    """

    def __init__(self) -> None:
        self.under_way = 0

    def find_spec(self, name: str, path=None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "transformers" and not name.startswith(f"{__package__}."):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            self.under_way += 1
            try:
                execute(module)
            finally:
                self.under_way -= 1
            if not self.under_way and "transformers" in sys.modules and self in sys.meta_path:
                sys.meta_path.remove(self)
                register()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def register_when_imported() -> None:
    """Registers now where transformers is imported, else at the end of its import."""
    if "transformers" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _RegisterAfterImport())
