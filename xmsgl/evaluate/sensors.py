"""Sensors whose observations disagree with those of all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.validation import label_values
from xmsgl.schema.arrays import sound_dataset
from xmsgl.schema.names import LABEL
from xmsgl.schema.ranges import refuse_unlike_water
from xmsgl.util.arguments import checked
from xmsgl.util.spec import is_positive

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from xmsgl.models.file.covariance import ErrorCovariance
    from xmsgl.models.file.model import Model
    from xmsgl.reconstruct.given import Errors
    from xmsgl.reconstruct.river import River

__all__ = ["check_sensors"]

_NORMAL = 1.4826  # standard deviation over the median absolute deviation, of normal values


@checked
def check_sensors(
    obj: xr.Dataset | xr.DataTree, model: Model | str | os.PathLike[str], *, threshold: float = 3.0
) -> xr.Dataset:
    """Compare each sensor with what the model and all other sensors say of its reach.

    On each day with an observation, the temperature is reconstructed without the sensors of the same segment,
    and the difference is divided by its standard deviation. Over the days of a good sensor these standard
    scores are spread around 0 with a deviation of about 1. A faulty sensor also makes its neighbours look
    wrong, so the segment with the largest score is set aside and all others are compared again without it,
    until no further one is suspect. Nothing is removed from the dataset: a place with a spring or below a dam
    may differ from its surroundings, too.

    Parameters
    ----------
    obj
        A dataset of the convention with observations, degC.
    model
        A model trained with ``validation="folds"``, or its path.
    threshold
        Largest absolute median, and largest spread, of the standard scores of a sensor that is not suspect.

    Returns
    -------
    xarray.Dataset
        By ``sensor``, the id of its reach, the most suspect first: ``days``, the number of observations;
        ``difference``, the median difference, degC; ``shift``, the median of the standard scores; ``spread``,
        their median absolute deviation, scaled to a standard deviation; and whether it is ``suspect``.

    Raises
    ------
    UncalibratedModelError
        The model has no covariance of its errors.
    InvalidArgumentError
        There is no observation, or `threshold` is not a positive number.
    InvalidDatasetError
        Observations are fill values, or not in degC.

    References
    ----------
    .. [1] Rousseeuw & Hubert (2011), Robust statistics for outlier detection, doi:10.1002/widm.2.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=8, years=2, seed=3)
    >>> model = ds.msgl.train("trees", validation="folds:2", iterations=10, progress=False)
    >>> bool(check_sensors(ds, model).suspect.any())
    False
    """
    # Imported here, because the models import PyTorch, which takes seconds.
    from xmsgl.models.file.model import Model, load_model
    from xmsgl.prediction.downscale import held_out_shares, in_order, weighted_means
    from xmsgl.reconstruct.river import River
    from xmsgl.reconstruct.run import error_covariances
    from xmsgl.reconstruct.sensors import sensor_errors

    if not is_positive(threshold):
        msg = f"threshold must be a positive number, got {threshold!r}"
        raise InvalidArgumentError(msg)
    ds, _ = in_order(sound_dataset(obj, sizes=True))
    fine, coarse = (label_values(ds, scale) for scale in ("fine", "coarse"))
    for scale, values in (("fine", fine), ("coarse", coarse)):  # the air at a faulty sensor is welcome
        refuse_unlike_water(values, f'ds["{LABEL}_{scale}"]')
    fitted = model if isinstance(model, Model) else load_model(model)
    covariances = error_covariances(fitted, None)
    (own,) = weighted_means(ds, fitted, [held_out_shares(fitted, ds)], None, "auto", carry=False)
    river = River.of(ds)
    errors = sensor_errors(fine, coarse, np.asarray(own), river)
    if not errors.reach.size:
        msg = "the dataset has no observation at a reach or at a segment with reaches, so no sensor to check"
        raise InvalidArgumentError(msg)
    table = _without_suspects(errors, river, covariances["ungauged"], threshold)
    return _described(table, ds.indexes["fine"])


def _without_suspects(
    errors: Errors, river: River, covariance: ErrorCovariance, threshold: float
) -> pd.DataFrame:
    """Compare all sensors with those that are not suspect, and return them, the most suspect first."""
    aside: list[int] = []
    while True:
        table = _scores(errors, river, covariance, aside)
        worst = table[["shift", "spread"]].abs().max(axis=1).sort_values(ascending=False, kind="stable")
        table = table.loc[worst.index].assign(suspect=worst > threshold)
        segments = river.segment[table.index[table["suspect"]]]
        found = segments[~np.isin(segments, aside)]
        if not found.size:
            return table
        aside.append(int(found[0]))


def _scores(
    errors: Errors, river: River, covariance: ErrorCovariance, aside: Sequence[int] = ()
) -> pd.DataFrame:
    """Return the figures of each sensor, by the position of its reach; compare with none of some segments."""
    from xmsgl.reconstruct.given import Asked, Errors, Places, error_given

    sensor, day = np.nonzero(np.isfinite(errors.values.T))
    whole: NDArray[np.int64] = np.full(day.size, -1)
    until = np.full(day.size, len(errors.values) - 1)
    places = Places.of(river, errors.reach, errors.reach)
    reach = errors.reach[sensor]
    asked = Asked(reach, day, until, river.segment[reach], whole)
    trusted = np.where(np.isin(river.segment[errors.reach], aside), np.float32(np.nan), errors.values)
    mean, deviation = error_given(Errors(trusted, errors.reach), asked, places, covariance)
    difference = errors.values[day, sensor] - mean
    frame = pd.DataFrame({"difference": difference, "score": difference / deviation}).groupby(reach)
    median = frame.median()
    spread = frame["score"].agg(lambda scores: _NORMAL * (scores - scores.median()).abs().median())
    return pd.DataFrame(
        {
            "days": frame.size(),
            "difference": median["difference"],
            "shift": median["score"],
            "spread": spread,
        }
    )


def _described(table: pd.DataFrame, ids: pd.Index) -> xr.Dataset:
    """Return the table with ids and attributes."""
    about = {
        "days": {"long_name": "number of observations"},
        "difference": {"long_name": "median difference from the reconstruction by others", "units": "degC"},
        "shift": {"long_name": "median of the standard scores", "units": "1"},
        "spread": {"long_name": "scaled median absolute deviation of the standard scores", "units": "1"},
        "suspect": {"long_name": "whether it disagrees with the others"},
    }
    values = {name: ("sensor", table[name].to_numpy(), attrs) for name, attrs in about.items()}
    return xr.Dataset(values, {"sensor": ("sensor", ids[table.index], {"long_name": "id of the reach"})})
