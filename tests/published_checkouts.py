"""Checkouts with the names and functions of the published repositories, but with this package's code behind them."""

import json
import subprocess
from pathlib import Path

_SKELETON = """
from common.quaternion import *


class Skeleton:
    offsets = EPSILON
"""
_QUATERNION = """
import numpy as np

EPSILON = np.finfo(np.float).eps
"""
_PARAMETERS = """
import numpy as np
from modeling_unimo.motion_representation import HUMANML3D

t2m_raw_offsets = np.array(HUMANML3D.raw_offsets)
t2m_kinematic_chain = [list(chain) for chain in HUMANML3D.chains]
"""
_CELLS = (
    """
%matplotlib inline
from common.skeleton import Skeleton
import numpy as np
import torch
from paramUtil import *
""",
    """
def process_file(positions, feet_thre):
    from benchmarks import plain
    assert tgt_offsets.shape == n_raw_offsets.shape == (22, 3) and len(kinematic_chain) == 5
    assert (l_idx1, l_idx2, fid_r, fid_l, face_joint_indx) == (5, 8, [8, 11], [7, 10], [2, 1, 17, 16])
    assert feet_thre == 0.002 and Skeleton.offsets > 0
    return plain.features(positions), None, None, None
""",
    """
def recover_from_ric(data, joints_num):
    from modeling_unimo import features_to_joints
    return torch.as_tensor(features_to_joints(data.numpy()))
""",
    "reference = np.load('./not/there.npy')",
    """
if __name__ == "__main__":
    l_idx1, l_idx2 = 5, 8
    fid_r, fid_l = [8, 11], [7, 10]
    face_joint_indx = [2, 1, 17, 16]
    joints_num = 22
    n_raw_offsets = torch.from_numpy(t2m_raw_offsets)
    kinematic_chain = t2m_kinematic_chain
    example_data = np.load('./not/there.npy')
""",
)
_OPTIONS = """
import argparse


def get_args_parser():
    parser = argparse.ArgumentParser()
    for name, usual in {"batch-size": 1, "lr": 1.0, "nb-code": 1, "down-t": 1, "depth": 1, "dilation-growth-rate": 1,
                        "loss-vel": 0.1, "commit": 0.02, "width": 512, "code-dim": 512, "output-emb-width": 512,
                        "stride-t": 2}.items():
        parser.add_argument("--" + name, type=type(usual), default=usual)
    for name in ("dataname", "vq-act", "quantizer", "recons-loss", "vq-norm"):
        parser.add_argument("--" + name)
    return parser.parse_args()
"""
_VQVAE = """
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks import plain
from models.encdec import Coder
from models.quantize_cnn import Quantizer


class Inner(nn.Module):
    def __init__(self, width, depth, codes):
        super().__init__()
        whole = plain.VQVAE(width=width, code_dim=width, codes=codes, depth=depth)
        self.encoder, self.decoder = Coder(whole.encoder, 1), Coder(whole.decoder, 0)
        self.quantizer = Quantizer(codes, width)


class HumanVQVAE(nn.Module):
    def __init__(self, args, nb_code, code_dim, output_emb_width, down_t, stride_t, width, depth, growth, act, norm):
        super().__init__()
        assert (args.dataname, args.quantizer, act, growth, down_t, norm) == ("t2m", "ema_reset", "relu", 3, 2, None)
        self.vqvae = Inner(width, depth, nb_code)

    def forward(self, x):
        latents = self.vqvae.encoder(x.permute(0, 2, 1))
        quantized, loss = self.vqvae.quantizer(latents)
        return self.vqvae.decoder(quantized).permute(0, 2, 1), loss, None

    def forward_decoder(self, codes):
        assert len(codes) == 1
        latents = F.embedding(codes, self.vqvae.quantizer.codebook)
        return self.vqvae.decoder(latents.permute(0, 2, 1)).permute(0, 2, 1)
"""
_CODERS = """
from torch import nn

from models.resnet import Resnet1D


class Coder(nn.Module):
    def __init__(self, layers, stack):
        super().__init__()
        for layer in layers:
            if isinstance(layer, nn.Sequential):
                layer[stack] = Resnet1D(layer[stack])
        self.model = layers

    def forward(self, x):
        return self.model(x)
"""
_RESNET = """
from torch import nn


class Resnet1D(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.model = blocks

    def forward(self, x):
        return self.model(x)
"""
_QUANTIZER = """
import torch
import torch.nn.functional as F
from torch import nn


class Quantizer(nn.Module):
    def __init__(self, codes, width):
        super().__init__()
        self.register_buffer("codebook", torch.zeros(codes, width).cuda())

    def forward(self, x):
        rows = x.permute(0, 2, 1).reshape(-1, x.shape[1])
        placed = min(len(rows), len(self.codebook))
        self.codebook = torch.cat((rows[:placed].detach(), self.codebook[placed:]))
        chosen = torch.cdist(rows, self.codebook).argmin(1)
        found = self.codebook[chosen]
        loss = F.mse_loss(rows, found)
        return (rows + (found - rows).detach()).view(len(x), -1, x.shape[1]).permute(0, 2, 1), loss
"""
_LOSSES = """
from torch import nn


class ReConsLoss(nn.Module):
    def __init__(self, recons_loss, nb_joints):
        super().__init__()
        assert recons_loss == "l1_smooth" and nb_joints == 22
        self.loss = nn.SmoothL1Loss()

    def forward(self, made, motion):
        return self.loss(made, motion)

    def forward_vel(self, made, motion):
        return self.loss(made[..., 4:67], motion[..., 4:67])
"""
_WRAPPER = """
import numpy as np
import torch
from models.modules import MovementConvEncoder, MotionEncoderBiGRUCo, TextEncoderBiGRUCo
from utils.word_vectorizer import POS_enumerator


class EvaluatorModelWrapper:
    def __init__(self, opt):
        print("loading")
        hidden, latent = opt.dim_movement_enc_hidden, opt.dim_movement_latent
        self.movement = MovementConvEncoder(259, hidden, latent)
        self.text = TextEncoderBiGRUCo(300, len(POS_enumerator), 512, 512, opt.device)
        self.motion = MotionEncoderBiGRUCo(latent, 1024, 512, opt.device)
        weights = torch.load(f"{opt.checkpoints_dir}/{opt.dataset_name}/text_mot_match/model/finest.tar")
        for part, name in ((self.movement, "movement"), (self.text, "text"), (self.motion, "motion")):
            part.load_state_dict(weights[f"{name}_encoder"])
            part.eval()
        self.unit = opt.unit_length

    def get_co_embeddings(self, words, parts, text_lengths, motions, lengths):
        with torch.no_grad():
            assert (np.diff(text_lengths) <= 0).all() and motions.shape[1:] == (196, 263)
            moved = self.movement(motions[..., :-4])
            return self.text(words, parts.float(), text_lengths), self.motion(moved, lengths // self.unit)
"""
_MODULES = """
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence


class MovementConvEncoder(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        steps = [nn.Conv1d(inputs, hidden, 4, 2, 1), nn.Identity(), nn.LeakyReLU(0.2)]
        steps += [nn.Conv1d(hidden, outputs, 4, 2, 1), nn.Identity(), nn.LeakyReLU(0.2)]
        self.main, self.out_net = nn.Sequential(*steps), nn.Linear(outputs, outputs)

    def forward(self, x):
        return self.out_net(self.main(x.permute(0, 2, 1)).permute(0, 2, 1))


class _Sequence(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        hidden, outputs = hidden // 32, outputs // 32  # the published sizes would make a test slow
        self.input_emb = nn.Linear(inputs, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.hidden = nn.Parameter(torch.randn(2, 1, hidden))
        head = [nn.Linear(2 * hidden, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, outputs)]
        self.output_net = nn.Sequential(*head)

    def embed(self, x, lengths):
        packed = pack_padded_sequence(self.input_emb(x), lengths, batch_first=True, enforce_sorted=False)
        last = self.gru(packed, self.hidden.repeat(1, len(x), 1))[1]
        return self.output_net(torch.cat((last[0], last[1]), -1))


class TextEncoderBiGRUCo(_Sequence):
    def __init__(self, words, parts, hidden, outputs, device):
        super().__init__(words, hidden, outputs)
        self.pos_emb = nn.Linear(parts, words)

    def forward(self, words, parts, lengths):
        return self.embed(words + self.pos_emb(parts), lengths)


class MotionEncoderBiGRUCo(_Sequence):
    def __init__(self, inputs, hidden, outputs, device):
        super().__init__(inputs, hidden, outputs)

    forward = _Sequence.embed
"""
_EVALUATION = """
import clip_that_is_not_installed
import numpy as np
from scipy import linalg


def evaluation_vqvae(out_dir, val_loader):
    raise NotImplementedError


def euclidean_distance_matrix(matrix1, matrix2):
    return linalg.norm(matrix1[:, None] - matrix2[None], axis=-1)


def calculate_top_k(mat, top_k):
    return np.cumsum(mat == np.arange(len(mat))[:, None], axis=1)[:, :top_k]


def calculate_R_precision(embedding1, embedding2, top_k, sum_all=False):
    distances = euclidean_distance_matrix(embedding1, embedding2)
    return calculate_top_k(np.argsort(distances, axis=1), top_k).sum(0), distances.trace()


def calculate_activation_statistics(activations):
    return np.mean(activations, axis=0), np.cov(activations, rowvar=False)


def calculate_frechet_distance(mu1, sigma1, mu2, sigma2, eps=1e-6):
    root, _ = linalg.sqrtm(sigma1.dot(sigma2), disp=False)
    return np.square(mu1 - mu2).sum() + np.trace(sigma1 + sigma2 - 2 * root.real)
"""
_FILES = {
    "HumanML3D": {
        "common/skeleton.py": _SKELETON,
        "common/quaternion.py": _QUATERNION,
        "paramUtil.py": _PARAMETERS,
        "motion_representation.ipynb": json.dumps(
            {
                "cells": [{"cell_type": "markdown", "source": ["# Not (python"]}]
                + [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in _CELLS]
            }
        ),
    },
    "T2M-GPT": {
        "models/vqvae.py": _VQVAE,
        "models/encdec.py": _CODERS,
        "models/resnet.py": _RESNET,
        "models/quantize_cnn.py": _QUANTIZER,
        "models/modules.py": _MODULES,
        "models/evaluator_wrapper.py": _WRAPPER,
        "options/option_vq.py": _OPTIONS,
        "utils/losses.py": _LOSSES,
        "utils/word_vectorizer.py": "POS_enumerator = dict.fromkeys(range(15))\n",
        "utils/eval_trans.py": _EVALUATION,
    },
}


def git(folder: Path, *words: str) -> str:
    """What git says in a folder."""
    named = ("-c", "user.name=Someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *named, *words], cwd=folder, check=True, capture_output=True, text=True, timeout=300
    ).stdout


def write(folder: Path) -> dict[str, str]:
    """Both checkouts, each committed; returns their commits by name."""
    commits = {}
    for name, files in _FILES.items():
        for file, text in files.items():
            (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / file).write_text(text, encoding="utf-8")
        git(folder / name, "init", "--quiet")
        git(folder / name, "add", ".")
        git(folder / name, "commit", "--quiet", "--message", "All of it")
        commits[name] = git(folder / name, "rev-parse", "HEAD").strip()
    return commits
