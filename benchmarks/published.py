"""The published repositories' own code, run from checkouts of them, to be timed beside this package's.

What is run is in `USES`: for each item its repository, files and functions, and what had to be adapted to run them
with the Python and libraries of today. `read` takes a folder of checkouts by their own names; each result records the
commit it was taken with. Nothing is copied from a repository: modules are imported from the checkout, and single
functions are taken out of a notebook or of a module that imports much else by their syntax tree. Whoever names a
folder of checkouts has its code executed.

Networks get random weights, which this package's converters take over, so that all ways compute the same and the
results can be compared; where they differ, `agree` refuses the figures.
"""

import argparse
import ast
import contextlib
import importlib
import inspect
import io
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from scipy import linalg
from torch import Tensor, nn

URLS = {
    "HumanML3D": "https://github.com/EricGuo5513/HumanML3D",
    "T2M-GPT": "https://github.com/Mael-zys/T2M-GPT",
}
# As section 4.1 of T2M-GPT's README trains the VQ-VAE, but for its folder and name.
VQVAE_OPTIONS = (
    "--batch-size 256 --lr 2e-4 --nb-code 512 --down-t 2 --depth 3 --dilation-growth-rate 3 --dataname t2m "
    "--vq-act relu --quantizer ema_reset --loss-vel 0.5 --recons-loss l1_smooth"
)
_MAIN = {"l_idx1", "l_idx2", "fid_r", "fid_l", "face_joint_indx", "joints_num", "n_raw_offsets", "kinematic_chain"}
_NOTEBOOK = "motion_representation.ipynb"
_SCORES = (
    "euclidean_distance_matrix",
    "calculate_top_k",
    "calculate_R_precision",
    "calculate_activation_statistics",
    "calculate_frechet_distance",
)
_CUDA = "on a CPU, Tensor.cuda is the identity while the network is made"
_SINGLE = "the functions are taken out of the file, whose other imports (CLIP, plots) they do not need"


@dataclass(frozen=True)
class Use:
    """What an item runs of a repository: its name, files in it, the functions in words, and what was adapted."""

    repository: str
    files: tuple[str, ...]
    functions: str
    adapted: str


_NETWORK = (
    "models/vqvae.py",
    "models/encdec.py",
    "models/resnet.py",
    "models/quantize_cnn.py",
    "options/option_vq.py",
)
USES = {
    "features": Use(
        "HumanML3D",
        (_NOTEBOOK, "common/skeleton.py", "common/quaternion.py", "paramUtil.py"),
        "process_file a clip, recover_from_ric for the way back",
        "functions and constants are taken out of the notebook; numpy.float, which numpy no longer has, stands for "
        "float while they are imported; the target skeleton is this package's, as 000021.npy is not in the repository",
    ),
    "vqvae": Use(
        "T2M-GPT",
        (*_NETWORK, "utils/losses.py"),
        "HumanVQVAE and ReConsLoss in a step as train_vq.py takes it, with the options of the README",
        _CUDA,
    ),
    "decoding": Use("T2M-GPT", _NETWORK, "HumanVQVAE.forward_decoder, a list of codes at a time", _CUDA),
    "matching": Use(
        "T2M-GPT",
        ("models/evaluator_wrapper.py", "models/modules.py", "utils/word_vectorizer.py", "utils/eval_trans.py"),
        "EvaluatorModelWrapper.get_co_embeddings and calculate_R_precision, 32 pairs at a time",
        f"random weights; what its loader prepares is prepared before the clock starts; of eval_trans.py {_SINGLE}",
    ),
    "fid": Use(
        "T2M-GPT",
        ("utils/eval_trans.py",),
        "calculate_activation_statistics and calculate_frechet_distance",
        f"{_SINGLE}; where SciPy's sqrtm no longer has the argument disp, it gets it back",
    ),
}
_SAMPLERS = (
    "the published samplers run other networks than the one timed (T2M-GPT's transformer under CLIP, MotionGPT's T5), "
    "so the baseline is the library's own generate on the same network"
)
_SCRIPTS = "published training scripts are of other language models; the baseline is the usual loss on the same one"
_LOADER = "the published loaders only read ready features, from a folder fixed in their code; nothing there builds one"
NOT_PUBLISHED = {
    "reward": "there is no published code of a GRPO step for motion; what it is made of is timed as decoding and "
    "matching",
    "text_to_motion": _SAMPLERS,
    "decode_step": _SAMPLERS,
    "batch_growth": _SAMPLERS,
    "evaluation": f"{_SAMPLERS}; how the published code scores what was sampled is timed as matching and fid",
    "evaluation_growth": "a curve of this package alone",
    "sft_layer": _SCRIPTS,
    "sft_head": _SCRIPTS,
    "dataset_memory": _LOADER,
    "dataset_growth": _LOADER,
    "render": "the published plots are stick figures by matplotlib, other pictures than these",
    "annotator": "there is no published annotator by rules",
}


