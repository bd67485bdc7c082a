"""A module on a device, bound to the graphs of one river network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from xmsgl import schema
from xmsgl.errors import InvalidArgumentError, InvalidDatasetError, shorten
from xmsgl.graphs import build_graph
from xmsgl.models.batch import Batch
from xmsgl.models.operator import GraphOperator
from xmsgl.windows import FloatArray, Scale, ScaleInputs, Window, feature_variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

    from xmsgl.features import Scaling
    from xmsgl.models.model import Model

FREEZING = np.float32(0.0)  # degC


def resolve_device(device: str) -> torch.device:
    """Return the device to compute on.

    Parameters
    ----------
    device
        ``"auto"`` (a GPU where there is one), or what torch understands.

    Raises
    ------
    InvalidArgumentError
        No such device here.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        msg = f"device {device!r} is not one that torch knows; use 'auto', 'cpu' or 'cuda'"
        raise InvalidArgumentError(msg) from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        msg = f"device {device!r} was asked for, but torch sees no GPU; use device='auto' or 'cpu'"
        raise InvalidArgumentError(msg)
    return chosen


@dataclass(frozen=True)
class Operators:
    """The four sparse operators of a basin, on a device.

    Attributes
    ----------
    coarse, fine
        Graph operators A of the two scales.
    interpolation, remap
        From segments to reaches: distance-weighted M and one-hot R.
    coarse_segments, fine_segments
        Row of each node's segment in a model's table of identities, -1 where it has none.
    """

    coarse: GraphOperator
    fine: GraphOperator
    interpolation: GraphOperator
    remap: GraphOperator
    coarse_segments: torch.Tensor
    fine_segments: torch.Tensor

    @classmethod
    def build(
        cls, ds: xr.Dataset, graph: Mapping[str, Any], segments: Sequence[Any], device: torch.device
    ) -> Operators:
        """Build the operators of a dataset.

        Parameters
        ----------
        ds
            Its topology.
        graph
            Arguments of :func:`xmsgl.graphs.build_graph`.
        segments
            Ids of the segments a model knows, in the order of its table.
        device
            Where they go.
        """
        graphs = build_graph(ds, None, **graph)
        coarse, fine, interpolation, remap = (
            GraphOperator.from_scipy(matrix, device=device)
            for matrix in (graphs.coarse.operator, graphs.fine.operator, graphs.interpolation, graphs.remap)
        )
        row = {segment: number for number, segment in enumerate(segments)}
        known = torch.tensor([row.get(segment, -1) for segment in ds["coarse"].values.tolist()])
        carried = known[torch.from_numpy(schema.segment_positions(ds))]
        return cls(coarse, fine, interpolation, remap, known.to(device), carried.to(device))

    def batch(
        self,
        inputs: Mapping[Scale, FloatArray],
        nodes: Mapping[Scale, npt.NDArray[np.int64]] | None = None,
    ) -> Batch:
        """Put the inputs of a batch beside the operators, on their device.

        Parameters
        ----------
        inputs
            Standardised features by scale, (day, node, window, feature).
        nodes
            Positions of the labelled nodes by scale.
        """
        device = self.coarse.device
        tensors = {scale: torch.from_numpy(values).to(device) for scale, values in inputs.items()}
        marked = {scale: torch.from_numpy(values).to(device) for scale, values in (nodes or {}).items()}
        return Batch(
            x_coarse=tensors.get("coarse"),
            x_fine=tensors.get("fine"),
            coarse_graph=self.coarse,
            fine_graph=self.fine,
            interpolation=self.interpolation,
            remap=self.remap,
            coarse_segments=self.coarse_segments,
            fine_segments=self.fine_segments,
            coarse_nodes=marked.get("coarse"),
            fine_nodes=marked.get("fine"),
        )


class Engine:
    """A trained model ready to predict on one network, window by window.

    Parameters
    ----------
    model
        The model.
    fixed
        Topology and static attributes of the dataset, in memory.
    device
        As in :func:`resolve_device`.
    """

    def __init__(self, model: Model, fixed: xr.Dataset, device: str) -> None:
        target = resolve_device(device)
        self._fixed = fixed.compute()  # not load(): the arrays may be those of the caller's dataset
        self._spec = model.spec
        refuse_missing(self._fixed, feature_variables(self._fixed, self._spec.features, dynamic=False))
        self._module = model.module().to(target)
        self._operators = Operators.build(self._fixed, model.spec.graph, model.spec.segments, target)
        self._scales = self._module.input_scales

    def run(self, drivers: xr.Dataset, window: Window) -> npt.NDArray[np.float32]:
        """Predict the scored days of a window.

        Parameters
        ----------
        drivers
            The dynamic features of the window and of as many warm-up days as the record has.
        window
            Which days these are.

        Returns
        -------
        numpy.ndarray
            Temperature, degC, float32 (day, fine); never below 0, where water stays until it is ice.

        Raises
        ------
        InvalidDatasetError
            A driver is not finite on these days.
        """
        loaded = drivers.compute()
        refuse_missing(loaded, [str(name) for name in loaded.data_vars])
        n_days = loaded.sizes["time"]
        length = window.stop - window.start
        days = np.clip(np.arange(n_days - length - window.warmup, n_days, dtype=np.int64), 0, n_days - 1)[
            None
        ]
        inputs = {
            scale: gather(loaded, self._fixed, self._spec.features, scale, self._spec.scaling[scale], days)
            for scale in self._scales
        }
        with torch.no_grad():
            output = self._module.predict(self._operators.batch(inputs))
        scaling = self._spec.scaling[self._module.prediction_scale]
        values = output[window.warmup :, :, 0].float().cpu().numpy()
        degrees = values * np.float32(scaling.label_deviation) + np.float32(scaling.label_mean)
        floored: npt.NDArray[np.float32] = np.maximum(degrees, FREEZING)
        return floored


def refuse_missing(ds: xr.Dataset, names: Sequence[str]) -> None:
    """Refuse features that are not finite: the graph would carry one NaN to every reach around.

    Parameters
    ----------
    ds
        In memory.
    names
        Variables to look at.

    Raises
    ------
    InvalidDatasetError
        Naming each variable, its first ids and dates.
    """
    faults = []
    for name in names:
        gone = ~np.isfinite(ds[name].values)
        if not gone.any():
            continue
        where = []
        for axis, dim in enumerate(ds[name].dims):
            labels = ds[dim].values[gone.any(axis=tuple({*range(gone.ndim)} - {axis}))]
            days = labels.dtype.kind == "M"
            where.append(f"{dim} {shorten(np.datetime_as_string(labels, 'D') if days else labels)}")
        faults.append(
            f"{name}: {gone.sum()} values are NaN or infinite, and a prediction needs them all: "
            f"{'; '.join(where)}; fill them, or drop these ids or days"
        )
    if faults:
        raise InvalidDatasetError(faults)


def gather(
    drivers: xr.Dataset,
    fixed: xr.Dataset,
    features: Sequence[Any],
    scale: Scale,
    scaling: Scaling,
    days: npt.NDArray[np.int64],
) -> FloatArray:
    """Gather the standardised features of a scale, see :meth:`xmsgl.windows.ScaleInputs.gather`."""
    inputs = ScaleInputs(drivers, features, scale, fixed)
    inputs.use(scaling)
    return inputs.gather(days)
