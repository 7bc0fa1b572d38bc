"""Arrays of either kind, and rotations: quaternions, matrices, six numbers, Euler angles.

Quaternions are (w, x, y, z) with the Hamilton product. The six rotation numbers are the first and second *column* of
the matrix (text-to-motion's order, not pytorch3d's rows).

Public functions take numpy arrays or torch tensors and return the same kind. Everything runs in torch underneath, in
the floating type of the input (half precision is computed in float32).

The arithmetic itself works on planes: a vector field is a tuple ``(x, y, z)`` and a rotation field ``(w, x, y, z)`` of
tensors of any one shape. That leaves the memory layout to the caller, which is where the speed comes from. Matrix
products are avoided on purpose: autocast and TF32 would silently lower their precision.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .arrays_unimo import Array, multiply

Planes = tuple[torch.Tensor, ...]


def as_tensor(array: Array) -> torch.Tensor:
    """Convert an array to a tensor.

    Args:
        array: A tensor, which is returned as it is, or anything numpy reads as numbers.

    Returns:
        A tensor; float unless a tensor was given.

    Raises:
        ValueError: The array does not hold real numbers.
    """
    if not torch.is_tensor(array):
        array = np.asarray(array)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"expected an array of numbers, got dtype {array.dtype}")
        # torch wraps neither read-only memory (without a warning), reversed strides, nor foreign byte orders
        array = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
        array = torch.from_numpy(array if array.flags.writeable else array.copy())
    return array if array.dtype in (torch.float32, torch.float64) else array.float()


def numpy_or_torch(function: Callable) -> Callable:
    """Let a torch function take numpy arrays and then return numpy arrays.

    Args:
        function: A function of tensors. The kind of its first argument decides the kind of the result.

    Returns:
        The wrapped function.
    """

    @functools.wraps(function)
    def wrapper(array: Array, *arguments: Any, **keywords: Any) -> Any:
        result = function(as_tensor(array), *arguments, **keywords)
        if torch.is_tensor(array):
            return result
        if isinstance(result, tuple):
            return tuple(item.numpy() for item in result)
        return result.numpy()

    return wrapper


def tensor_like(array: Array, reference: torch.Tensor) -> torch.Tensor:
    """Convert an array to the device and type of another.

    Args:
        array: Tensor or array of any shape.
        reference: Tensor whose device and type are taken.

    Returns:
        Tensor of the shape of `array`.
    """
    return as_tensor(array).to(device=reference.device, dtype=reference.dtype)


# ------------------------------------------------------------------------------------- rotations on component planes
def conjugate(q: Planes) -> Planes:
    """Inverse of unit quaternions.

    Args:
        q: Unit quaternions (w, x, y, z), each an array of one shape.

    Returns:
        Their conjugates, of the same shape.
    """
    return q[0], -q[1], -q[2], -q[3]


def dot(a: Planes, b: Planes) -> torch.Tensor:
    """Scalar product of vectors.

    Args:
        a: Vectors (x, y, z), each an array of one shape.
        b: Vectors of the same shape.

    Returns:
        Tensor of the shape of one component.
    """
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Planes, b: Planes) -> Planes:
    """Vector product.

    Args:
        a: Vectors (x, y, z), each an array of one shape.
        b: Vectors of the same shape.

    Returns:
        a x b, of the same shape.
    """
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def rotate(q: Planes, v: Planes) -> Planes:
    """Rotate vectors by unit quaternions.

    Args:
        q: Unit quaternions (w, x, y, z), each an array of one shape.
        v: Vectors (x, y, z) of that shape.

    Returns:
        The rotated vectors.
    """
    w, axis = q[0], q[1:]
    uv = cross(axis, v)
    uuv = cross(axis, uv)
    return tuple(c + 2 * (w * first + second) for c, first, second in zip(v, uv, uuv, strict=True))


def normalise(v: Planes) -> Planes:
    """Scale vectors to unit length.

    Args:
        v: Vectors of any number of components, each an array of one shape.

    Returns:
        Unit vectors; zero vectors stay zero.
    """
    length = dot(v, v).sqrt().clamp_min(torch.finfo(v[0].dtype).tiny)
    return tuple(c / length for c in v)


def between(u: Planes, v: Planes) -> Planes:
    """Shortest rotation from unit vectors u to unit vectors v, by their sum s: (|s|/2, u x s/|s|).

    Through s the result stays accurate up to opposite vectors, where the published (1 + u.v, u x v) cancels. Exactly
    opposite vectors turn by half a turn about an axis perpendicular to u.

    Args:
        u: Unit vectors (x, y, z), each an array of one shape.
        v: Unit vectors of that shape.

    Returns:
        Unit quaternions (w, x, y, z).
    """
    s = tuple(a + b for a, b in zip(u, v, strict=True))
    length = dot(s, s).sqrt()
    opposite = length < 8 * torch.finfo(length.dtype).eps
    if not bool(opposite.any()):
        scale = 1 / length
        return (0.5 * length, *cross(u, tuple(c * scale for c in s)))
    # any vector perpendicular to u: u crossed with an axis that it is far from
    near_x = (u[0].abs() > 0.7).expand_as(length)
    zero = torch.zeros_like(length)
    side = torch.where(near_x, u[2], zero), torch.where(near_x, zero, -u[2]), torch.where(near_x, -u[0], u[1])
    scale = 1 / length.masked_fill(opposite, 1.0)
    half = tuple(torch.where(opposite, a, b * scale) for a, b in zip(normalise(side), s, strict=True))
    return (0.5 * length, *cross(u, half))


def first_columns(q: Planes) -> Planes:
    """First and second column of the rotation matrix of unit quaternions: the six rotation numbers.

    Args:
        q: Unit quaternions (w, x, y, z), each an array of one shape.

    Returns:
        Six arrays of that shape.
    """
    w, x, y, z = q
    x2, y2, z2 = 2 * x, 2 * y, 2 * z
    xx, xy, xz, yy, yz, zz = x * x2, x * y2, x * z2, y * y2, y * z2, z * z2
    wx, wy, wz = w * x2, w * y2, w * z2
    return 1 - (yy + zz), xy + wz, xz - wy, xy - wz, 1 - (xx + zz), yz + wx


def columns_from_six(six: Planes) -> tuple[Planes, ...]:
    """Orthonormal matrix columns from six numbers, in the published order: x, z = x cross b, y = z cross x.

    Args:
        six: Six arrays of one shape: the first two columns, neither unit nor perpendicular in general.

    Returns:
        Three columns (x, y, z) of orthonormal matrices.
    """
    x = normalise(six[:3])
    z = normalise(cross(x, six[3:]))
    return x, cross(z, x), z


def apply_columns(columns: tuple[Planes, ...], v: Planes) -> Planes:
    """Multiply matrices, given by their columns, with vectors.

    Args:
        columns: Three columns (x, y, z), each component an array of one shape.
        v: Vectors (x, y, z) of that shape.

    Returns:
        The products, of that shape.
    """
    x, y, z = columns
    return tuple(x[i] * v[0] + y[i] * v[1] + z[i] * v[2] for i in range(3))


# ------------------------------------------------------------------------------------------ rotations, public form
def component_planes(array: torch.Tensor, size: int, what: str) -> Planes:
    """Split the last dimension into its components.

    Args:
        array: Tensor (..., size).
        size: Expected number of components.
        what: Name of the array in the error message.

    Returns:
        `size` tensors (...).

    Raises:
        ValueError: The last dimension is not `size`.
    """
    if array.ndim == 0 or array.shape[-1] != size:
        raise ValueError(f"{what} needs a last dimension of {size}, got shape {tuple(array.shape)}")
    return array.unbind(-1)


@numpy_or_torch
def quaternion_multiply(p: Array, q: Array) -> Array:
    """Hamilton product p*q: the rotation q, then p.

    Args:
        p: Quaternions (..., 4), w first.
        q: Quaternions (..., 4).

    Returns:
        Quaternions (..., 4).
    """
    return torch.stack(multiply(component_planes(p, 4, "p"), component_planes(tensor_like(q, p), 4, "q")), -1)


@numpy_or_torch
def quaternion_inverse(q: Array) -> Array:
    """Inverse of unit quaternions: the conjugate.

    Args:
        q: Unit quaternions (..., 4), w first.

    Returns:
        Unit quaternions (..., 4).
    """
    return torch.stack(conjugate(component_planes(q, 4, "q")), -1)


@numpy_or_torch
def quaternion_rotate(q: Array, v: Array) -> Array:
    """Rotate vectors by unit quaternions.

    Args:
        q: Unit quaternions (..., 4), w first.
        v: Vectors (..., 3).

    Returns:
        Rotated vectors (..., 3).
    """
    return torch.stack(rotate(component_planes(q, 4, "q"), component_planes(tensor_like(v, q), 3, "v")), -1)


@numpy_or_torch
def quaternion_between(u: Array, v: Array) -> Array:
    """Shortest rotation that takes the direction of u to that of v.

    Opposite vectors give half a turn about an axis perpendicular to u, zero vectors the identity; the published
    function gives NaN for both, and a wrong result for exactly three vectors (it crosses along the wrong axis).

    Args:
        u: Vectors (..., 3) of any length.
        v: Vectors (..., 3) of any length.

    Returns:
        Unit quaternions (..., 4) with w >= 0.
    """
    u, v = torch.broadcast_tensors(u, tensor_like(v, u))
    from_, to = normalise(component_planes(u, 3, "u")), normalise(component_planes(v, 3, "v"))
    undefined = (dot(from_, from_) == 0) | (dot(to, to) == 0)
    w, x, y, z = between(from_, to)
    return torch.stack((torch.where(undefined, 1.0, w), *(torch.where(undefined, 0.0, c) for c in (x, y, z))), -1)


@numpy_or_torch
def quaternion_to_matrix(q: Array) -> Array:
    """Rotation matrices of quaternions.

    Args:
        q: Quaternions (..., 4), w first, of any length but 0.

    Returns:
        Rotation matrices (..., 3, 3).
    """
    w, x, y, z = component_planes(q, 4, "q")
    scale = (w * w + x * x + y * y + z * z).clamp_min(torch.finfo(q.dtype).tiny).sqrt()
    six = first_columns((w / scale, x / scale, y / scale, z / scale))
    return torch.stack([torch.stack(column, -1) for column in (six[:3], six[3:], cross(six[:3], six[3:]))], -1)


@numpy_or_torch
def matrix_to_quaternion(matrix: Array) -> Array:
    """Unit quaternions of rotation matrices, by Shepperd's four cases.

    Args:
        matrix: Rotation matrices (..., 3, 3).

    Returns:
        Unit quaternions (..., 4), w first.

    Raises:
        ValueError: The shape is not (..., 3, 3).
    """
    if matrix.ndim < 2 or matrix.shape[-2:] != (3, 3):
        raise ValueError(f"matrix needs shape (..., 3, 3), got {tuple(matrix.shape)}")
    (m00, m01, m02), (m10, m11, m12), (m20, m21, m22) = (row.unbind(-1) for row in matrix.unbind(-2))
    # Each case divides by its own leading number, taken where that number is largest.
    t_x, t_y = 1 + m00 - m11 - m22, 1 - m00 + m11 - m22
    t_z, t_w = 1 - m00 - m11 + m22, 1 + m00 + m11 + m22
    case_x = torch.stack((m21 - m12, t_x, m10 + m01, m02 + m20), -1)
    case_y = torch.stack((m02 - m20, m10 + m01, t_y, m21 + m12), -1)
    case_z = torch.stack((m10 - m01, m02 + m20, m21 + m12, t_z), -1)
    case_w = torch.stack((t_w, m21 - m12, m02 - m20, m10 - m01), -1)
    low = torch.where((m00 > m11)[..., None], case_x, case_y)
    high = torch.where((m00 < -m11)[..., None], case_z, case_w)
    q = torch.where((m22 < 0)[..., None], low, high)
    return q / q.square().sum(-1, keepdim=True).sqrt()


@numpy_or_torch
def quaternion_continuous(q: Array) -> Array:
    """Choose signs along time such that neighbouring quaternions lie on the same side.

    Args:
        q: Quaternions (T, ..., 4).

    Returns:
        The same rotations, (T, ..., 4).
    """
    signs = torch.where((q[1:] * q[:-1]).sum(-1) < 0, -1.0, 1.0).to(q.dtype)
    signs = torch.cat((torch.ones_like(q[:1, ..., 0]), signs.cumprod(0)), 0)
    return q * signs[..., None]


@numpy_or_torch
def quaternion_to_euler(q: Array, order: str = "zxy") -> Array:
    """Euler angles of unit quaternions, with R = R(first) R(second) R(third).

    At the pole of the middle angle, where only a sum is determined, the third angle is 0.

    Args:
        q: Unit quaternions (..., 4), w first.
        order: A permutation of x, y and z, as in the channels of a BVH file: the first letter is the outermost
            rotation.

    Returns:
        Angles (..., 3) in radians, in the order of the letters.

    Raises:
        ValueError: `order` is not a permutation of "xyz".
    """
    if sorted(order) != ["x", "y", "z"]:
        raise ValueError(f"order is {order!r}; it must be a permutation of 'xyz'")
    matrix = quaternion_to_matrix(q)
    i, j, k = ("xyz".index(letter) for letter in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0  # even permutations are right-handed
    sine = (sign * matrix[..., i, k]).clamp(-1, 1)
    cosine = torch.hypot(matrix[..., i, i], matrix[..., i, j])
    middle = torch.atan2(sine, cosine)
    regular = cosine > 1e3 * torch.finfo(q.dtype).eps
    first = torch.where(
        regular,
        torch.atan2(-sign * matrix[..., j, k], matrix[..., k, k]),
        torch.atan2(sign * matrix[..., k, j], matrix[..., j, j]),
    )
    third = torch.where(regular, torch.atan2(-sign * matrix[..., i, j], matrix[..., i, i]), 0.0)
    return torch.stack((first, middle, third), -1)
