"""Learning by contrast: each record is closest to the text of its own event, and each text to its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from xmsgl.errors import InvalidArgumentError
from xmsgl.events.text.aligner import Projections, TextAligner
from xmsgl.events.text.encoders import ENCODERS, text_features
from xmsgl.events.text.series import series_features
from xmsgl.schema.arrays import sound_dataset
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from xmsgl.events.localizer import Localizer

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

__all__ = ["align", "contrast", "drawn", "fit", "recall"]

_BATCH = 128
_FEWEST = 8  # events with a text
_MOST = 100_000  # epochs
_HIGHEST = 100.0  # of the inverse temperature


@checked
def align(
    events: xr.Dataset,
    obj: xr.Dataset | xr.DataTree,
    texts: xr.DataArray,
    localizer: Localizer,
    *,
    encoder: str = "hashing",
    epochs: int = 100,
    seed: int = 0,
) -> TextAligner:
    """Align records of sensors with texts by contrast.

    The latent state of a trained network and the texts are projected to one space, so that each record is
    closer to its own text than to those of other events, and each text to its record (InfoNCE with a learned
    temperature). Of a text, its encoded words are read, and the date, days and heat that it states. The
    network and the encoder stay as they are. Events without a text are left out: what is known of them is in
    the network already. An eighth of the events with a text chooses the epoch.

    Parameters
    ----------
    events
        As from :func:`xmsgl.events.simulate`, with the sensors of `localizer`; the truth is not read.
    obj
        The dataset of the river.
    texts
        (event) or (event, wording), as from :func:`bulletins`; ``""`` where there is none. Of several
        wordings, one is drawn for each event and epoch.
    localizer
        From :func:`xmsgl.events.train`.
    encoder
        As for :func:`encode`.
    epochs
        Passes over the events with a text, 1 to 100,000.
    seed
        Seed of the initial weights, the events kept, and their order.

    Returns
    -------
    TextAligner
        For the sensors of `localizer` alone.

    Raises
    ------
    InvalidArgumentError
        Fewer than 8 events have a text, the texts are not those of the events, or an argument is out of
        range.
    MissingDependencyError
        The encoder is not installed.

    Examples
    --------
    >>> import xmsgl
    >>> from xmsgl.events import simulate, train
    >>> from xmsgl.events.text import bulletins
    >>> ds = xmsgl.datasets.simulated(n_coarse=6, years=2)
    >>> events = simulate(ds, n=32, sensors=0.2)
    >>> localizer = train(events, ds, epochs=1)
    >>> aligner = align(events, ds, bulletins(events, ds), localizer, epochs=2)
    >>> aligner.embed_texts(["A dam released warm water in summer."]).dims
    ('text', 'shared')
    """
    ds = sound_dataset(obj, sizes=True)
    if encoder not in ENCODERS:
        raise InvalidArgumentError(f"encoder={encoder!r} is not one of {', '.join(ENCODERS)}")
    if not 1 <= epochs <= _MOST or seed < 0:
        msg = f"epochs={epochs}, seed={seed}: epochs must be 1 to {_MOST:,}, seed at least 0"
        raise InvalidArgumentError(msg)
    wordings = _wordings(texts, events.sizes.get("event", 0))
    paired = np.flatnonzero((wordings != "").any(axis=1))
    if paired.size < _FEWEST:
        raise InvalidArgumentError(f"{paired.size} events have a text; at least {_FEWEST} are needed")
    series = series_features(localizer, events.isel(event=paired), ds)
    given = wordings[paired] != ""
    place = np.full(given.shape, -1, np.int64)
    place[given] = np.arange(given.sum())
    encoded = text_features(wordings[paired][given].tolist(), encoder)
    projections, history = fit(series, encoded, place, epochs=epochs, seed=seed)
    return TextAligner(localizer, projections, encoder, history)


@checked
def recall(a: xr.DataArray, b: xr.DataArray, k: int = 5) -> float:
    """Return how often the own partner of a vector is among the k closest.

    Parameters
    ----------
    a, b
        As from :class:`TextAligner`, (event or text, shared), in the same order of events.
    k
        Number of closest vectors of `b` for each of `a`, at least 1.

    Returns
    -------
    float
        Fraction of the vectors of `a`, 0 to 1. By chance it is k over their number. Ties count against it.

    Raises
    ------
    InvalidArgumentError
        The arrays differ in size or have no dimension ``shared``, a value is not finite, or k is out of
        range.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> a = xr.DataArray(np.eye(4), dims=("event", "shared"))
    >>> recall(a, a[::-1], k=1), recall(a, a, k=1)
    (0.0, 1.0)
    """
    wrong = next((each for each in (a, b) if each.ndim != 2 or "shared" not in each.dims), None)
    if wrong is not None:
        raise InvalidArgumentError(f"an array over {wrong.dims} has no vectors: give (event, shared)")
    one, other = (each.transpose(..., "shared").to_numpy().astype(np.float64) for each in (a, b))
    if one.shape != other.shape or not 1 <= k <= len(one):
        msg = f"a {one.shape} and b {other.shape} must be of one size, and k={k} at most their length"
        raise InvalidArgumentError(msg)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise InvalidArgumentError("a or b has values that are not finite; leave these vectors out of both")
    likeness = one @ other.T
    own = np.diag(likeness)[:, None]
    return float(((likeness >= own).sum(axis=1) <= k).mean())


def contrast(series: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """Return InfoNCE in both directions for unit vectors (event, shared) times the inverse temperature."""
    logits = scale * series @ text.T
    own = torch.arange(len(logits))
    cross = nn.functional.cross_entropy
    return (cross(logits, own) + cross(logits.T, own)) / 2


def _wordings(texts: xr.DataArray, events: int) -> NDArray[np.object_]:
    """Read texts as (event, wording)."""
    dims = set(map(str, texts.dims))
    if dims not in ({"event"}, {"event", "wording"}) or texts.sizes["event"] != events:
        msg = (
            f"texts {dict(texts.sizes)} must have the dimension event, of the {events} events, "
            "and wording if there are several of each; make them with xmsgl.events.text.bulletins"
        )
        raise InvalidArgumentError(msg)
    full = texts if "wording" in dims else texts.expand_dims(wording=1)
    values = full.transpose("event", "wording").to_numpy().astype(object)
    if not all(isinstance(each, str) for each in values.ravel()):
        raise InvalidArgumentError('texts must be strings; write "" where there is none')
    return values


def fit(
    series: Floats, encoded: Floats, place: Ints, *, epochs: int, seed: int
) -> tuple[Projections, dict[str, list[float]]]:
    """Learn projections of features of records and of encoded texts.

    Parameters
    ----------
    series
        (event, feature).
    encoded
        (text, number).
    place
        Positions of the texts of each event, (event, wording), -1 where there is none.
    epochs, seed
        As for :func:`align`.

    Returns
    -------
    projections, history
        The weights with the lowest validation loss, and the losses of all epochs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        projections = Projections(series.shape[1], encoded.shape[1])
        rows, texts = torch.from_numpy(series), torch.from_numpy(encoded)
        return projections, _fit(projections, rows, texts, place, epochs, np.random.default_rng(seed))


