"""A trained model: weights and everything needed to use them on another dataset."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from xmsgl.errors import CheckpointError, InvalidArgumentError, XMSGLError, shorten
from xmsgl.models.file import storage
from xmsgl.models.file.check import check_spec, check_weights, unloaded
from xmsgl.models.file.packaged import DEFAULT, packaged_bytes, packaged_names
from xmsgl.models.file.remote import fetch_model
from xmsgl.models.file.spec import ModelSpec
from xmsgl.models.methods.registry import create_model
from xmsgl.util.address import is_url
from xmsgl.util.arguments import checked
from xmsgl.util.html import as_xarray_shows, card, facts, folded, table
from xmsgl.util.remote import write_file

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from xmsgl.models.methods.base import NetworkModel

_FORMAT = 2


class Model:
    """A trained model, as :func:`xmsgl.load_model` and ``ds.msgl.train`` return it.

    Parameters
    ----------
    spec
        Specification: method, features, scaling, graph and provenance.
    weights
        Parameters by name. In an ensemble each name begins with ``member0/``, ``member1/``, ...; in a stack
        with ``part0/``, ``part1/``, ...
    history
        Losses, task weights and validation score of each epoch, one list per quantity. An ensemble has the
        epochs of one member after the other, numbered by the column ``member``; a stack those of one part
        after the other, numbered by the column ``part``, too.

    Examples
    --------
    >>> model = ds.msgl.train("msgl", epochs=20)  # doctest: +SKIP
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
        """The bytes of the model's file."""
        header = {"format": _FORMAT, "spec": self.spec.to_dict(), "history": self.history}
        return storage.to_bytes(self.weights, header)

    @property
    def sha256(self) -> str:
        """The sha256 of weights, specification and history."""
        return storage.digest(self.payload)

    @property
    def members(self) -> int:
        """Number of modules whose mean is the prediction; 1 unless the model is an ensemble."""
        return self.spec.members

    def module(self) -> NetworkModel:
        """Return a new torch module with the model's weights, in evaluation mode.

        Raises
        ------
        InvalidArgumentError
            The model is an ensemble, see :meth:`modules` and :meth:`member`, or a stack, see :attr:`parts`.
        """
        if self.spec.parts:
            msg = f"the model is a stack of {len(self.parts)} models; take one of them, parts[k].module()"
            raise InvalidArgumentError(msg)
        if self.members > 1:
            msg = (
                f"the model has {self.members} members; use modules() for all, or member(k).module() for one"
            )
            raise InvalidArgumentError(msg)
        size = len(self.spec.features)
        # The seed protects the caller's random numbers; the weights drawn with it are replaced.
        module = create_model(self.spec.method, n_features=size, seed=0, **self.spec.architecture)
        module.load_state_dict(self.weights)
        return module.eval()

    def modules(self) -> list[NetworkModel]:
        """Return the modules of all members."""
        return [self.member(k).module() for k in range(self.members)]

    @checked
    def member(self, k: int) -> Model:
        """Return one member of an ensemble as a separate model.

        Parameters
        ----------
        k
            Number of the member, from 0.

        Returns
        -------
        Model
            The member's weights, history and seed, without the intervals, which belong to the ensemble.

        Raises
        ------
        InvalidArgumentError
            There is no such member.
        """
        if not 0 <= k < self.members:
            msg = f"there is no member {k}; the model has {self.members}, numbered from 0"
            raise InvalidArgumentError(msg)
        if self.members == 1:
            return self
        prefix = f"member{k}/"
        training = {**self.spec.training}
        training.pop("settings", None)  # they made all members together
        if seeds := training.pop("seeds", None):
            training["seed"] = seeds[k]
        spec = replace(self.spec, members=1, intervals=None, training=training)
        weights = {
            name.removeprefix(prefix): w for name, w in self.weights.items() if name.startswith(prefix)
        }
        rows = [row for row, whose in enumerate(self.history.get("member", [])) if whose == k]
        history = {
            name: [values[row] for row in rows] for name, values in self.history.items() if name != "member"
        }
        return Model(spec, weights, history)

    @cached_property
    def parts(self) -> tuple[Model, ...]:
        """The models of a stack; of another model, the model itself."""
        if not self.spec.parts:
            return (self,)
        whose = self.history.get("part", [])
        found = []
        for k, spec in enumerate(self.spec.parts):
            prefix, rows = f"part{k}/", [row for row, part in enumerate(whose) if part == k]
            weights = {
                name.removeprefix(prefix): w for name, w in self.weights.items() if name.startswith(prefix)
            }
            columns = {name: [values[row] for row in rows] for name, values in self.history.items()}
            own = {
                name: values
                for name, values in columns.items()
                if name != "part" and not all(value != value for value in values)
            }
            found.append(Model(spec, weights, own))
        return tuple(found)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each of the :attr:`parts` in the prediction; their sum is 1."""
        return self.spec.shares or (1.0,)

    @property
    def folds(self) -> int:
        """Number of trainings that each left out a part of the segments; 0 if it was a single training."""
        held = {part.held for part in self.spec.parts}
        return len(held) if len(held) > 1 and all(held) else 0

    @classmethod
    @checked
    def join(cls, models: Sequence[Model]) -> Model:
        """Combine models that differ only in their seed into an ensemble, which predicts their mean.

        Parameters
        ----------
        models
            Two models or more, trained with the same settings on the same data. None is an ensemble.

        Returns
        -------
        Model
            Without intervals, because the residuals of the mean are unknown.

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
            msg = "an ensemble needs two models or more that differ only in their weights, and no ensembles"
            raise InvalidArgumentError(msg)
        training = dict(models[0].spec.training)
        if any(model.spec.training.get("settings") != training.get("settings") for model in models):
            training.pop("settings", None)  # no single training made them all
        seeds = [model.spec.training.get("seed") for model in models]
        return cls(
            replace(plain[0], members=len(models), training={**training, "seeds": seeds}),
            {f"member{k}/{name}": w for k, model in enumerate(models) for name, w in model.weights.items()},
            join_histories(models, "member"),
        )

    @checked
    def save(self, path: str | os.PathLike[str]) -> Path | str:
        """Write the model to one safetensors file, whole or not at all.

        Parameters
        ----------
        path
            Target, conventionally ending in ``.safetensors``, in an existing folder; or a URL of fsspec, such
            as ``"s3://bucket/river.safetensors"``.

        Returns
        -------
        pathlib.Path or str
            The file written, or its URL.

        Raises
        ------
        OutputError
            The folder does not exist or is not writable, the target is a folder, or the URL cannot be
            written.
        """
        return write_file(path, self.payload)

    @classmethod
    @checked
    def from_bytes(cls, payload: bytes, origin: str = "the payload") -> Model:
        """Make a model from the bytes of its file.

        Parameters
        ----------
        payload
            Bytes of :attr:`payload` or of a file.
        origin
            Source of the bytes, for error messages.

        Raises
        ------
        CheckpointError
            The bytes are not a model of this version of xmsgl.
        """
        weights, header = storage.from_bytes(payload, origin)
        if "spec" not in header:
            cure = "resume it with ds.msgl.train(resume=...) and the original settings"
            msg = f"{origin} is a training checkpoint, not a model: {cure}"
            raise CheckpointError(msg)
        if (found := header.get("format")) != _FORMAT:
            older = isinstance(found, int) and found < _FORMAT
            cure = "train the model again" if older else "upgrade xmsgl"
            msg = f"{origin} has file format {found}, this xmsgl reads {_FORMAT}; {cure}"
            raise CheckpointError(msg)
        try:
            if foreign := sorted(header.keys() - {"format", "spec", "history"}):
                msg = f"its header has unknown entries: {shorten(foreign)}"
                raise InvalidArgumentError(msg)
            spec = ModelSpec.from_dict(header["spec"])
            check_spec(spec)
            model = cls(spec, weights, storage.restore_history(header.get("history")))
            model._check_weights()
        except XMSGLError as error:
            msg = f"{origin} is not a valid model: {error}; copy the file again, or train a new model"
            raise CheckpointError(msg) from error
        return model

    def _check_weights(self) -> None:
        """Refuse weights that do not fit the modules of all parts and members."""
        own: dict[str, Tensor] = {}
        unsized: set[str] = set()
        for k, part in enumerate(self.parts):
            module, count = unloaded(part.spec), part.members
            if not 1 <= count <= max(1, len(part.weights)):
                msg = f"the weights cannot be those of {count} members"
                raise InvalidArgumentError(msg)
            for m in range(count):
                prefix = f"part{k}/" * bool(self.spec.parts) + f"member{m}/" * (count > 1)
                own |= {prefix + name: value for name, value in module.state_dict().items()}
                unsized |= {prefix + name for name in module.unsized}
        check_weights(own, self.weights, unsized)
        for part in self.parts:
            part.modules()  # which compare the trees

    def facts(self) -> dict[str, str]:
        """Describe the model by name and text, as in its representation."""
        training = self.spec.training
        table, near = self.spec.intervals, self.spec.neighbours
        neighbours = {"neighbours": f"{len(near.segments)} observed segments"} if near else {}
        ensemble = {"members": f"{self.members}, whose mean is the prediction"} if self.members > 1 else {}
        folds = self.folds
        one = self.spec.parts[: len(self.spec.parts) // max(1, folds)]  # those of a fold
        shares = [f"{self.shares[k] * max(1, folds):.2f} {part.method}" for k, part in enumerate(one)]
        mean = (
            f"weighted mean of {', '.join(shares)}" if len(one) > 1 else "".join(part.method for part in one)
        )
        ensemble |= {"parts": mean} if mean else {}
        ensemble |= {"folds": f"{folds}, each trained without a part of the segments"} if folds else {}
        return {
            "method": self.spec.method,
            **ensemble,
            "parameters": f"{sum(tensor.numel() for tensor in self.weights.values()):,}",
            "features": ", ".join(f"{feature.label} [{feature.units}]" for feature in self.spec.features),
            **neighbours,
            "window": f"{self.spec.window} days after {self.spec.warmup} of warm-up",
            "trained on": f"{training.get('start', '?')} to {training.get('stop', '?')}",
            "labels": self._labels(),
            "epochs": f"{len(self.history.get('epoch', []))}{f' in {folds} folds' if folds else ''}",
            "intervals": f"from {table.n:,} {table.scale} residuals" if table else "none",
            "sha256": self.sha256[:12],
        }

    def _labels(self) -> str:
        """Write the numbers of labels, from the fewest to the most in a fold."""
        counts: dict[str, list[int]] = {}
        for spec in self.spec.parts if self.folds else (self.spec,):
            for name, count in spec.training.get("labels", {}).items():
                counts.setdefault(name.replace("_", " "), []).append(count)
        ranges = {name: dict.fromkeys((min(found), max(found))) for name, found in counts.items()}
        return ", ".join(f"{name} {' to '.join(f'{n:,}' for n in ends)}" for name, ends in ranges.items())

    def __repr__(self) -> str:
        width = max(map(len, self.facts()))
        lines = (f"  {name:<{width}}  {value}" for name, value in self.facts().items())
        return "\n".join(["<xmsgl.Model>", *lines])

    @as_xarray_shows
    def _repr_html_(self) -> str:
        shown = {**self.facts(), "features": f"{len(self.spec.features)}"}
        rows = [
            [feature.label, "driver" if feature.dynamic else "static", feature.units, feature.transform]
            for feature in self.spec.features
        ]
        features = table(["feature", "role", "units", "transform"], rows, words=4)
        return card("xmsgl.Model", facts(shown.items()), folded("features", features), about=self.method)


def join_histories(models: Sequence[Model], column: str) -> dict[str, list[float]]:
    """Join the histories of models, numbered by a column."""
    names = dict.fromkeys(name for model in models for name in model.history)
    history: dict[str, list[float]] = {name: [] for name in (column, *names)}
    for k, model in enumerate(models):
        length = len(next(iter(model.history.values()), []))
        history[column] += [float(k)] * length
        for name in names:
            history[name] += model.history.get(name, [float("nan")] * length)
    return history


@checked
def load_model(model: str | os.PathLike[str] | None = None, *, sha256: str | None = None) -> Model:
    """Read a packaged model or the file of a model.

    Parameters
    ----------
    model
        The name of a packaged model (``xmsgl models`` lists them), or else the path of a file; write
        ``"./name"`` for a file named like a packaged model. Default: ``"delaware-gauged"``. A URL of http,
        https or a scheme of fsspec (``"s3://..."``) is fetched once into the cache and needs `sha256`, which
        may stand at its end: ``"s3://bucket/river.safetensors#sha256=..."``.
    sha256
        Digest that the file must have, as :attr:`Model.sha256` and ``sha256sum`` have it. Default: any, for
        files on this machine.

    Returns
    -------
    Model

    Raises
    ------
    CheckpointError
        There is no such model, or the file is not a model, is damaged, or has another format or digest.
    DataUnavailableError
        The URL cannot be read.
    InvalidArgumentError
        A URL without `sha256`.

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
    if is_url(model):
        model = fetch_model(str(model), sha256)
    origin = str(model)
    if isinstance(model, str) and model in names:
        payload, origin = packaged_bytes(model), f"the packaged model {model!r}"
    else:
        try:
            payload = storage.read(model)
        except CheckpointError as error:
            msg = f"{error}, and there is no packaged model of that name; packaged: {listed}"
            raise CheckpointError(msg) from error
    if sha256 is not None and (found := storage.digest(payload)) != sha256.lower():
        msg = f"{origin} has the sha256 {found[:12]}..., not {sha256[:12]}...; copy the file again"
        raise CheckpointError(msg)
    return Model.from_bytes(payload, origin)
