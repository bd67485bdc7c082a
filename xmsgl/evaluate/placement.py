"""Where further sensors would lower the uncertainty of a reconstruction most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.inputs.validation import label_values
from xmsgl.schema.arrays import sound_dataset
from xmsgl.schema.names import LABEL
from xmsgl.schema.ranges import refuse_impossible_water
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    import os
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from xmsgl.models.file.covariance import ErrorCovariance
    from xmsgl.models.file.model import Model
    from xmsgl.reconstruct.river import River

__all__ = ["next_sensors"]


@checked
def next_sensors(
    obj: xr.Dataset | xr.DataTree,
    model: Model | str | os.PathLike[str],
    n: int = 1,
    *,
    candidates: Sequence[Hashable] | None = None,
) -> xr.Dataset:
    """Choose reaches for further sensors, one after the other.

    Each is the one that lowers the mean variance of the model's error most, given all sensors that report on
    a day: those of the dataset and those chosen before [1]_. Reaches count by their length.

    Parameters
    ----------
    obj
        A dataset of the convention. All its reaches and segments with an observation have a sensor.
    model
        A model trained with ``validation="folds"``, or its path.
    n
        Number of sensors to choose.
    candidates
        Ids of the reaches to choose from. Default: the most downstream reach of each segment without a
        sensor.

    Returns
    -------
    xarray.Dataset
        ``reach``, the ids in the order of the choice, and ``deviation``, the root of the mean variance of the
        error with this sensor and those before, degC, both (rank,). The attribute ``deviation_before`` of
        the latter is that of the sensors there are.

    Raises
    ------
    InvalidArgumentError
        `n` is not between 1 and the number of candidates, or a candidate is not in the dataset, or
        is given twice.
    UncalibratedModelError
        The model has no covariance of its errors.

    References
    ----------
    .. [1] Krause, Singh & Guestrin (2008), Near-optimal sensor placements in Gaussian processes, Journal of
       Machine Learning Research 9, 235-284.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=8, years=2, seed=3)
    >>> model = ds.msgl.train("trees", validation="folds:2", iterations=10, progress=False)
    >>> few = xmsgl.evaluate.mask_labels(ds, segments=ds.coarse.values[:4])
    >>> next_sensors(few, model, 2).sizes["rank"]
    2
    """
    # Imported here, because the models import PyTorch, which takes seconds.
    from xmsgl.models.file.model import Model, load_model
    from xmsgl.reconstruct.river import River
    from xmsgl.reconstruct.run import error_covariances

    ds = sound_dataset(obj, sizes=True)
    fitted = model if isinstance(model, Model) else load_model(model)
    covariances = error_covariances(fitted, None)
    river, ids = River.of(ds), ds.indexes["fine"]
    sensors = _sensors(ds, river)
    if candidates is None:
        taken = np.isin(np.arange(river.outlets.size), river.segment[sensors])
        places = river.outlets[~taken & (river.outlets >= 0)]
    else:
        places = ids.get_indexer(pd.Index(list(candidates)))
        if lost := [each for each, place in zip(candidates, places, strict=True) if place < 0]:
            msg = f"candidates {shorten(lost)} are not among the ids of 'fine'"
            raise InvalidArgumentError(msg)
        if np.unique(places).size < places.size:
            twice = shorten(ids[np.flatnonzero(np.bincount(places) > 1)])
            raise InvalidArgumentError(f"candidates {twice} are given twice or more; give each once")
    if not 1 <= n <= len(places):
        msg = f"n must be from 1 to the number of candidates, {len(places)}; got {n}"
        raise InvalidArgumentError(msg)
    chosen, before, after = _greedy(river, covariances["ungauged"], sensors, places, n)
    about = {"units": "degC", "long_name": "root of the mean variance of the error"}
    return xr.Dataset(
        {
            "reach": ("rank", ids[chosen].to_numpy(), {"long_name": "id of the reach"}),
            "deviation": ("rank", after, {**about, "deviation_before": before}),
        },
        {"rank": np.arange(1, n + 1)},
    )


def _sensors(ds: xr.Dataset, river: River) -> NDArray[np.int64]:
    """Return the reaches with a sensor, by the rule of the reconstruction."""
    from xmsgl.reconstruct.sensors import sensor_errors

    fine, coarse = (label_values(ds, scale) for scale in ("fine", "coarse"))
    refuse_impossible_water(fine, f"{LABEL}_fine")
    refuse_impossible_water(coarse, f"{LABEL}_coarse")
    return sensor_errors(fine, coarse, np.zeros_like(fine), river).reach


def _greedy(
    river: River,
    covariance: ErrorCovariance,
    sensors: NDArray[np.int64],
    places: NDArray[np.int64],
    n: int,
) -> tuple[NDArray[np.int64], float, list[float]]:
    """Return the places chosen, and the deviation before and after each."""
    known = np.concatenate([sensors, places])
    near, far = river.apart(np.arange(len(river.length)), known).correlations(covariance)
    itself = np.arange(len(river.length))[:, None] == known
    total = np.zeros(near.shape)
    for part in (covariance.slow, covariance.fast):
        alone = 1 - part.along_river - part.across_land
        total += part.variance * (part.along_river * near + part.across_land * far + alone * itself)
    variance = np.full(len(river.length), covariance.slow.variance + covariance.fast.variance)
    weight = river.length / river.length.sum()

    def observe(k: int) -> None:
        """Condition on a sensor at ``known[k]``."""
        column = total[:, k] / np.sqrt(total[known[k], k] + covariance.noise)
        np.subtract(total, np.outer(column, column[known]), out=total)
        np.subtract(variance, column**2, out=variance)

    for k in range(len(sensors)):
        observe(k)
    before = float(np.sqrt(weight @ variance))
    chosen, after = [], []
    free = np.arange(len(sensors), len(known))
    for _ in range(n):
        gain = weight @ total[:, free] ** 2 / (total[known[free], free] + covariance.noise)
        best = int(gain.argmax())
        observe(int(free[best]))
        chosen.append(int(known[free[best]]))
        after.append(round(float(np.sqrt(weight @ variance)), 4))
        free = np.delete(free, best)
    return np.array(chosen), round(before, 4), after
