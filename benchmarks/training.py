"""The data of the training suite: the Delaware or a basin of its size, cut into windows, and a module."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.basins import make_basin
from benchmarks.harness import is_tiny, sized
from benchmarks.published import TASKS, PublishedWindow
from xmsgl.inputs.batches import TrainingData
from xmsgl.inputs.choose import choose_features
from xmsgl.inputs.features import TRANSFORMS, trailing_mean
from xmsgl.inputs.validation import split_labels
from xmsgl.models.methods.registry import create_model
from xmsgl.prediction.operators import Operators
from xmsgl.schema.inherit import fine_values
from xmsgl.training.loop import LabelledBatch, validate
from xmsgl.training.source import DeviceBatches
from xmsgl.training.stages import Stage
from xmsgl.util.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import xarray as xr
    from numpy.typing import NDArray

    from xmsgl.inputs.features import Feature

N_COARSE, N_FINE = sized(456, 12), sized(3_182, 60)  # of the Delaware
LABELLED = sized(150, 6)  # reaches with labels in a year of it
DAYS = sized(365, 20)
FIRST_DAY = "2015-10-01"  # of four years in which 134 to 154 reaches of the Delaware have labels


@cache
def network() -> str:
    """Return the network used: the real one if its files are available."""
    if is_tiny():
        return "made"
    from xmsgl.datasets.download import availability

    return "delaware" if availability("delaware") else "made"


def sizes(**others: Any) -> dict[str, Any]:
    """Return the arguments of the builders below."""
    basin = {"network": network(), "n_coarse": N_COARSE, "n_fine": N_FINE, "labelled": LABELLED}
    return {**basin, "days": DAYS, **others}


def where() -> str:
    """Describe the network for the report."""
    real = "the Delaware's main stem with its labels from October 2015"
    made = "a random basin of the size of the Delaware's main stem, with as many labelled reaches"
    return f"On {real if network() == 'delaware' else made}: {N_COARSE:,} segments, {N_FINE:,} reaches."


def open_basin(network: str, n_coarse: int, n_fine: int, days: int, labelled: int) -> xr.Dataset:
    """Return a dataset of `days` days, in memory."""
    if network == "made":
        return make_basin(n_coarse, n_fine, days, labelled=labelled)
    from xmsgl.datasets import delaware

    ds = delaware(start=FIRST_DAY, forcing="era5").isel(time=slice(days)).compute()
    if (ds.sizes["coarse"], ds.sizes["fine"]) != (n_coarse, n_fine):
        msg = f"the Delaware has {dict(ds.sizes)}, the suite expects {n_coarse} and {n_fine}"
        raise ValueError(msg)
    return ds


class Training:
    """The common start of both schemes: a dataset cut into windows, and a module."""

    def __init__(
        self,
        *,
        days: int,
        windows: int = 1,
        warmup: int = 0,
        module: dict[str, Any] | None = None,
        **basin: Any,
    ) -> None:
        self.ds = open_basin(days=days * windows, **basin)
        self.features = choose_features(self.ds)
        self.data = TrainingData(
            self.ds,
            self.features,
            scales=SCALES,
            window=days,
            warmup=warmup,
            split=split_labels(self.ds, SCALES, window=days, validation=None, seed=0),
            batch=windows,
            seed=0,
            context=SCALES,
        )
        self.operators = Operators.build(self.ds, {}, (), torch.device("cpu"))
        self.source = DeviceBatches(self.data, self.operators)
        # as published: the fine head alone predicts
        chosen = {"anchored": False, **(module or {})}
        self.module = create_model("msgl", n_features=len(self.features), seed=0, **chosen)

    def window(self) -> PublishedWindow:
        """Return the only window, with dense operators, without using the package's batches."""
        scaling = self.data.scaling["coarse"]
        x, y = {}, {}
        for scale in SCALES:
            columns = np.stack([self._column(feature, scale) for feature in self.features], axis=-1)
            x[scale] = torch.from_numpy((columns - scaling.mean) / scaling.deviation).float()
            labels = self.ds[f"water_temperature_{scale}"].transpose("time", scale).to_numpy()
            y[scale] = torch.from_numpy((labels - scaling.label_mean) / scaling.label_deviation).float()
        graphs = self.ds.msgl.graph()
        dense = [
            torch.from_numpy(matrix.toarray().astype(np.float32))
            for matrix in (graphs.coarse.operator, graphs.fine.operator, graphs.interpolation)
        ]
        return PublishedWindow(x["coarse"], x["fine"], y["coarse"], y["fine"], *dense)

    def first_batch(self) -> LabelledBatch:
        """Gather the batch of all windows."""
        return next(iter(self.source.training(1, Stage(1, TASKS))))

    def score(self) -> None:
        """Score all tasks on the windows, as after an epoch."""
        validate(self.module, _Judge(self.source), TASKS)

    def _column(self, feature: Feature, scale: str) -> NDArray[Any]:
        """Return a feature before standardisation, (day, node)."""
        found = self.ds[f"{feature.name}_coarse"] if scale == "coarse" else fine_values(self.ds, feature.name)
        values = found.transpose(..., scale).to_numpy()
        values = trailing_mean(values, feature.days) if feature.days > 1 else values
        return np.broadcast_to(
            TRANSFORMS[feature.transform](values), (self.ds.sizes["time"], self.ds.sizes[scale])
        )


class _Judge:
    """Training windows as those of a validation."""

    def __init__(self, source: DeviceBatches) -> None:
        self._source, self.deviation = source, source.deviation

    def validation(self, tasks: Collection[str]) -> Iterable[LabelledBatch]:
        return self._source.training(1, Stage(1, tuple(tasks)))
