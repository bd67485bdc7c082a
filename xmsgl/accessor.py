"""The accessor ``ds.msgl``; every method calls a function of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from xmsgl.evaluate.groups import By
    from xmsgl.inputs.validation import Validation
    from xmsgl.models.file.model import Model
    from xmsgl.network.graph import RiverGraph, RiverGraphs
    from xmsgl.plot.door import Plots
    from xmsgl.schema.report import ValidationReport
    from xmsgl.training.watch.standing import Observer
    from xmsgl.util.options import Progress


@xr.register_dataset_accessor("msgl")
@xr.register_datatree_accessor("msgl")
class MsglAccessor:
    """Multi-scale graph learning on a stream-segment dataset.

    Parameters
    ----------
    obj
        A dataset with dimensions ``time``, ``coarse`` and ``fine``, or a DataTree. The methods check it.

    Examples
    --------
    >>> import xmsgl
    >>> ds = xmsgl.datasets.simulated(n_coarse=5, years=2)
    >>> print(ds.msgl.graph("coarse").n)
    5
    """

    def __init__(self, obj: xr.Dataset | xr.DataTree) -> None:
        self._obj = obj

    def validate(self, *, values: bool = True, labels: bool = True) -> ValidationReport:
        """Check the dataset against the convention; ``InvalidDatasetError`` lists all faults.

        Parameters
        ----------
        values
            Also check the values (missing, out of range); False computes nothing of a lazy dataset.
        labels
            Require observed temperatures; False for a dataset that is used only for prediction.
        """
        from xmsgl import schema

        return schema.validate(self._obj, values=values, labels=labels)

    def graph(
        self,
        scale: Literal["coarse", "fine"] | None = None,
        *,
        kernel: Any = None,
        hops: int | None = None,
        limit: float | None = None,
        nearest: int | None = None,
        direction: Literal["both", "upstream", "downstream"] = "both",
    ) -> RiverGraph | RiverGraphs:
        """Build the river graph of one scale, or of both with the operators between; see its ``describe()``.

        Parameters
        ----------
        scale
            ``"coarse"``, ``"fine"``, or None for both.
        kernel
            Weight by distance: a name, a kernel, or its dictionary. Default: ``"exponential"`` over 10 km.
        hops, limit, nearest
            Limits of the neighbourhood: number of links, distance in metres, number of nearest neighbours.
        direction
            Whether neighbours lie ``"upstream"``, ``"downstream"`` or on ``"both"`` sides.
        """
        from xmsgl.schema.graphs import build_graph

        return build_graph(
            self._obj, scale, kernel=kernel, hops=hops, limit=limit, nearest=nearest, direction=direction
        )

    def train(
        self,
        method: str | None = None,
        *,
        recipe: str | None = None,
        epochs: int | None = None,
        validation: Validation = "default",
        seed: int = 0,
        start: Model | str | os.PathLike[str] | None = None,
        device: str = "auto",
        progress: Progress | None = None,
        observers: Sequence[Observer] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        resume: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> Model:
        """Train a model on the observations in the dataset; first set held-out observations to NaN.

        Parameters
        ----------
        method
            ``"msgl"``, ``"async-msgl"``, ``"dynamic-msgl"``, ``"fine-only"``, ``"remap"``, ``"progressive"``,
            ``"direct"``, ``"trees"`` or ``"stack"``, by default of ``"msgl"`` and ``"trees"``.
        recipe
            A set of settings: ``"gauged"``, ``"ungauged"``, ``"sensors"``, ``"quick"``, ``"published"``.
        epochs
            Most passes of a network over the training windows; by default 30, or more for 1000 steps.
        validation
            Fraction of windows (default: 0.15), ``"2011-10-01/2012-09-30"``, ``"segments"``, or None.
        seed, start, device, progress, observers
            Seed of all draws, model to start from, device, progress to show, functions to call each epoch.
        checkpoint, resume
            A file rewritten after every epoch; a checkpoint to continue from with the same settings.
        **settings
            Other settings of :class:`xmsgl.training.settings.TrainSettings`: ``hidden=32``, ``hops=10``, ...
        """
        from xmsgl.training.train import train

        return train(
            self._obj,
            method,
            recipe=recipe,
            epochs=epochs,
            validation=validation,
            seed=seed,
            start=start,
            device=device,
            progress=progress,
            observers=observers,
            checkpoint=checkpoint,
            resume=resume,
            **settings,
        )

    def downscale(
        self,
        model: Model | str | os.PathLike[str] | None = None,
        *,
        warmup: int | None = None,
        carry: bool = False,
        start: xr.Dataset | None = None,
        return_state: bool = False,
        device: str = "auto",
        quantiles: Sequence[float] | None = None,
    ) -> xr.DataArray | tuple[xr.DataArray, xr.Dataset]:
        """Predict the daily temperature of every fine reach, degC, (time, fine); lazy if the drivers are.

        Parameters
        ----------
        model
            A trained model, the name of a packaged one (see ``xmsgl models``), or the path of a file.
            Default: the packaged ``"delaware-gauged"`` in that basin, ``"delaware-ungauged"`` elsewhere.
        warmup, device
            Days before each window (default: as in training); ``"auto"``, ``"cpu"`` or ``"cuda"``.
        carry, start, return_state
            Carry the state from window to window, without warm-up: faster, but days are computed in order;
            continue from the state of the day before; return the state of the last day, too, as a dataset.
        quantiles
            Probabilities such as ``[0.05, 0.5, 0.95]``: return these quantiles, (quantile, time, fine).
        """
        from xmsgl.prediction.downscale import predict

        given: Any = {"warmup": warmup, "carry": carry, "start": start, "device": device}
        return predict(self._obj, model, return_state=return_state, quantiles=quantiles, **given)

    def reconstruct(
        self,
        model: Model | str | os.PathLike[str] | None = None,
        *,
        observed: xr.DataArray | xr.Dataset | None = None,
        mode: Literal["smooth", "filter", "forecast"] = "smooth",
        lead: int | None = None,
        start: xr.Dataset | None = None,
        quantiles: Sequence[float] | None = None,
        **options: Any,
    ) -> xr.DataArray:
        """Predict every reach given the sensors that report, degC, (time, fine); lazy if the drivers are.

        Parameters
        ----------
        model
            A model trained with ``recipe="sensors"`` or ``validation="folds"``, or the path of its file.
            Default: the packaged ``"delaware-sensors"``, in that basin only.
        observed
            Observations, degC. Default: those in the dataset, at both scales.
        mode
            Given the days before and after, ``"smooth"``, or before, ``"filter"``; or a ``"forecast"``.
        lead, start, quantiles, **options
            Days to forecast (default: all); a `state`; these, ``warmup`` and ``device`` as in `downscale`.
        """
        from xmsgl.reconstruct import reconstruct

        given = {"mode": mode, "lead": lead, "start": start, "quantiles": quantiles, **options}
        return reconstruct(self._obj, model, observed=observed, **given)

    def state(self, model: Any = None, *, day: Any = None, **options: Any) -> xr.Dataset:
        """Return a `model`'s errors up to a `day`; `options` as :func:`xmsgl.reconstruct.door.state`."""
        from xmsgl.reconstruct import state

        return state(self._obj, model, day=day, **options)

    def embed(self, model: Any = None, **options: Any) -> xr.DataArray:
        """Return hidden states, (time, fine, latent); `options` as :func:`xmsgl.prediction.embed.embed`."""
        from xmsgl.prediction.embed import embed

        return embed(self._obj, model, **options)

    def evaluate(
        self,
        prediction: xr.DataArray | xr.Dataset,
        *,
        observed: xr.DataArray | xr.Dataset | None = None,
        by: By = None,
        confidence: float | None = None,
        **options: Any,
    ) -> xr.Dataset:
        """Score a prediction on the observed reach-days: one variable for each metric, and the number n.

        Parameters
        ----------
        prediction
            Temperature (time, fine) or (time, coarse), degC; may also have ``quantile``, ``member``, ...
        observed
            Observations, degC; default: ``water_temperature_fine`` or ``..._coarse``, as the prediction.
        by
            ``"month"``, ``"season"``, ``"year"``, ``"water_year"``, ``"reach"``, ``"segment"``,
            ``"stream_order"``, an array of labels, a list of these, or a mapping to Groupers of xarray.
        confidence, **options
            Add intervals of this confidence, such as 0.9; ``seed`` and ``tails`` of `xmsgl.evaluate.score`.
        """
        from xmsgl.evaluate import score

        return score(prediction, observed, by=by, dataset=self._obj, confidence=confidence, **options)

    def compare(self, predictions: Mapping[str, xr.DataArray | xr.Dataset], **options: Any) -> xr.Dataset:
        """Compare the RMSE of predictions; `options` are those of :func:`xmsgl.evaluate.compare`."""
        from xmsgl.evaluate import compare

        return compare(predictions, dataset=self._obj, **options)

    def export(self, prediction: Any = None, *, convention: str = "cf") -> xr.Dataset:
        """Convert a prediction, the network and its attributes to a form that other tools read.

        Parameters
        ----------
        prediction
            DataArray or Dataset over ``fine`` or ``coarse``. Default: the daily variables of the fine scale.
        convention
            ``"cf"``: CF-1.11 time series with lines; ``"ugrid"``: a network; ``"xvec"``: a cube with lines.
        """
        from xmsgl.export import export

        return export(self._obj, prediction, convention=convention)

    def explore(self, path: str | os.PathLike[str], *, prediction: Any, **options: Any) -> Path | str:
        """Write a page for a browser with the `options` of :func:`xmsgl.plot.explore`; return its path."""
        from xmsgl.plot import explore

        return explore(prediction, self._obj, path, **options)

    @property
    def plot(self) -> Plots:
        """Plots on matplotlib axes: ``network``, ``series``, ``skill`` and ``graph``."""
        from xmsgl.plot.door import Plots

        return Plots(self._obj)

    def to_datatree(self) -> xr.DataTree:
        """Return the dataset as a DataTree with ``/coarse`` and ``/fine``."""
        from xmsgl import schema

        return schema.to_datatree(schema.as_dataset(self._obj))
