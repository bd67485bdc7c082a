"""Kernels: the weight of a neighbour as a function of its distance along the river.

A kernel is a small frozen dataclass that can be compared, hashed, and stored as JSON with trained weights.
Add one with :func:`register_kernel`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from xmsgl.errors import InvalidArgumentError
from xmsgl.util.arguments import checked
from xmsgl.util.registry import Registry

__all__ = [
    "KERNELS",
    "Exponential",
    "Gaussian",
    "Inverse",
    "Kernel",
    "Reference",
    "get_kernel",
    "kernel_weights",
    "register_kernel",
]

DEFAULT_SCALE_M = 10_000.0
"""About the length of an NHM segment, and the distance over which stream temperature adjusts."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kernel(ABC):
    """The weight of a neighbour, given its distance.

    A reach itself always has weight 1, so a kernel should approach 1 at distance 0.
    """

    name: ClassVar[str] = ""
    whole: ClassVar[bool] = False
    """Whether the kernel is meant for all reaches upstream and downstream rather than a few hops."""

    @property
    def range_m(self) -> float:
        """Distance (m) beyond which neighbours are left out by default."""
        return math.inf

    @abstractmethod
    def weight(self, distance: Floats, downstream: NDArray[np.bool_]) -> Floats:
        """Compute the weights of all pairs of a graph at once.

        Parameters
        ----------
        distance
            Distance along the river between two different reaches (m), above 0, shape (p,).
        downstream
            True where the neighbour lies downstream, shape (p,).

        Returns
        -------
        numpy.ndarray
            float64 weights, not negative, shape (p,).
        """

    def to_dict(self) -> dict[str, Any]:
        """Return name and parameters, ready for JSON, as :func:`get_kernel` reads them.

        Returns
        -------
        dict

        Examples
        --------
        >>> Exponential(2_000.0).to_dict()
        {'name': 'exponential', 'scale_m': 2000.0}
        """
        return {"name": self.name, **asdict(self)}

    @staticmethod
    @checked
    def from_dict(spec: Mapping[str, Any]) -> Kernel:
        """Make a kernel from what :meth:`to_dict` wrote.

        Parameters
        ----------
        spec
            ``"name"`` and the parameters; the others have their defaults.

        Returns
        -------
        Kernel

        Raises
        ------
        InvalidArgumentError
            If the name is missing or a parameter is unknown or out of range.
        UnknownNameError
            If no kernel has this name.

        Examples
        --------
        >>> Kernel.from_dict({"name": "gaussian", "scale_m": 500})
        Gaussian(scale_m=500.0)
        """
        if "name" not in spec:
            msg = f"a kernel given as a mapping needs a 'name': one of {', '.join(KERNELS)}"
            raise InvalidArgumentError(msg)
        parameters = dict(spec)
        name = parameters.pop("name")
        kind = KERNELS[name]
        known = [field.name for field in fields(kind)]
        if strange := [key for key in parameters if key not in known]:
            takes = ", ".join(known) or "none"
            msg = f"kernel {name!r} has no parameter {', '.join(strange)}; it takes {takes}"
            raise InvalidArgumentError(msg)
        return kind(**parameters)


class _Kernels(Registry[type[Kernel]]):
    """Kernels are stored with their parameters by name, so each class keeps its own."""

    def __setitem__(self, name: str, value: type[Kernel]) -> None:
        value.name = name
        super().__setitem__(name, value)


KERNELS = _Kernels("kernel", base=Kernel, group="xmsgl.kernels")
"""The registered kernels by name: frozen dataclasses derived from :class:`Kernel`."""

register_kernel = KERNELS.register


def get_kernel(spec: str | Kernel | Mapping[str, Any] | None = None) -> Kernel:
    """Get a kernel by its name or its description; a kernel is returned as it is.

    Parameters
    ----------
    spec
        A name, a mapping as from :meth:`Kernel.to_dict`, or a kernel. Default: :class:`Exponential`.

    Returns
    -------
    Kernel

    Raises
    ------
    InvalidArgumentError
        If ``spec`` is none of these or a parameter is not valid.
    UnknownNameError
        If no kernel has this name.

    Examples
    --------
    >>> get_kernel()
    Exponential(scale_m=10000.0)
    >>> get_kernel({"name": "inverse", "scale_m": 3_000.0})
    Inverse(scale_m=3000.0)
    """
    if spec is None:
        return Exponential()
    if isinstance(spec, Kernel):
        return spec
    if not isinstance(spec, str | Mapping):
        msg = f"a kernel must be a name, a mapping or a Kernel, not {spec!r}"  # type: ignore[unreachable]
        raise InvalidArgumentError(msg)
    return Kernel.from_dict({"name": spec} if isinstance(spec, str) else spec)