def _fit(
    projections: Projections,
    series: Tensor,
    encoded: Tensor,
    place: Ints,
    epochs: int,
    rng: np.random.Generator,
) -> dict[str, list[float]]:
    """Train, and keep the weights with the lowest validation loss."""
    order = rng.permutation(len(series))
    kept, learned = order[: max(len(order) // 8, 2)], order[max(len(order) // 8, 2) :]
    projections.mean = series[learned].mean(0)
    projections.spread = series[learned].std(0).clamp(min=1e-3)
    batches = -(-learned.size // _BATCH)
    optimizer = torch.optim.AdamW(projections.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * batches)
    curve: dict[str, list[float]] = {"training": [], "validation": []}
    fixed, best = drawn(place, np.random.default_rng(0)), {}

    def loss(events: Ints, texts: Ints) -> Tensor:
        scale = projections.log_scale.exp().clamp(max=_HIGHEST)
        one, other = projections.of_series(series[events]), projections.of_text(encoded[texts[events]])
        return contrast(one, other, scale)

    for _ in range(epochs):
        projections.train()
        texts, total = drawn(place, rng), 0.0
        for batch in np.array_split(rng.permutation(learned), batches):
            optimizer.zero_grad()
            value = loss(batch, texts)
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(value.detach()) * batch.size
        projections.eval()
        with torch.no_grad():
            curve["validation"].append(float(loss(kept, fixed)))
        curve["training"].append(total / learned.size)
        if curve["validation"][-1] == min(curve["validation"]):
            best = {name: value.clone() for name, value in projections.state_dict().items()}
    projections.load_state_dict(best)
    projections.eval()
    return curve


def drawn(place: Ints, rng: np.random.Generator) -> Ints:
    """Draw one of the texts of each event; `place` is -1 where there is none."""
    scores = np.where(place >= 0, rng.random(place.shape), -1.0)
    return np.asarray(place[np.arange(len(place)), scores.argmax(axis=1)])
