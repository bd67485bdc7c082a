"""``ds.msgl``: the door to the package. Every method delegates; nothing is kept but the object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

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
        A dataset of the convention (dimensions ``time``, ``coarse``, ``fine``), or a DataTree with
        ``/coarse`` and ``/fine``. Nothing is checked before a method needs it.

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
        """Check the dataset against the convention and list every fault at once.

        Parameters
        ----------
        values
            Also look at the values (NaN, ranges); False computes nothing of a lazy dataset.
        labels
            Ask for observed temperatures; False for a dataset that is only predicted on.

        Returns
        -------
        ValidationReport

        Raises
        ------
        InvalidDatasetError
            Listing all faults.
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
        """Build the river graph of one scale, or of both with the operators between them.

        Parameters
        ----------
        scale
            ``"coarse"``, ``"fine"``, or None for both.
        kernel
            How weight falls with distance along the river: a name, a kernel, or its dictionary. Default:
            ``"exponential"`` over 10 km.
        hops, limit, nearest
            Neighbours within so many hops, so many metres, or the so many nearest.
        direction
            ``"both"``, or only neighbours ``"upstream"`` or ``"downstream"`` of a reach.

        Returns
        -------
        RiverGraph or RiverGraphs
            Both have ``describe()`` and ``to_pyg()``.
        """
        from xmsgl.schema.graphs import build_graph

        return build_graph(
            self._obj, scale, kernel=kernel, hops=hops, limit=limit, nearest=nearest, direction=direction
        )

    def train(
        self,
        method: str = "msgl",
        *,
        recipe: str | None = None,
        epochs: int | None = None,
        validation: Validation = 0.15,
        seed: int = 0,
        start: Model | str | os.PathLike[str] | None = None,
        device: str = "auto",
        progress: Progress | None = None,
        observers: Sequence[Observer] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        resume: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> Model:
        """Train a model on the observations in the dataset; set those to be held out to NaN.

        Parameters
        ----------
        method
            ``"msgl"``, ``"async-msgl"``, ``"fine-only"``, ``"remap"``, ``"progressive"`` or ``"direct"``.
        recipe
            Settings by name, such as ``"published"``. Default: the package's own.
        epochs
            Passes over the training windows, at most; 60 unless the recipe says otherwise.
        validation
            Share of windows, date ranges (``"2011-10-01/2012-09-30"``) or None: days kept to choose the best
            epoch and to calibrate intervals.
        seed
            Draws initial weights, validation windows and the order of windows.
        start, device, progress, observers
            A model to begin with, where to compute, what to draw, whom to call after each epoch.
        checkpoint, resume
            File rewritten after every epoch; one to continue from, with the same settings.
        **settings
            Any other of :class:`xmsgl.training.settings.TrainSettings`: ``hidden=32``, ``hops=10``, ...
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
        device: str = "auto",
        quantiles: Sequence[float] | None = None,
    ) -> xr.DataArray:
        """Return the daily temperature of every fine reach, degC, (time, fine); lazy if the drivers are.

        Parameters
        ----------
        model
            A trained model, the name of a packaged one (``xmsgl models`` lists them), or the path of a
            file. Default: the packaged ``"delaware-async-msgl"``.
        warmup
            Days run before each window; default: as in training.
        carry
            Go on from window to window instead: faster and with a longer memory, but days must be computed
            in order.
        device
            ``"auto"``, ``"cpu"`` or ``"cuda"``.
        quantiles
            Probabilities, such as ``[0.05, 0.5, 0.95]``: return these quantiles of the temperature instead,
            (quantile, time, fine), from the residuals on the validation days of training.
        """
        from xmsgl.prediction.downscale import downscale

        return downscale(self._obj, model, warmup=warmup, carry=carry, device=device, quantiles=quantiles)

    def evaluate(
        self,
        prediction: xr.DataArray | xr.Dataset,
        *,
        observed: xr.DataArray | xr.Dataset | None = None,
        by: str | xr.DataArray | None = None,
    ) -> xr.Dataset:
        """Score a prediction on the observed reach-days: a variable a metric, with units, and n.

        Parameters
        ----------
        prediction
            Temperature (time, fine) or (time, coarse), degC; or quantiles of it along ``quantile``, the
            median among them, which is scored, and beside it the coverage of the intervals and more.
        observed
            Observations, degC; default: ``water_temperature_fine``, of a coarse prediction ``..._coarse``.
        by
            Group by ``"month"``, ``"season"``, ``"year"``, ``"water_year"``, ``"reach"``,
            ``"segment"``, ``"stream_order"`` or by a labelled array of groups.
        """
        from xmsgl import schema
        from xmsgl.evaluate import score
        from xmsgl.evaluate.pairs import observations

        ds = schema.as_dataset(self._obj)
        return score(prediction, observations(ds, prediction, observed), by=by, dataset=ds)

    def export(self, prediction: Any = None, *, convention: str = "cf") -> xr.Dataset:
        """Give a prediction, the network and its attributes the form that other tools read.

        Parameters
        ----------
        prediction
            DataArray or Dataset over ``fine`` or ``coarse``. Default: the daily variables of the fine scale.
        convention
            ``"cf"``: CF-1.11 time series with lines, for ``.to_netcdf()``; ``"ugrid"``: a network, values on
            its edges; ``"xvec"``: a cube with lines, for ``.xvec.to_geodataframe()``.
        """
        from xmsgl.export import export

        return export(self._obj, prediction, convention=convention)

    def explore(self, path: str | os.PathLike[str], *, prediction: Any, **options: Any) -> Path:
        """Write a page for a browser, with `options` of :func:`xmsgl.plot.explore`, and give its path."""
        from xmsgl.plot import explore

        return explore(prediction, self._obj, path, **options)

    @property
    def plot(self) -> Plots:
        """Pictures on matplotlib axes, by ``network``, ``series``, ``skill`` and ``graph``."""
        from xmsgl.plot.door import Plots

        return Plots(self._obj)

    def to_datatree(self) -> xr.DataTree:
        """Return the dataset as a DataTree with ``/coarse`` and ``/fine``."""
        from xmsgl import schema

        return schema.to_datatree(schema.as_dataset(self._obj))