@dataclass(frozen=True)
class Checkout:
    """A published repository on this machine: its name, folder and commit ("... (changed)" where a file differs)."""

    name: str
    folder: Path
    commit: str


def read(folder: Path) -> dict[str, Checkout]:
    """The checkouts in a folder.

    Args:
        folder: With a folder for each name in `URLS`.

    Returns:
        The checkouts by name.

    Raises:
        ValueError: one is missing, is no git checkout of its own or lacks a file that is run; the message says how to
            get it.
    """
    return {name: _checkout(folder / name, name) for name in URLS}


def _checkout(folder: Path, name: str) -> Checkout:
    remedy = f"get it with: git clone {URLS[name]} {folder}"
    if not folder.is_dir():
        raise ValueError(f"{folder.parent} holds no checkout {name}; {remedy}")
    try:
        top, commit = _git(folder, "rev-parse", "--show-toplevel", "HEAD").splitlines()
    except ValueError as error:
        raise ValueError(f"{folder} has no commit to record ({error}); {remedy}") from error
    if Path(top).resolve() != folder.resolve():
        raise ValueError(f"{folder} is no git checkout of its own but part of {top}; {remedy}")
    files = {file for use in USES.values() if use.repository == name for file in use.files}
    lacking = sorted(file for file in files if not (folder / file).is_file())
    if lacking:
        raise ValueError(f"{folder} lacks {', '.join(lacking)}; {remedy}")
    changed = _git(folder, "status", "--porcelain", "--", *sorted(files))
    return Checkout(name, folder.resolve(), commit + (" (changed)" if changed else ""))


def _git(folder: Path, *words: str) -> str:
    """What git says, without the newline.

    Raises:
        ValueError: it failed, or there is none on this machine.
    """
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ValueError("git is not installed") from error
    if done.returncode:
        raise ValueError(" ".join(done.stderr.split()))
    return done.stdout.strip()


def told(checkouts: Mapping[str, Checkout], item: str) -> dict[str, Any]:
    """For the results: which code of which commit an item ran.

    Args:
        checkouts: By name; empty: none were given.
        item: A key of `benchmarks.run.ITEMS`.

    Returns:
        The item's entry of `USES` with "url" and "commit", or {"not run": why}.
    """
    if item in NOT_PUBLISHED:
        return {"not run": NOT_PUBLISHED[item]}
    if not checkouts:
        return {"not run": "no checkouts were given with --published"}
    use = USES[item]
    return asdict(use) | {"url": URLS[use.repository], "commit": checkouts[use.repository].commit}


def agree(what: str, ours: Any, theirs: Any, tolerance: float) -> float:
    """By how much two results differ, where that is little enough.

    Args:
        what: What is compared, for the message.
        ours: Number or array.
        theirs: Of the same shape.
        tolerance: The most that they may differ.

    Returns:
        The largest absolute difference.

    Raises:
        RuntimeError: it is more than `tolerance`, the shapes differ, or there is something not finite.
    """
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if ours.shape != theirs.shape:
        raise RuntimeError(f"{what}: ours has shape {ours.shape}, the published repository's {theirs.shape}")
    difference = float(np.abs(ours - theirs).max())
    if not difference <= tolerance:
        raise RuntimeError(
            f"{what}: ours and the published repository's differ by {difference:.3g}, more than {tolerance:.3g}"
        )
    return difference