@dataclass(frozen=True)
class _Scaled(Kernel):
    """A kernel that decays over a length scale."""

    scale_m: float = DEFAULT_SCALE_M

    def __post_init__(self) -> None:
        try:
            scale = float(self.scale_m)
        except (TypeError, ValueError):
            scale = math.nan
        if not (math.isfinite(scale) and scale > 0):
            msg = f"scale_m of kernel {self.name!r} must be a finite length above 0 m, not {self.scale_m!r}"
            raise InvalidArgumentError(msg)
        object.__setattr__(self, "scale_m", scale)

    @property
    def range_m(self) -> float:
        """Five length scales (m)."""
        return 5.0 * self.scale_m

    def weight(self, distance: Floats, downstream: NDArray[np.bool_]) -> Floats:  # noqa: ARG002
        """Compute weights as :meth:`Kernel.weight` says, the same upstream and downstream."""
        return self._decay(distance / self.scale_m)

    @staticmethod
    @abstractmethod
    def _decay(lengths: Floats) -> Floats:
        """Compute the weight from the distance in length scales, whose memory may be reused."""


@register_kernel("exponential")
@dataclass(frozen=True)
class Exponential(_Scaled):
    """Exponential decay ``exp(-d / scale)``, the default.

    A temperature disturbance decays like this along a river that approaches equilibrium.

    Parameters
    ----------
    scale_m
        Distance (m) over which the weight falls to 1/e.

    Examples
    --------
    >>> Exponential(1_000.0).weight(np.array([1_000.0]), np.array([True])).round(4)
    array([0.3679])
    """

    @staticmethod
    def _decay(lengths: Floats) -> Floats:
        lengths *= -1.0
        return np.exp(lengths)


@register_kernel("gaussian")
@dataclass(frozen=True)
class Gaussian(_Scaled):
    """Gaussian decay ``exp(-(d / scale)^2 / 2)``: slow at short distances, then fast.

    Parameters
    ----------
    scale_m
        Standard deviation (m).

    Examples
    --------
    >>> Gaussian(1_000.0).weight(np.array([1_000.0]), np.array([True])).round(4)
    array([0.6065])
    """

    @staticmethod
    def _decay(lengths: Floats) -> Floats:
        lengths **= 2
        lengths *= -0.5
        return np.exp(lengths)


@register_kernel("inverse")
@dataclass(frozen=True)
class Inverse(_Scaled):
    """Inverse distance ``1 / (1 + d / scale)``, which decays slowly.

    Parameters
    ----------
    scale_m
        Distance (m) at which the weight is one half.

    Examples
    --------
    >>> Inverse(1_000.0).weight(np.array([1_000.0]), np.array([True]))
    array([0.5])
    """

    @staticmethod
    def _decay(lengths: Floats) -> Floats:
        lengths += 1.0
        return 1.0 / lengths


@register_kernel("reference")
@dataclass(frozen=True)
class Reference(Kernel):
    """The published sigmoid kernel, for reproduction only.

    Signed distances (downstream positive, upstream negative) are negated, standardised with the mean and
    standard deviation of all entries of the graph, and passed through the logistic function. The weight
    therefore increases with the distance of an upstream neighbour and depends on all pairs of the graph, and
    an entry equal to the mean has weight 0. It is meant for all reaches upstream and downstream.

    References
    ----------
    Jia et al. (2021). Physics-guided recurrent graph model for predicting flow and temperature in river
    networks. SDM, arXiv 2009.12575; the adjacency of the USGS package river-dl.

    Examples
    --------
    >>> Reference().weight(np.array([10.0, 10.0]), np.array([True, False])).round(4)
    array([0.2689, 0.7311])
    """

    whole: ClassVar[bool] = True

    def weight(self, distance: Floats, downstream: NDArray[np.bool_]) -> Floats:
        """Compute weights as :meth:`Kernel.weight` says; ``distance`` must have all pairs of the graph."""
        if distance.size == 0:
            return np.zeros(0)
        value = np.where(downstream, -distance, distance)
        mean, deviation = value.mean(), value.std()
        if deviation <= 1e-12 * np.abs(value).max():  # all entries equal their mean
            return np.zeros(value.shape)
        score = (value - mean) / deviation
        return np.where(score == 0, 0.0, expit(score))


def kernel_weights(kernel: Kernel, distance: Floats, downstream: NDArray[np.bool_]) -> Floats:
    """Compute the weights of entries (p,) with a kernel; those at distance 0 have weight 1."""
    apart = distance > 0
    given = np.asarray(kernel.weight(distance[apart], downstream[apart]), dtype=np.float64)
    count = int(apart.sum())
    if given.shape != (count,) or not np.isfinite(given).all() or (given < 0).any():
        msg = (
            f"kernel {kernel!r} must give one finite weight of at least 0 for each of {count} distances; "
            f"it gave shape {given.shape}, from {given.min(initial=0):g} to {given.max(initial=0):g}"
        )
        raise InvalidArgumentError(msg)
    weight = np.ones(distance.shape)
    weight[apart] = given
    return weight
