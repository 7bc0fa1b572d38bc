"""What works on motion alone: joints to features, a VQ-VAE training step, decoding, FID, drawn frames."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch

from benchmarks import networks, plain, published
from benchmarks.networks import Setting
from benchmarks.timing import Item, Way, alternate, operations_of
from datasets_scripts.sources.synthetic import generator as synthetic
from evaluate_unimo import functional
from modeling_unimo import MotionVQVAEConfig, MotionVQVAEModel, features_to_joints
from modeling_unimo.checkpoint_conversion import vqvae_from_weights
from modeling_unimo.motion_representation import HUMANML3D, forward_kinematics, joints_to_features
from modeling_unimo.rendering_unimo import VIEWS, contact_sheet, render_frames

_TINY_VQVAE = "--width 16 --code-dim 16 --output-emb-width 16 --depth 1"


def swaying_bodies(count: int, frames: int) -> np.ndarray:
    """Bodies that sway, walk and turn.

    Args:
        count: Bodies.
        frames: At 20 fps.

    Returns:
        (count, frames, 22, 3) float32 joints in metres.
    """
    random = np.random.default_rng(0)
    seconds = np.arange(frames)[:, None, None] / 20
    vector = 0.3 * np.sin(
        random.uniform(0.5, 3, (count, 1, 22, 3)) * seconds + random.uniform(0, 6, (count, 1, 22, 3))
    )
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    rotations = np.concatenate((np.cos(angle), np.sinc(angle / np.pi) * vector), -1)
    root = np.cumsum(random.normal(0, 0.01, (count, frames, 3)), 1) + (0, 0.9, 0)
    return forward_kinematics(rotations, root).astype(np.float32)


def features(setting: Setting) -> Item:
    """Joints to features, a batch of clips of 200 frames, and the way back.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in frames a second.
    """
    count, frames = (2, 20) if setting.tiny else (64, 200)
    stack = swaying_bodies(count, frames)
    made = joints_to_features(stack, facing="published")
    few = stack[: max(1, count // 8)]
    rebuilt = [plain.features(clip) for clip in few]
    processes = 1 if setting.tiny else torch.get_num_threads()
    # A repeat of the slow way takes an eighth of the clips.
    ways = {
        "published script": lambda: [plain.features(clip) for clip in few],
        "ours, as published": lambda: joints_to_features(stack, facing="published"),
        "ours, corrected facing": lambda: joints_to_features(stack),
        "ours, clip by clip": lambda: [joints_to_features(clip) for clip in stack],
        "ours, features to joints": lambda: features_to_joints(made),
    }
    facts = {"largest difference": max(float(np.abs(a - b).max()) for a, b in zip(rebuilt, made, strict=False))}
    theirs = {}  # by way, the way of the published repository that does the same work
    if checkout := setting.published.get("HumanML3D"):
        assert HUMANML3D.default_offsets is not None, "HumanML3D ships its target lengths"
        there, back = published.feature_script(checkout, HUMANML3D.default_offsets, HUMANML3D.foot_threshold)
        facts |= _same_features(there, back, few, made)
        ways |= {
            "published repository": lambda: [there(clip) for clip in few],
            "published repository, features to joints": lambda: [back(clip) for clip in made[: len(few)]],
        }
        theirs = {
            name: "published repository" for name in ways if "to joints" not in name and name != "published repository"
        }
        theirs["ours, features to joints"] = "published repository, features to joints"
    with converting(processes) as convert:
        if processes > 1:
            ways[f"ours, clip by clip in {processes} processes, as with --workers"] = lambda: convert(stack)
            if theirs:
                theirs[next(reversed(ways))] = "published repository"
        seconds = alternate(ways, setting.repeats(10))
    clips = {name: len(few) for name in ways if name.startswith("published")}
    item = Item("features", f"joints to features, {count} clips of {frames} frames", "frames")
    for name, times in seconds.items():
        done = clips.get(name, count)
        moved = (stack[:1].nbytes + made[:1].nbytes) * done
        baseline = "published script" if name.startswith("ours") and "to joints" not in name else None
        goal = 20.0 if baseline and "clip by clip" not in name else None
        item.ways.append(Way(name, times, done * frames, moved=moved, baseline=baseline, goal=goal, host=True))
        item.ways[-1].published = theirs.get(name)
    item.facts = facts
    item.note = (
        "The published script works clip by clip, a Python loop over joints, float32 through torch and back. A stack "
        "is for clips of one length, as a build stacks those that it meets, and what several cores "
        "gain is by processes (here started before the clock)."
    )
    return item


def _same_features(there: Callable, back: Callable, clips: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """By how much the published repository's features and joints differ from ours; refuses those that do."""
    contacts = 4  # 0 or 1 by a threshold, which rounding may cross
    ours = made[: len(clips)]
    features = np.stack([published.called("process_file", there, clip) for clip in clips])
    joints = np.stack([published.called("recover_from_ric", back, clip) for clip in ours])
    flipped = float((features[..., -contacts:] != ours[..., -contacts:]).mean())
    return {
        "largest difference of the published repository's features, without contacts": published.agree(
            "features", ours[..., :-contacts], features[..., :-contacts], 1e-3
        ),
        "share of its contacts that differ": published.agree("share of contacts", flipped, 0, 1e-3),
        "largest difference of its joints, m": published.agree("joints", features_to_joints(ours), joints, 1e-4),
    }


