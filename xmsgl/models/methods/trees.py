"""Gradient boosting of regression trees, as a model like the networks.

The trees use the weather of the last days and months, the season, and the attributes of the place, but not
the river network: a graph model that is no better than the trees has learned nothing from the graph. They
are fitted by scikit-learn and kept as arrays, so that prediction does not need scikit-learn.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from xmsgl.errors import CheckpointError, InvalidArgumentError
from xmsgl.models.methods.base import Memory, NetworkModel, register_model
from xmsgl.util.scales import SCALES, Scale
from xmsgl.util.spec import is_number, is_positive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import numpy.typing as npt
    from torch import nn

    from xmsgl.models.parts.batch import Batch

__all__ = ["Trees"]

_LEAVES = 63  # half as many trees as with 31 leaves, with the same skill, predict in half the time
_MOST = {"iterations": 100_000, "min_samples_leaf": 10**9}

# In the order of the compiled loop. Nodes are numbered over all trees; the nodes of tree k begin at roots[k].
_ARRAYS = {
    "roots": torch.int64,
    "feature": torch.int32,  # -1 at a leaf
    "threshold": torch.float32,
    "left": torch.int32,
    "right": torch.int32,
    "missing_left": torch.bool,
    "value": torch.float32,  # of a leaf, multiplied by the learning rate
}


@register_model("trees")
class Trees(NetworkModel):
    """Boosted regression trees on the inputs of one scale, each day and place by itself.

    Gradient boosting [1]_ on binned inputs [2]_:
    scikit-learn's ``HistGradientBoostingRegressor`` with up to 63 leaves in a tree. The rate at which the
    trees are added is the setting ``learning_rate``, by default 0.1.

    Parameters
    ----------
    n_features
        Number of inputs.
    labels
        Scale of the observations that the trees are fitted to: ``"coarse"``, where each reach takes the
        prediction of its segment, or ``"fine"``.
    iterations
        Number of trees; validation may keep fewer.
    min_samples_leaf
        Smallest number of observations in a leaf.
    max_features
        Share of the inputs, drawn for each split, that the split may use.

    Raises
    ------
    InvalidArgumentError
        A value that is not possible.

    References
    ----------
    .. [1] Friedman (2001), doi:10.1214/aos/1013203451.
    .. [2] Ke et al. (2017), LightGBM, NeurIPS 30, on trees of binned features.

    Examples
    --------
    >>> Trees(7, labels="fine").tasks
    ('fine',)
    """

    defaults: ClassVar[Mapping[str, Any]] = {
        "features": ("weather_memory", "statics", "season"),
        "learning_rate": 0.1,
        "warmup": 0,
        "limit": 1.0,  # no neighbours: the graph is not used
    }
    uses: ClassVar[frozenset[str] | None] = frozenset(
        {"ensemble", "features", "keep", "learning_rate", "refit", "seed", "validation", "window"}
    )
    unsized: ClassVar[frozenset[str]] = frozenset(_ARRAYS)

    def __init__(
        self,
        n_features: int,
        *,
        labels: Scale = "coarse",
        iterations: int = 300,
        min_samples_leaf: int = 20,
        max_features: float = 1.0,
    ) -> None:
        super().__init__()
        if labels not in SCALES:
            msg = f"labels are {labels!r}; they must be 'coarse' or 'fine'"
            raise InvalidArgumentError(msg)
        counts: dict[str, Any] = {"iterations": iterations, "min_samples_leaf": min_samples_leaf}
        for name, value in counts.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                msg = f"{name}={value!r} must be a whole number of at least 1"
                raise InvalidArgumentError(msg)
            if value > _MOST[name]:
                msg = f"{name}={value!r} must be at most {_MOST[name]:,}"
                raise InvalidArgumentError(msg)
        if not (is_number(max_features) and 0 < max_features <= 1):
            msg = f"max_features={max_features!r} must be above 0 and at most 1"
            raise InvalidArgumentError(msg)
        self.tasks = (labels,)
        self.input_scales = (labels,)
        self.prediction_scale = labels
        self.epochs = iterations
        self._n_features = n_features
        self._options = {"min_samples_leaf": min_samples_leaf, "max_features": float(max_features)}
        for name, dtype in _ARRAYS.items():
            self.register_buffer(name, torch.zeros(int(name == "roots"), dtype=dtype))
        self.register_buffer("baseline", torch.zeros(1, dtype=torch.float64))

    def fit(
        self,
        rows: npt.NDArray[np.float32],
        labels: npt.NDArray[np.float32],
        *,
        learning_rate: float,
        seed: int,
    ) -> None:
        """Replace the trees by those fitted to rows, (row, feature), and labels, (row,)."""
        if not is_positive(learning_rate):
            msg = f"learning_rate={learning_rate!r} must be above 0"
            raise InvalidArgumentError(msg)
        from sklearn.ensemble import HistGradientBoostingRegressor  # takes a second

        booster = HistGradientBoostingRegressor(
            max_iter=self.epochs,
            learning_rate=learning_rate,
            max_leaf_nodes=_LEAVES,
            early_stopping=False,
            random_state=seed,
            **self._options,
        )
        self.load_state_dict(_arrays(booster.fit(rows, labels)))

    def keep(self, count: int) -> None:
        """Keep the first trees only."""
        state = self.state_dict()
        state["roots"] = state["roots"][: count + 1]
        nodes = int(state["roots"][-1])
        own = {name: state[name][:nodes] for name in _ARRAYS if name != "roots"}
        self.load_state_dict({**state, **own})

    def staged(self, rows: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.float64]]:
        """Predict rows (row, feature) with the first tree, the first two, and so on; one array, changed."""
        roots, *nodes = (self.get_buffer(name).cpu().numpy() for name in _ARRAYS)
        out = np.full(len(rows), float(self.get_buffer("baseline")))
        for tree in range(len(roots) - 1):
            _add(rows, roots[tree : tree + 2], nodes, out)
            yield out

    def predict(self, x: Tensor) -> Tensor:
        """Predict inputs (..., feature), (...)."""
        rows = x.detach().to("cpu", torch.float32).reshape(-1, x.shape[-1]).contiguous().numpy()
        roots, *nodes = (self.get_buffer(name).cpu().numpy() for name in _ARRAYS)
        out = np.full(len(rows), float(self.get_buffer("baseline")))
        _add(rows, roots, nodes, out)
        return torch.from_numpy(out).to(x.device, x.dtype).reshape(x.shape[:-1])

    def inputs(self, batch: Batch) -> Tensor:
        """Return the inputs of the scale of the labels, (time, node, window, feature)."""
        x, _ = batch.coarse_inputs() if self.prediction_scale == "coarse" else batch.fine_inputs()
        return x

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return no parameters: trees have no gradients."""
        return []

    def task_outputs(self, batch: Batch, tasks: Collection[str] | None = None) -> dict[str, Tensor]:
        """Predict at the labelled nodes; see :class:`.NetworkModel`."""
        return {
            scale: self.predict(self.inputs(batch).index_select(1, batch.nodes(scale)))
            for scale in self._chosen(batch, tasks)
        }

    def stream(self, batch: Batch, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Predict every fine reach for some days, each by itself; see :class:`.NetworkModel`."""
        values = self.predict(self.inputs(batch))
        fine = values if self.prediction_scale == "fine" else batch.remapper().matmul_days(values)
        return fine, memory or {}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take trees of any number and size, after checking them: the compiled loop does not."""
        for name, own in list(self.named_buffers()):
            size = state_dict[name].shape if name in _ARRAYS and name in state_dict else own.shape
            setattr(self, name, own.new_zeros(size))  # new, because an observer may keep the old ones
        loaded = super().load_state_dict(state_dict, strict, assign)
        _check({name: self.get_buffer(name).cpu().numpy() for name in _ARRAYS}, self._n_features)
        return loaded


def _arrays(booster: Any) -> dict[str, Tensor]:
    """Read the trees that scikit-learn fitted."""
    parts = [tree.nodes for (tree,) in booster._predictors]
    sizes = [part.size for part in parts]
    roots = np.concatenate([[0], np.cumsum(sizes)])
    nodes, first = np.concatenate(parts), np.repeat(roots[:-1], sizes)
    leaf = nodes["is_leaf"].astype(bool)
    arrays = {
        "roots": roots,
        "feature": np.where(leaf, -1, nodes["feature_idx"]),
        "threshold": _below(np.where(leaf, 0.0, nodes["num_threshold"])),
        "left": np.where(leaf, 0, first + nodes["left"]),
        "right": np.where(leaf, 0, first + nodes["right"]),
        "missing_left": nodes["missing_go_to_left"] & ~leaf,
        "value": np.where(leaf, nodes["value"], 0.0),
    }
    read = {name: torch.from_numpy(arrays[name]).to(dtype) for name, dtype in _ARRAYS.items()}
    return {**read, "baseline": torch.from_numpy(booster._baseline_prediction.reshape(1))}


def _below(threshold: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the largest number in single precision up to each threshold, which parts the same inputs."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)


def _check(arrays: Mapping[str, npt.NDArray[Any]], n_features: int) -> None:
    """Refuse nodes that lead out of their tree or back, or read a feature that does not exist."""
    roots, feature = arrays["roots"], arrays["feature"]
    same = all(array.shape == feature.shape for name, array in arrays.items() if name != "roots")
    sizes = np.diff(roots)
    valid = same and roots.ndim == feature.ndim == 1 and roots[:1] == 0 and roots[-1] == feature.size
    if valid and (sizes > 0).all():
        split = np.flatnonzero(feature >= 0)
        end = np.repeat(roots[1:], sizes)[split]
        ahead = [(split < arrays[side][split]) & (arrays[side][split] < end) for side in ("left", "right")]
        if np.all(ahead) and feature.max(initial=-1) < n_features and np.isfinite(arrays["value"]).all():
            return
    msg = "the trees of the file are damaged: a node leads nowhere; copy the file again or train a new model"
    raise CheckpointError(msg)


def _add(
    rows: npt.NDArray[np.float32],
    roots: npt.NDArray[np.int64],
    nodes: list[npt.NDArray[Any]],
    out: npt.NDArray[np.float64],
) -> None:
    """Add the trees to `out`, with as many threads as torch has."""
    from xmsgl.models.parts.tree_loops import add_trees

    workers = torch.get_num_threads()
    step = max(1024, -(-len(rows) // workers))
    parts = [slice(first, first + step) for first in range(0, len(rows), step)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda some: add_trees(rows[some], out[some], roots, *nodes), parts))
