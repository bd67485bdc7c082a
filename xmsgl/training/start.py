"""Training that starts from the features, sizes and weights of another model, or from none."""

from __future__ import annotations

import logging
from os import PathLike
from typing import TYPE_CHECKING, Any

from xmsgl.errors import InvalidArgumentError
from xmsgl.inputs.checks import check_features
from xmsgl.inputs.choose import choose_features, network_features
from xmsgl.inputs.neighbours_fit import fit_neighbours, has_labels
from xmsgl.inputs.season import wants_season
from xmsgl.models.file.model import Model, load_model
from xmsgl.models.file.start import begin_with, freeze, shared_architecture
from xmsgl.models.methods.registry import MODELS, create_model
from xmsgl.schema.graphs import known_segments

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import torch
    import xarray as xr

    from xmsgl.inputs.features import Feature, Scaling
    from xmsgl.inputs.neighbours import Neighbours
    from xmsgl.models.methods.base import NetworkModel
    from xmsgl.network.known import KnownSegments
    from xmsgl.training.settings import TrainSettings
    from xmsgl.util.scales import Scale

__all__ = ["Start"]

logger = logging.getLogger(__name__)


class Start:
    """The model to start with, given as such, by name or by path; None for new weights."""

    def __init__(self, model: Model | str | os.PathLike[str] | None) -> None:
        self._model = load_model(model) if isinstance(model, str | PathLike) else model
        if self._model is not None and self._model.spec.parts:
            msg = "the model to start with is a stack; start with one of its parts, model.parts[k]"
            raise InvalidArgumentError(msg)
        if self._model is not None and self._model.members > 1:
            msg = (
                f"the model to start with has {self._model.members} members; start with one of them, "
                "model.member(k)"
            )
            raise InvalidArgumentError(msg)

    @property
    def method(self) -> str | None:
        """Method of the model; None if there is none."""
        return None if self._model is None else self._model.method

    @property
    def scaling(self) -> Mapping[Scale, Scaling] | None:
        """Scaling of the model; None if it is to be fitted."""
        return None if self._model is None else self._model.spec.scaling

    @property
    def provenance(self) -> dict[str, str]:
        """Provenance that a trained model keeps of this one."""
        return {} if self._model is None else {"begun_with": self._model.sha256}

    def names(self, given: Sequence[str], *, coarse: bool) -> tuple[str, ...]:
        """Return the features asked for; `coarse`: coarse observations are learned from."""
        return network_features(given, coarse=coarse) if self._model is None else tuple(given)

    def neighbours(self, ds: xr.Dataset, lengths: tuple[float, ...]) -> Neighbours | None:
        """Return the anomalies of observed segments, with the lengths of the model if there is one."""
        if self._model is None:
            return fit_neighbours(ds, lengths) if lengths else None
        known = self._model.spec.neighbours
        known = known and known.without(_unrecognised(self._model, ds))
        kept = () if known is None else known.lengths
        if lengths and lengths != kept:
            has = ", ".join(f"neighbour_anomalies:{length / 1000:g}km" for length in kept) or "none"
            msg = f"neighbour anomalies must be those of the model to start with ({has}); leave features out"
            raise InvalidArgumentError(msg)
        return fit_neighbours(ds, kept) if kept and has_labels(ds) else known

    def season(self, asked: bool) -> bool:
        """Say whether the time of year is an input, as in the model or as asked for."""
        if self._model is None:
            return asked
        known = wants_season(feature.name for feature in self._model.spec.features)
        if asked and not known:
            msg = "the model to start with does not have the time of year; leave features out"
            raise InvalidArgumentError(msg)
        return known

    def features(self, ds: xr.Dataset, names: Sequence[str]) -> tuple[Feature, ...]:
        """Return the features of the model, which the dataset must have, or those asked for."""
        if self._model is None:
            return choose_features(ds, names)
        features = self._model.spec.features
        own = [feature.label for feature in features]
        check_features(ds, features)
        if tuple(names) != ("default",) and [each.label for each in choose_features(ds, names)] != own:
            msg = f"features must be those of the model to start with ({', '.join(own)}); leave them out"
            raise InvalidArgumentError(msg)
        return features

    def network(self, ds: xr.Dataset) -> KnownSegments:
        """Return the segments that the model will recognise: those of the dataset and of the start."""
        own = known_segments(ds)
        return own if self._model is None else own.joined(self._model.spec.network)

    def segments(self, ds: xr.Dataset, identity: int) -> tuple[Any, ...]:
        """Return the segments whose identities are known or learned; None for unrecognised ones."""
        if self._model is not None:
            unknown = _unrecognised(self._model, ds)
            return tuple(None if segment in unknown else segment for segment in self._model.spec.segments)
        return known_segments(ds).ids if identity else ()

    def architecture(self, settings: TrainSettings, ds: xr.Dataset) -> dict[str, Any]:
        """Return the arguments of the network: those asked for and the sizes of the model."""
        identity, asked = settings.identity, dict(settings.architecture)
        if self._model is None:
            if settings.frozen:
                msg = (
                    "frozen parts keep the weights of a model to start with; give start=, or leave frozen out"
                )
                raise InvalidArgumentError(msg)
            sizes = {"identity": identity, "segments": ds.sizes["coarse"] if identity else 0}
            return {**asked, **shared_architecture(settings.method, sizes)}
        if MODELS[settings.method].uses is not None:
            msg = f"{settings.method!r} cannot start from another model; leave start out"
            raise InvalidArgumentError(msg)
        kept = shared_architecture(settings.method, self._model.spec.architecture)
        if identity and identity != kept.get("identity"):
            msg = (
                f"identity must be that of the model to start with ({kept.get('identity', 0)}); leave it out"
            )
            raise InvalidArgumentError(msg)
        return {**kept, **asked}

    def module(
        self,
        method: str,
        architecture: Mapping[str, Any],
        n_features: int,
        frozen: Sequence[str],
        device: torch.device,
        seed: int,
    ) -> NetworkModel:
        """Make a module; weights that the model does not have are drawn from the seed."""
        made = create_model(method, n_features=n_features, seed=seed, **architecture).to(device)
        if self._model is not None:
            fresh = begin_with(made, self._model.weights)
            freeze(made, frozen, fresh)
            logger.info(
                "%s starts from model %s; new weights: %s", method, self._model.sha256[:12], ", ".join(fresh)
            )
        return made


def _unrecognised(model: Model, ds: xr.Dataset) -> set[Any]:
    """Return the ids of the dataset's segments that a model does not recognise."""
    own = known_segments(ds)
    same = model.spec.network.recognise(own)
    return {segment for segment, known in zip(own.ids, same, strict=True) if not known}
