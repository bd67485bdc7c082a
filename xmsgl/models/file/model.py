"""A trained model: weights and everything needed to use them on another dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.inputs.features import Feature, Scaling
from xmsgl.inputs.neighbours import Neighbours
from xmsgl.models.file import storage
from xmsgl.models.file.intervals import IntervalTable
from xmsgl.models.file.packaged import DEFAULT, packaged_bytes, packaged_names
from xmsgl.models.methods.registry import create_model
from xmsgl.network.known import KnownSegments
from xmsgl.util.html import as_xarray_shows, card, facts, folded, table
from xmsgl.util.writing import write_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from xmsgl.models.methods.base import NetworkModel
    from xmsgl.util.scales import Scale

_FORMAT = 2


@dataclass(frozen=True)
class ModelSpec:
    """What a model is, apart from its weights; survives as JSON in the file's metadata.

    Attributes
    ----------
    method
        Name in the registry of methods, for example ``"msgl"``.
    architecture
        Arguments of the module besides the number of features.
    features
        Inputs, in order, with units and transforms.
    scaling
        Mean and deviation by scale.
    graph
        Arguments of :func:`xmsgl.schema.graphs.build_graph`.
    segments
        Ids of the segments it has learned identities of, in the order of its table.
    window, warmup
        Scored and warm-up days of a window.
    network
        The segments of its training, by which another dataset's are recognised.
    first_day
        Date from which windows are counted, so that a record cut anywhere keeps those of training.
    spin_up
        Change of the temperature (degC, root mean square) on some days after a record was cut, counted from
        1; empty: not measured.
    training
        Provenance: period, seed, number of labels, versions, the dataset's fingerprint.
    members
        Modules whose mean is the prediction; above 1 it is an ensemble.
    intervals
        How far the prediction was off on the validation days; None: that is not known.
    neighbours
        Anomalies of the observed segments, which its features of neighbours are made of; None: it has none.
    """

    method: str
    architecture: dict[str, Any]
    features: tuple[Feature, ...]
    scaling: dict[Scale, Scaling]
    graph: dict[str, Any]
    segments: tuple[Any, ...]
    window: int
    warmup: int
    training: dict[str, Any] = field(default_factory=dict)
    members: int = 1
    intervals: IntervalTable | None = None
    neighbours: Neighbours | None = None
    network: KnownSegments = field(default_factory=lambda: KnownSegments((), (), ()))
    first_day: str = "1970-01-01"
    spin_up: tuple[tuple[int, float], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as plain values, ready for JSON; without what only some models have."""
        values = asdict(self)
        if self.members == 1:
            del values["members"]
        for name in ("intervals", "neighbours"):
            if values[name] is None:
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSpec:
        """Make a specification from what :meth:`to_dict` returned."""
        return cls(
            **{
                **values,
                "features": tuple(Feature.from_dict(item) for item in values["features"]),
                "segments": tuple(values["segments"]),
                "scaling": {scale: Scaling.from_dict(item) for scale, item in values["scaling"].items()},
                "intervals": IntervalTable.from_dict(table) if (table := values.get("intervals")) else None,
                "neighbours": Neighbours.from_dict(near) if (near := values.get("neighbours")) else None,
                "network": KnownSegments.from_dict(values["network"]),
                "spin_up": tuple((int(day), float(rms)) for day, rms in values["spin_up"]),
            }
        )


