"""Every number this package reports about motion and captions: plain functions over numpy arrays and strings.

The definitions are those of the published protocol (text-to-motion's `utils/metrics.py`, its copies in T2M-GPT,
Motion-Agent and UniMo, and UniMo's motion-to-text scripts), so that figures can be set beside published ones. Two
things differ on purpose: distances are computed in float64 and never turn NaN from rounding, and FID takes the
eigenvalues of a symmetric matrix instead of a general matrix square root, which is faster and exact for fewer samples
than dimensions. Embeddings may be numpy arrays, torch tensors or nested lists.
"""

from evaluate_unimo.functional.captions import (
    PROTOCOLS,
    CaptionScores,
    bertscore_f1,
    bleu,
    bleu_counts,
    bleu_from_counts,
    caption_scores,
    captioning,
    check_captions,
    cider,
    rouge_l,
    three_references,
    tm2t_normalised,
)
from evaluate_unimo.functional.distribution import (
    Gaussian,
    diversity,
    diversity_pairs,
    fid,
    frechet_distance,
    gaussian_fid,
    multimodality,
    multimodality_pairs,
    published_diversity_times,
    sample_distances,
)
from evaluate_unimo.functional.inputs import as_array, as_pairs, check_strings, generator, positive_integer
from evaluate_unimo.functional.intervals import INTERVALS, mean_ci95
from evaluate_unimo.functional.physics import ClipSkating, clip_skating, foot_skating, merge_skating, split_clips
from evaluate_unimo.functional.retrieval import (
    distance_matrix,
    hits_within,
    mm_dist,
    pair_distances,
    pooled_rank_counts,
    pooled_ranks,
    r_precision,
    retrieval_ranks,
)
from evaluate_unimo.functional.tags import fingerprint, protocol_tag

__all__ = [
    "PROTOCOLS",
    "INTERVALS",
    "CaptionScores",
    "ClipSkating",
    "Gaussian",
    "as_array",
    "as_pairs",
    "bertscore_f1",
    "bleu",
    "bleu_counts",
    "bleu_from_counts",
    "caption_scores",
    "captioning",
    "check_captions",
    "check_strings",
    "cider",
    "clip_skating",
    "distance_matrix",
    "diversity",
    "diversity_pairs",
    "fid",
    "fingerprint",
    "foot_skating",
    "frechet_distance",
    "gaussian_fid",
    "generator",
    "hits_within",
    "mean_ci95",
    "merge_skating",
    "mm_dist",
    "multimodality",
    "multimodality_pairs",
    "pair_distances",
    "pooled_rank_counts",
    "pooled_ranks",
    "positive_integer",
    "protocol_tag",
    "published_diversity_times",
    "r_precision",
    "retrieval_ranks",
    "rouge_l",
    "sample_distances",
    "split_clips",
    "three_references",
    "tm2t_normalised",
]