@contextmanager
def converting(processes: int) -> Iterator[Callable[[np.ndarray], list[np.ndarray]]]:
    """Convert joints clip by clip in processes like those of a build.

    Args:
        processes: How many; they are started and warmed up.

    Yields:
        A function from a stack of joints (N, T, 22, 3) to features (T-1, 263) of each.
    """
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:

        def convert(stack: np.ndarray) -> list[np.ndarray]:
            return list(pool.map(joints_to_features, stack))

        if processes > 1:
            convert(swaying_bodies(8 * processes, 60))
        yield convert


def vqvae_step(setting: Setting) -> Item:
    """One training step of the motion VQ-VAE: forward, loss, backward, AdamW.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in windows of 64 frames a second.
    """
    torch.manual_seed(0)
    sizes = {"width": 16, "code_dim": 16, "depth": 1} if setting.tiny else {}
    count = 8 if setting.tiny else 64 if setting.quick else 256
    windows = torch.randn(count, 64, 263, device=setting.device)
    rebuilt = plain.VQVAE(**sizes).to(setting.device)
    model = MotionVQVAEModel(MotionVQVAEConfig(**sizes)).to(setting.device).train()

    def step(network, loss_of, dtype: torch.dtype):
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-4, betas=(0.9, 0.99), weight_decay=0.0)

        def run() -> None:
            with torch.autocast(setting.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                loss = loss_of()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return run

    ways = {
        "published network, float32": step(rebuilt, lambda: rebuilt(windows), torch.float32),
        "ours, float32": step(model, lambda: model(windows).loss, torch.float32),
        "ours, bfloat16": step(model, lambda: model(windows).loss, torch.bfloat16),
    }
    facts, theirs = {}, None
    if checkout := setting.published.get("T2M-GPT"):
        network, args = published.vqvae(checkout, setting.device, _TINY_VQVAE if setting.tiny else "")
        loss = published.vqvae_loss(checkout, network.train(), args)
        facts["difference of the first losses, same weights"] = _same_loss(network, loss, windows)
        theirs = "published repository, float32"
        ways[theirs] = step(network, lambda: loss(windows), torch.float32)
    operations = operations_of(ways["ours, float32"])
    seconds = alternate(ways, setting.repeats(3), setting.device)
    item = Item("vqvae", f"VQ-VAE training step, batch {count} x 64 frames", "windows")
    for name, times in seconds.items():
        goal = 3.0 if setting.device.type == "cuda" and name == "ours, bfloat16" else None
        baseline = "published network, float32" if name.startswith("ours") else None
        item.ways.append(Way(name, times, count, operations, None, name.rsplit(" ", 1)[1], baseline, goal))
        item.ways[-1].published = theirs if name != theirs else None
    item.facts = facts
    return item


def _same_loss(network: torch.nn.Module, loss: Callable[[torch.Tensor], torch.Tensor], windows: torch.Tensor) -> float:
    """By how much the first losses in training differ with the same weights; refuses those that do."""
    ours = vqvae_from_weights(network.state_dict(), "the published network")[0].to(windows.device).train()
    ours.quantizer.initialized.fill_(False)
    with torch.no_grad():
        expected = float(published.called("HumanVQVAE", loss, windows))
        return published.agree("VQ-VAE loss", float(ours(windows).loss), expected, 1e-4 * expected)


def _code_lists(count: int) -> list[list[int]]:
    """So many lists of 10 to 49 random codes."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 512, rng.integers(10, 50)).tolist() for _ in range(count)]


def decoding(setting: Setting) -> Item:
    """Lists of codes to raw features: all at once, against one after the other.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in motions a second.
    """
    torch.manual_seed(0)
    rows = _code_lists(8 if setting.tiny else 64)
    vqvae, extractor = networks.codec(setting)
    repository = None
    if checkout := setting.published.get("T2M-GPT"):
        vqvae, repository = _published_decoder(setting, checkout, rows)
    ways = {
        "one at a time": lambda: [plain.decoded(vqvae, extractor, row) for row in rows],
        "ours": lambda: vqvae.decode_motions(rows, extractor),
    }
    made = {name: np.concatenate(way()) for name, way in ways.items()}
    facts = {"largest difference": float(np.abs(made["ours"] - made["one at a time"]).max())}
    if repository is not None:
        theirs = np.concatenate(published.called("HumanVQVAE.forward_decoder", repository))
        ways["published repository"] = repository
        facts["largest difference of the published repository"] = published.agree(
            "decoded motion", made["ours"], theirs, 1e-4
        )
    seconds = alternate(ways, setting.repeats(5), setting.device)
    operations = None
    if setting.device.type == "cpu":
        operations = operations_of(ways["one at a time"])  # without the padding of a batch
    item = Item("decoding", f"VQ-VAE decoder, {len(rows)} lists of 10 to 49 codes", "motions")
    item.ways = [Way(name, times, len(rows), operations) for name, times in seconds.items()]
    for way in item.ways:
        way.baseline = "one at a time" if way.name == "ours" else None
        way.published = "published repository" if repository is not None and way.name in made else None
    item.facts = facts
    return item


def _published_decoder(
    setting: Setting, checkout: published.Checkout, rows: list[list[int]]
) -> tuple[MotionVQVAEModel, Callable[[], list[np.ndarray]]]:
    """This package's VQ-VAE with the weights of a random published network, and that network's decoding of `rows`."""
    network = published.vqvae(checkout, setting.device, _TINY_VQVAE if setting.tiny else "")[0].eval()
    torch.nn.init.normal_(network.vqvae.quantizer.codebook)

    @torch.no_grad()
    def decode() -> list[np.ndarray]:
        tensors = (torch.tensor([row], device=setting.device) for row in rows)
        return [network.forward_decoder(tensor)[0].cpu().numpy() for tensor in tensors]

    ours = vqvae_from_weights(network.state_dict(), "the published network")[0].eval().to(setting.device)
    return ours, decode


def fid(setting: Setting) -> Item:
    """FID of two sets of embeddings.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in calls a second.
    """
    count, width = (64, 8) if setting.tiny else (1000, 512)
    rng = np.random.default_rng(0)
    # Correlated, with a spread that falls from one dimension to the next, as an evaluator's does.
    mixing = rng.standard_normal((width, width)) / np.sqrt(width)
    mixing *= np.geomspace(3.0, 0.03, width)[:, None]
    first, second = ((rng.standard_normal((count, width)) @ mixing).astype(np.float32) for _ in range(2))
    second = 1.1 * second + 0.05
    expected, value = plain.fid(first, second), functional.fid(first, second)
    ways = {"scipy.linalg.sqrtm": lambda: plain.fid(first, second), "ours": lambda: functional.fid(first, second)}
    facts = {"relative difference": abs(value - expected) / expected}
    if checkout := setting.published.get("T2M-GPT"):
        scores = published.scores(checkout)

        def repository() -> float:
            statistics = (scores.calculate_activation_statistics(rows) for rows in (first, second))
            (mean1, cov1), (mean2, cov2) = statistics
            return scores.calculate_frechet_distance(mean1, cov1, mean2, cov2)

        theirs = published.called("calculate_frechet_distance", repository)
        facts["relative difference of the published repository"] = published.agree("FID", value / theirs, 1, 1e-3)
        ways["published repository"] = repository
    seconds = alternate(ways, setting.repeats(7))
    # Both covariances by half, being symmetric; a Cholesky root, its two products, eigenvalues without vectors.
    operations = 2.0 * count * width**2 + (1 / 3 + 2 * 2 + 4 / 3) * width**3
    item = Item("fid", f"FID, {count} embeddings of {width}", "calls")
    item.ways = [Way(name, times, 1, operations, dtype="float64", host=True) for name, times in seconds.items()]
    item.ways[1].baseline = item.ways[0].name
    for way in item.ways[:2]:
        way.published = "published repository" if "published repository" in ways else None
    item.facts = facts
    return item


def render(setting: Setting) -> Item:
    """Frames drawn by one core, of one view and of all, and a contact sheet.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in pictures a second.
    """
    size, frames = (32, 2) if setting.tiny else (336, 30)
    clips = synthetic.iter_clips(train=32, validation=0, test=0, hard=0, attribute_pools=0, seed=0)
    longest = max((clip.features for clip in clips), key=len)
    joints = np.asarray(features_to_joints(longest[:frames]))
    ways = {
        "body, one view": lambda: render_frames(joints, size, VIEWS[:1], style="body"),
        f"body, {len(VIEWS)} views": lambda: render_frames(joints, size, VIEWS, style="body"),
        "skeleton, one view": lambda: render_frames(joints, size, VIEWS[:1], style="skeleton"),
        "contact sheet of 16": lambda: contact_sheet(joints, min(16, frames), size=size),
    }
    pictures = {f"body, {len(VIEWS)} views": len(VIEWS) * frames, "contact sheet of 16": min(16, frames)}
    seconds = alternate(ways, setting.repeats(3))
    item = Item("render", f"drawing at {size} x {size}", "pictures")
    item.ways = [Way(name, times, pictures.get(name, frames)) for name, times in seconds.items()]
    return item