def called(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """The first call of a published function, without its warnings of what is deprecated.

    Args:
        what: What is called, for the message.
        function: Published code.
        *arguments: Of the call.

    Returns:
        What it gives.

    Raises:
        RuntimeError: it failed; the message names it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*arguments)
    except Exception as error:  # any that foreign code may raise
        raise RuntimeError(f"the published {what} failed: {type(error).__name__}: {error}") from error


# ---------------------------------------------------------------- getting at code
@contextlib.contextmanager
def _running(checkout: Checkout) -> Iterator[None]:
    """Its modules can be imported in the block, are unknown after it, and whatever fails there names the checkout."""
    tops = {path.stem if path.is_file() else path.name for path in checkout.folder.iterdir()}
    held = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in tops}
    bytecode = sys.dont_write_bytecode
    try:
        sys.dont_write_bytecode = True
        with (
            mock.patch.object(sys, "path", [str(checkout.folder), *sys.path]),
            mock.patch.object(np, "float", float, create=True),  # an alias that NumPy had when it was written
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # any that foreign code may raise
        raise RuntimeError(f"{checkout.name} at {checkout.commit}: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = bytecode
        for name in list(sys.modules):
            if name.partition(".")[0] in tops:
                del sys.modules[name]
        sys.modules.update(held)


def _on(device: torch.device) -> contextlib.AbstractContextManager:
    """Networks that are made in the block and call `.cuda()` on the way stay on a CPU where that is the device."""
    if device.type == "cuda":
        return contextlib.nullcontext()
    return mock.patch.object(Tensor, "cuda", lambda tensor, *_, **__: tensor)


def _take(file: Path, body: Sequence[ast.stmt], names: set[str], space: dict[str, Any]) -> None:
    """Run the statements, all of which define something, and see that they defined all of `names`.

    Raises:
        LookupError: they did not.
    """
    exec(compile(ast.Module(list(body), []), str(file), "exec"), space)
    lacking = sorted(names - set(space))
    if lacking:
        raise LookupError(f"{file.name} does not define {', '.join(lacking)}")


def _targets(statement: ast.stmt) -> set[str]:
    """Names that an assignment binds."""
    if not isinstance(statement, ast.Assign):
        return set()
    return {node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)}


def _notebook(file: Path) -> list[ast.stmt]:
    """The statements of a notebook's code cells, without lines for the shell."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    sources = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    lines = [line for source in sources for line in source.splitlines() if not line.startswith(("%", "!"))]
    return ast.parse("\n".join(lines)).body


# ---------------------------------------------------------------- HumanML3D
def feature_script(
    checkout: Checkout, target: np.ndarray, foot_threshold: float
) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """The functions of HumanML3D's notebook.

    Args:
        checkout: Of HumanML3D.
        target: (22, 3) bones of the skeleton that clips are brought to.
        foot_threshold: As the notebook passes it to process_file.

    Returns:
        Joints (T, 22, 3) to features (T-1, 263), and features (T, 263) to joints (T, 22, 3).

    Raises:
        RuntimeError: the code could not be loaded.
    """
    file = checkout.folder / _NOTEBOOK
    # The module's name keeps the part that converts a whole folder from running.
    space: dict[str, Any] = {"__name__": "published"}
    with _running(checkout):
        statements = _notebook(file)
        imports = [node for node in statements if isinstance(node, (ast.Import, ast.ImportFrom))]
        functions = [node for node in statements if isinstance(node, ast.FunctionDef)]
        _take(file, [*imports, *functions], {"process_file", "recover_from_ric"}, space)
        mains = [node for node in statements if isinstance(node, ast.If)]
        constants = [node for part in mains for node in part.body if _targets(node) and _targets(node) <= _MAIN]
        _take(file, constants, _MAIN, space)
        space["tgt_offsets"] = torch.from_numpy(np.array(target))

    def convert(joints: np.ndarray) -> np.ndarray:
        return space["process_file"](joints, foot_threshold)[0]

    def back(features: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(features).unsqueeze(0).float()
        return space["recover_from_ric"](tensor, space["joints_num"]).squeeze(0).numpy()

    return convert, back


# ---------------------------------------------------------------- T2M-GPT
def vqvae(checkout: Checkout, device: torch.device, options: str = "") -> tuple[nn.Module, argparse.Namespace]:
    """The motion VQ-VAE with random weights.

    Args:
        checkout: Of T2M-GPT.
        device: Where the network is put.
        options: More of its command line, after `VQVAE_OPTIONS`.

    Returns:
        The network, and the options that it was made and would be trained with.

    Raises:
        RuntimeError: the code could not be loaded or run.
    """
    with (
        _running(checkout),
        _on(device),
        mock.patch.object(sys, "argv", ["", *VQVAE_OPTIONS.split(), *options.split()]),
    ):
        args = importlib.import_module("options.option_vq").get_args_parser()
        network = importlib.import_module("models.vqvae").HumanVQVAE(
            args,
            args.nb_code,
            args.code_dim,
            args.output_emb_width,
            args.down_t,
            args.stride_t,
            args.width,
            args.depth,
            args.dilation_growth_rate,
            args.vq_act,
            args.vq_norm,
        )
    return network.to(device), args


def vqvae_loss(checkout: Checkout, network: nn.Module, args: argparse.Namespace) -> Callable[[Tensor], Tensor]:
    """The loss that its training script takes.

    Args:
        checkout: Of T2M-GPT.
        network: Of `vqvae`.
        args: Its options, of `vqvae` too.

    Returns:
        A function of normalised windows (B, T, D).

    Raises:
        RuntimeError: the code could not be loaded.
    """
    with _running(checkout):
        losses = importlib.import_module("utils.losses").ReConsLoss(args.recons_loss, 22)

    def loss(motion: Tensor) -> Tensor:
        made, commitment, _ = network(motion)
        return losses(made, motion) + args.commit * commitment + args.loss_vel * losses.forward_vel(made, motion)

    return loss


def evaluator(
    checkout: Checkout, device: torch.device, sizes: dict[str, int]
) -> tuple[Any, dict[str, dict[str, Tensor]]]:
    """Its wrapper of the text-to-motion evaluator, with random weights.

    Args:
        checkout: Of T2M-GPT.
        device: Where the networks are put.
        sizes: `dim_movement_enc_hidden` and `dim_movement_latent`.

    Returns:
        The wrapper, and its weights as `finest.tar` has them: by part, then by name.

    Raises:
        RuntimeError: the code could not be loaded or run.
    """
    options = SimpleNamespace(dataset_name="t2m", unit_length=4, device=device, **sizes)
    with tempfile.TemporaryDirectory() as folder, _running(checkout):
        modules = importlib.import_module("models.modules")
        wrapper = importlib.import_module("models.evaluator_wrapper")
        hidden, latent = sizes["dim_movement_enc_hidden"], sizes["dim_movement_latent"]
        # The sizes that the wrapper fixes.
        parts = {
            "movement_encoder": modules.MovementConvEncoder(263 - 4, hidden, latent),
            "text_encoder": modules.TextEncoderBiGRUCo(300, len(wrapper.POS_enumerator), 512, 512, device),
            "motion_encoder": modules.MotionEncoderBiGRUCo(latent, 1024, 512, device),
        }
        weights = {name: part.state_dict() for name, part in parts.items()}
        options.checkpoints_dir = folder
        file = Path(folder, "t2m", "text_mot_match", "model", "finest.tar")
        file.parent.mkdir(parents=True)
        torch.save(weights | {"epoch": 0}, file)
        return wrapper.EvaluatorModelWrapper(options), weights


def _linalg() -> Any:
    """`scipy.linalg`, whose sqrtm takes `disp` as it did when the code was written."""
    if "disp" in inspect.signature(linalg.sqrtm).parameters:
        return linalg

    def sqrtm(matrix: np.ndarray, disp: bool = True) -> Any:
        root = linalg.sqrtm(matrix)
        return root if disp else (root, 0.0)

    return SimpleNamespace(sqrtm=sqrtm, norm=linalg.norm)


def scores(checkout: Checkout) -> SimpleNamespace:
    """The functions of its evaluation that score embeddings.

    Args:
        checkout: Of T2M-GPT.

    Returns:
        The functions by name.

    Raises:
        RuntimeError: the code could not be loaded.
    """
    file = checkout.folder / "utils" / "eval_trans.py"
    space: dict[str, Any] = {"__name__": "published", "np": np, "linalg": _linalg(), "torch": torch}
    with _running(checkout):
        statements = ast.parse(file.read_text(encoding="utf-8")).body
        functions = [node for node in statements if isinstance(node, ast.FunctionDef) and node.name in _SCORES]
        _take(file, functions, set(_SCORES), space)
    return SimpleNamespace(**{name: space[name] for name in _SCORES})
