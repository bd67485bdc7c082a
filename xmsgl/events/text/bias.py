"""The bias of a gauge, read from a bulletin, and taken off its record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmsgl.errors import InvalidArgumentError, shorten
from xmsgl.events.text.encoders import ENCODERS, encode, read_texts
from xmsgl.schema.arrays import as_array, in_order_of
from xmsgl.schema.units import converted, steps_of_degc
from xmsgl.util.arguments import checked
from xmsgl.util.history import stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["BiasReader"]

_FEWEST = 8  # texts to learn from
_PENALTY = 0.4  # of the ridge regressions, chosen by leaving out learned families one by one
_GAUGES = ("sensor", "fine", "coarse")  # dimensions with ids
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
_MARKS = ".,;:!?()[]\"'#"


class BiasReader:
    """Learns from bulletins how far a gauge reads too high or too low, and corrects records by others.

    Two ridge regressions on the words of the sentences that name a gauge, one of the direction and one of the
    size; the estimate is their product. A text in unknown words has no direction, and an estimate near 0.
    Words with digits, such as ids and dates, are left out: sizes are read as words, not as figures.

    Parameters
    ----------
    texts
        Bulletins to learn from, at least 8, of both directions, such as those of :func:`gauge_bulletins`.
    biases
        The bias that each of them is about: reading minus truth, degC, not 0.
    encoder
        ``"hashing"`` reads hashed words; ``"minilm"`` also the sentences, by the encoder of :func:`encode`.

    Raises
    ------
    InvalidArgumentError
        There are fewer texts, one for each bias is not given or they are of other gauges, a bias is 0, not
        finite or not in degC, all are of one direction, or the encoder is unknown.
    MissingDependencyError
        The weights of ``"minilm"`` are not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from xmsgl.events.text import gauge_bulletins
    >>> biases = np.random.default_rng(0).uniform(0.3, 2.0, 400) * np.tile([-1, 1], 200)
    >>> reader = BiasReader(gauge_bulletins(dict(enumerate(biases))), biases)
    >>> bool(reader.estimate(["Gauge 14 reads about a degree too high."]) > 0.5)
    True
    """

    @checked
    def __init__(
        self,
        texts: xr.DataArray | Sequence[str],
        biases: xr.DataArray | Sequence[float],
        *,
        encoder: str = "hashing",
    ) -> None:
        if encoder not in ENCODERS:
            raise InvalidArgumentError(f"encoder={encoder!r} is not one of {', '.join(ENCODERS)}")
        known, values = read_texts(texts), _numbers(_of_texts(biases, texts))
        if len(known) != values.size or values.size < _FEWEST:
            msg = f"{len(known)} texts and {values.size} biases: give one bias for each of at least {_FEWEST}"
            raise InvalidArgumentError(msg)
        if (values > 0).all() or (values < 0).all():
            raise InvalidArgumentError("biases must be of both directions, some above 0 and some below")
        self.encoder = encoder
        size = np.abs(values)
        self._middle, self._range = float(size.mean()), (float(size.min()), float(size.max()))
        rows = self._features(known)
        square = rows.T @ rows + _PENALTY * np.eye(rows.shape[1])
        targets = np.stack([np.sign(values), size - self._middle], axis=1)
        self._weights: Floats = np.linalg.solve(square, rows.T @ targets)

    @checked
    def estimate(self, texts: xr.DataArray | Sequence[str]) -> xr.DataArray:
        """Estimate the bias that each text is about.

        Parameters
        ----------
        texts
            Bulletins in English, each about one gauge.

        Returns
        -------
        xarray.DataArray
            ``bias`` (text): reading minus truth, degC, at most as large as the largest learned one.
        """
        direction, size = (self._features(read_texts(texts)) @ self._weights).T
        values = np.clip(direction, -1.0, 1.0) * np.clip(size + self._middle, *self._range)
        about = {"long_name": "bias that the text is about", "units": "degC"}
        return xr.DataArray(values, dims="text", name="bias", attrs=about)

    @checked
    def correct(
        self, observed: xr.DataArray | xr.Dataset, texts: xr.DataArray | Sequence[str]
    ) -> xr.DataArray:
        """Take the estimated bias off the records of the gauges that bulletins name.

        Parameters
        ----------
        observed
            Observed temperature, degC or K, with ids along ``fine``, ``coarse`` or ``sensor``, such as
            ``ds["water_temperature_fine"]``.
        texts
            Bulletins in English, each with the id of one gauge as a word of its own. Of several bulletins
            about one gauge, the mean of the estimates counts.

        Returns
        -------
        xarray.DataArray
            The records, corrected on all days; lazy if `observed` is. Give them to
            ``ds.msgl.reconstruct(observed=...)``.

        Raises
        ------
        InvalidArgumentError
            A text names no gauge or several, `observed` has no dimension with ids, or is not in degC or K.
        """
        records = as_array(observed, "observed")
        _check_degrees(records)
        dim = next((name for name in _GAUGES if name in records.indexes), None)
        if dim is None:
            msg = f"observed has dimensions {tuple(records.dims)}, but no {', '.join(_GAUGES)} with ids"
            raise InvalidArgumentError(msg)
        places = _named(read_texts(texts), records.indexes[dim])
        total, count = np.zeros((2, records.sizes[dim]))
        np.add.at(total, places, self.estimate(texts).to_numpy())
        np.add.at(count, places, 1.0)
        bias = (total / np.maximum(count, 1.0)).astype(np.result_type(records.dtype, np.float32))
        corrected = (records - xr.DataArray(bias, {dim: records[dim]}, (dim,))).transpose(*records.dims)
        corrected = corrected.rename(records.name).assign_attrs(records.attrs)
        ids = shorten(dict.fromkeys(records.indexes[dim][places]))
        return stamp(corrected, f"BiasReader.correct: bias of {ids} taken off")

    def _features(self, texts: list[str]) -> Floats:
        """Describe texts by the mean of their hashed words, and by their sentences, (text, number)."""
        parts = [_words(text) for text in texts]
        known = list(dict.fromkeys(word for words in parts for word in words)) or ["."]
        place = {word: k for k, word in enumerate(known)}
        hashed = encode(known, "hashing").astype(np.float64)
        rows = np.zeros((len(texts), hashed.shape[1]))
        for row, words in zip(rows, parts, strict=True):
            row += hashed[[place[word] for word in dict.fromkeys(words)]].sum(axis=0)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        if self.encoder == "hashing":
            return rows
        sentences = encode([" ".join(words) for words in parts], self.encoder)
        return np.concatenate([rows, sentences.astype(np.float64)], axis=1)


def _of_texts(biases: Any, texts: Any) -> Any:
    """Bring biases into the order of the texts, by the ids of the gauges if both have some."""
    if not isinstance(biases, xr.DataArray):
        return biases
    units = str(biases.attrs.get("units", "degC"))
    if not steps_of_degc(units):
        raise InvalidArgumentError(
            f"biases are in {units!r}, not in degC; convert these differences, without an offset"
        )
    for dim in set(biases.indexes) & set(texts.indexes if isinstance(texts, xr.DataArray) else ()):
        biases = in_order_of(biases, str(dim), texts.indexes[dim], "biases and texts")
    return biases


def _numbers(biases: xr.DataArray | Sequence[float]) -> Floats:
    """Read biases as an array; 0 and what is not finite are refused."""
    values = np.asarray(biases)
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not np.isfinite(values).all() or 0 in values:
        raise InvalidArgumentError("biases must be a list of finite numbers other than 0, degC")
    return values.astype(np.float64)


def _check_degrees(records: xr.DataArray) -> None:
    """Refuse records whose differences are not in degC."""
    units = str(records.attrs.get("units", "degC"))
    if not steps_of_degc(units):
        code = converted("observed", units, "degC")
        cure = f"convert: {code}" if code else "convert them"
        raise InvalidArgumentError(f"observed is in {units!r}, but biases are in degC; {cure}")


def _words(text: str) -> list[str]:
    """Return the words of the sentences with an id, or of all if none has one, without digits."""
    sentences = _SENTENCE.split(text)
    naming = [each for each in sentences if re.search(r"\d", each)] or sentences
    words = _WORD.findall(" ".join(naming).lower())
    return [word for word in words if not re.search(r"\d", word)]


def _named(texts: list[str], ids: pd.Index[Any]) -> NDArray[np.int64]:
    """Return the position of the one gauge that each text names."""
    place = {str(each): k for k, each in enumerate(ids)}
    found = []
    for text in texts:
        named = list(dict.fromkeys(w for each in text.split() if (w := each.strip(_MARKS)) in place))
        if len(named) != 1:
            what = f"names {len(named)} gauges ({shorten(named)})" if named else "names no gauge"
            msg = f"the text {text!r} {what} of those in observed; it must have the id of one"
            raise InvalidArgumentError(msg)
        found.append(place[named[0]])
    return np.array(found, dtype=np.int64)