class Model:
    """A trained model, as :func:`xmsgl.load_model` and ``ds.msgl.train`` return it.

    Parameters
    ----------
    spec
        What the model is.
    weights
        Its parameters by name; of an ensemble each name begins with ``member0/``, ``member1/``, ...
    history
        Losses, task weights and validation score of each epoch: a list a quantity, ready for
        ``pandas.DataFrame``. Of an ensemble the epochs of all members, one member after the other; the
        column ``member`` says whose an epoch is.

    Examples
    --------
    >>> model = ds.msgl.train(epochs=20)  # doctest: +SKIP
    >>> model.save("river.safetensors")  # doctest: +SKIP
    >>> xmsgl.load_model("river.safetensors").sha256 == model.sha256  # doctest: +SKIP
    True
    """

    def __init__(
        self, spec: ModelSpec, weights: Mapping[str, Tensor], history: Mapping[str, list[float]] | None = None
    ) -> None:
        self.spec = spec
        self.weights = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
        self.history = {name: list(values) for name, values in (history or {}).items()}

    @property
    def method(self) -> str:
        """Name of the method, for example ``"msgl"``."""
        return self.spec.method

    @cached_property
    def payload(self) -> bytes:
        """The file of the model, as bytes."""
        header = {"format": _FORMAT, "spec": self.spec.to_dict(), "history": self.history}
        return storage.to_bytes(self.weights, header)

    @property
    def sha256(self) -> str:
        """The sha256 of the whole model, that is of weights, specification and history."""
        return storage.digest(self.payload)

    @property
    def members(self) -> int:
        """Number of modules whose mean is the prediction, 1 unless it is an ensemble."""
        return self.spec.members

    def module(self) -> NetworkModel:
        """Return a fresh torch module with the weights in it, in evaluation mode.

        Raises
        ------
        InvalidArgumentError
            The model is an ensemble, which has several: see :meth:`modules` and :meth:`member`.
        """
        if self.members > 1:
            msg = (
                f"the model has {self.members} members; take modules() for all, or member(k).module() for one"
            )
            raise InvalidArgumentError(msg)
        size = len(self.spec.features)
        # A seed, though nothing of it stays: torch's own generator is the caller's.
        module = create_model(self.spec.method, n_features=size, seed=0, **self.spec.architecture)
        module.load_state_dict(self.weights)
        return module.eval()

    def modules(self) -> list[NetworkModel]:
        """Return the modules of all members; of a model that is no ensemble its one module."""
        return [self.member(k).module() for k in range(self.members)]

    def member(self, k: int) -> Model:
        """Return one member of an ensemble as a model of its own.

        Parameters
        ----------
        k
            Its number, counted from 0.

        Returns
        -------
        Model
            With the member's weights, history and seed. Without intervals: those are the ensemble's.

        Raises
        ------
        InvalidArgumentError
            There is no such member.
        """
        if not 0 <= k < self.members:
            msg = f"there is no member {k}; the model has {self.members}, counted from 0"
            raise InvalidArgumentError(msg)
        if self.members == 1:
            return self
        prefix = _prefix(k)
        training = {**self.spec.training}
        training.pop("settings", None)  # which made all members, and make none alone
        if seeds := training.pop("seeds", None):
            training["seed"] = seeds[k]
        spec = replace(self.spec, members=1, intervals=None, training=training)
        weights = {
            name.removeprefix(prefix): tensor
            for name, tensor in self.weights.items()
            if name.startswith(prefix)
        }
        rows = [row for row, whose in enumerate(self.history.get("member", [])) if whose == k]
        history = {
            name: [values[row] for row in rows] for name, values in self.history.items() if name != "member"
        }
        return Model(spec, weights, history)

    @classmethod
    def join(cls, models: Sequence[Model]) -> Model:
        """Make one model of several that differ in their seed only: its prediction is their mean.

        Parameters
        ----------
        models
            Two models or more, trained with the same settings on the same data; none an ensemble itself.

        Returns
        -------
        Model
            Without intervals: how far the mean is off, nobody has looked.

        Raises
        ------
        InvalidArgumentError
            The models differ in more than their weights, or are fewer than two.

        References
        ----------
        Lakshminarayanan, Pritzel & Blundell (2017), arXiv:1612.01474 (deep ensembles).
        """
        plain = [replace(model.spec, training={}, intervals=None) for model in models]
        if len(models) < 2 or plain[0].members > 1 or any(spec != plain[0] for spec in plain):
            msg = "an ensemble takes two models or more that differ in their weights only, and no ensembles"
            raise InvalidArgumentError(msg)
        training = dict(models[0].spec.training)
        if any(model.spec.training.get("settings") != training.get("settings") for model in models):
            training.pop("settings", None)  # no one training makes them all
        seeds = [model.spec.training.get("seed") for model in models]
        names = dict.fromkeys(name for model in models for name in model.history)
        history: dict[str, list[float]] = {name: [] for name in ("member", *names)}
        for k, model in enumerate(models):
            length = len(next(iter(model.history.values()), []))
            history["member"] += [float(k)] * length
            for name in names:
                history[name] += model.history.get(name, [float("nan")] * length)
        return cls(
            replace(plain[0], members=len(models), training={**training, "seeds": seeds}),
            {f"{_prefix(k)}{name}": w for k, model in enumerate(models) for name, w in model.weights.items()},
            history,
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model to one safetensors file, whole or not at all.

        Parameters
        ----------
        path
            Target, conventionally ending in ``.safetensors``; its folder must exist.

        Returns
        -------
        pathlib.Path
            The file written.

        Raises
        ------
        OutputError
            The folder does not exist or cannot be written to, or there is a folder of that name.
        """
        return write_bytes(path, self.payload)

    @classmethod
    def from_bytes(cls, payload: bytes, origin: str = "the payload") -> Model:
        """Make a model from the bytes of its file.

        Parameters
        ----------
        payload
            What :attr:`payload` holds.
        origin
            Where the bytes come from, for messages.

        Raises
        ------
        CheckpointError
            The bytes are not a model of xmsgl, or of a newer one.
        """
        weights, header = storage.from_bytes(payload, origin)
        if "spec" not in header:
            cure = "resume it with ds.msgl.train(resume=...) and the settings it was begun with"
            msg = f"{origin} is a training checkpoint, not a model: {cure}"
            raise CheckpointError(msg)
        if header.get("format") != _FORMAT:
            found = header.get("format")
            older = isinstance(found, int) and found < _FORMAT
            cure = "train the model again" if older else "upgrade xmsgl"
            msg = f"{origin} has file format {found}, this xmsgl reads {_FORMAT}; {cure}"
            raise CheckpointError(msg)
        return cls(ModelSpec.from_dict(header["spec"]), weights, storage.restore_history(header["history"]))

    def facts(self) -> dict[str, str]:
        """Tell what the model is, one line of text a fact, as its representation shows them."""
        training = self.spec.training
        labels = training.get("labels", {})
        table = self.spec.intervals
        near = self.spec.neighbours
        around = {"neighbours": f"{len(near.segments)} observed segments"} if near else {}
        many = {"members": f"{self.members}, whose mean is the prediction"} if self.members > 1 else {}
        return {
            "method": self.spec.method,
            **many,
            "parameters": f"{sum(tensor.numel() for tensor in self.weights.values()):,}",
            "features": ", ".join(f"{feature.label} [{feature.units}]" for feature in self.spec.features),
            **around,
            "window": f"{self.spec.window} days after {self.spec.warmup} of warm-up",
            "trained on": f"{training.get('start', '?')} to {training.get('stop', '?')}",
            "labels": ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in labels.items()),
            "epochs": str(len(self.history.get("epoch", []))),
            "intervals": f"from {table.n:,} {table.scale} residuals" if table else "none",
            "sha256": self.sha256[:12],
        }

    def __repr__(self) -> str:
        width = max(map(len, self.facts()))
        lines = (f"  {name:<{width}}  {value}" for name, value in self.facts().items())
        return "\n".join(["<xmsgl.Model>", *lines])

    @as_xarray_shows
    def _repr_html_(self) -> str:
        told = {**self.facts(), "features": f"{len(self.spec.features)}"}
        rows = [
            [feature.label, "driver" if feature.dynamic else "static", feature.units, feature.transform]
            for feature in self.spec.features
        ]
        features = table(["feature", "role", "units", "transform"], rows, words=4)
        return card("xmsgl.Model", facts(told.items()), folded("features", features), about=self.method)


def _prefix(k: int) -> str:
    """Return what the names of a member's weights begin with."""
    return f"member{k}/"


def load_model(model: str | os.PathLike[str] | None = None) -> Model:
    """Read a model: one that comes with the package, or a file.

    Parameters
    ----------
    model
        The name of a packaged model (text, for example ``"delaware-async-msgl"``; ``xmsgl models`` lists
        them), or the path of a file that :meth:`Model.save` wrote. A packaged name comes first: a file of
        that name is meant by ``"./name"`` or a :class:`pathlib.Path`. Default: the packaged
        ``"delaware-async-msgl"``.

    Returns
    -------
    Model

    Raises
    ------
    CheckpointError
        No such model; or the file is none, is damaged, or was written by a newer version.

    Examples
    --------
    >>> model = xmsgl.load_model("river.safetensors")  # doctest: +SKIP
    """
    names = packaged_names()
    listed = ", ".join(names) or "none"
    if model is None:
        if DEFAULT not in names:
            msg = (
                f"no model was given, and this installation comes without the default {DEFAULT!r} (packaged: "
                f"{listed}); give a model or the path of its file, or train one with ds.msgl.train"
            )
            raise CheckpointError(msg)
        model = DEFAULT
    if isinstance(model, str) and model in names:
        return Model.from_bytes(packaged_bytes(model), f"the packaged model {model!r}")
    try:
        payload = storage.read(model)
    except CheckpointError as error:
        msg = f"{error}, and no packaged model of that name; packaged: {listed}"
        raise CheckpointError(msg) from error
    return Model.from_bytes(payload, str(model))
