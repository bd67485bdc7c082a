"""A graph network from the residuals of sensors to the source, the first day and the heat of an event."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from xmsgl.events.courses import COURSE_FEATURES, Course, filtered, find_course, noise_of
from xmsgl.events.edges import EDGE_FEATURES

_SERIES, _IMPLIED, _AGREED = 4, 4, 3  # features besides those of the convolutions
_CLEAREST = 60.0  # from here on noise matters less than what else is wrong with the heat that is implied
_CLEAR = 7.0  # a record that stands out from the best that noise alone is like, about 4, in units of it

__all__ = ["EventNetwork", "Output"]


class Output(NamedTuple):
    """What the network says of each event; magnitude and onset are means over the probable sources."""

    source: Tensor  # logits (event, reach)
    magnitude: Tensor  # log10 W minus 7 (event,)
    onset: Tensor  # days, as a fraction of the record (event,)
    kind: Tensor  # logits (event, kind)
    latent: Tensor  # what the kind is read from (event, latent)


class EventNetwork(nn.Module):
    """Convolutions over the days of each sensor, then one sum over the sensors of each reach."""

    def __init__(
        self,
        kinds: int,
        hidden: int = 48,
        dropout: float = 0.2,
        renew: nn.Module | None = None,
        count: int = 3,
    ) -> None:
        """`renew` weighs the edges of each event; `count` is that of the sensors downstream, and beside."""
        super().__init__()
        self.renew, self.count = renew, count
        self.series = nn.ModuleList(
            nn.Conv1d(2 if level == 0 else hidden, hidden, 5, padding=2 * 2**level, dilation=2**level)
            for level in range(3)
        )
        self.message = nn.Sequential(
            nn.Linear(3 * hidden + _SERIES + COURSE_FEATURES + _IMPLIED + EDGE_FEATURES, 2 * hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * hidden, hidden),
            nn.SiLU(),
        )
        heads = {"reach": (2 * hidden + _AGREED, 3), "kind": (2 * hidden, kinds)}
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(given, hidden), nn.SiLU(), nn.Dropout(dropout), nn.Linear(hidden, size)
                )
                for name, (given, size) in heads.items()
            }
        )

    def forward(
        self, residual: Tensor, edges: Tensor, gain: Tensor, sensor: Tensor, reach: Tensor, reaches: int
    ) -> Output:
        """Read residuals (event, day, sensor), features (event, edge, feature) and gains (event, day, edge).

        Residuals and gains, for 10 MW, are in units of noise. A sensor with zeros alone is lost.
        """
        scale = noise_of(residual)
        course = find_course(residual, scale)
        series = self._series(residual, scale, course)
        implied = _implied(residual, scale, course, gain, sensor)
        between = torch.cat([edges, implied.features], dim=2)
        sent = self._messages(series, between, sensor) * implied.seen
        if self.renew is not None:
            sent = sent * self.renew(torch.cat([series[:, sensor], between], dim=2), reach)
        total = sent.new_zeros(residual.shape[0], reaches, sent.shape[2]).index_add(1, reach, sent)
        agreed = _agreed(implied, reach, reaches)
        around = total.amax(dim=1, keepdim=True).expand_as(total)
        source, magnitude, onset = self.heads["reach"](torch.cat([total, around, agreed], dim=2)).unbind(2)
        share = torch.softmax(source, dim=1)
        attended = (share.unsqueeze(2) * total).sum(1)
        latent = torch.cat([attended, total.amax(1)], dim=1)
        size = (share * (magnitude + agreed[:, :, 0])).sum(1)
        return Output(source, size, (share * onset).sum(1), self.heads["kind"](latent), latent)

    def _messages(self, series: Tensor, between: Tensor, sensor: Tensor) -> Tensor:
        """Return the message of each edge; the share of the sensor in the first layer is found but once."""
        first = cast("nn.Linear", self.message[0])
        wide = series.shape[2]
        sent = nn.functional.linear(series, first.weight[:, :wide], first.bias)[:, sensor]
        sent = sent + nn.functional.linear(between, first.weight[:, wide:])
        found: Tensor = self.message[1:](sent)
        return found

    def _series(self, residual: Tensor, scale: Tensor, course: Course) -> Tensor:
        """Describe the series of each sensor, (event, sensor, feature)."""
        events, days, sensors = residual.shape
        each = (residual / scale).permute(0, 2, 1).reshape(events * sensors, 1, days)
        hidden = torch.cat([torch.asinh(each), torch.asinh(each / 10)], dim=1)
        for layer in self.series:
            hidden = nn.functional.silu(layer(hidden))
        ramp = torch.linspace(0, 1, days, dtype=residual.dtype)
        weight = torch.softmax(each.abs()[:, 0].clamp(max=50.0), dim=1)
        strength = (each[:, 0].abs() + 0.1).log10()
        extra = torch.stack([(weight * ramp).sum(1), (weight * strength).sum(1), strength.mean(1)], dim=1)
        pooled = torch.cat([hidden.mean(2), hidden.amax(2), (hidden * ramp).mean(2), extra], dim=1)
        level = scale.log10().expand(events, sensors, 1)
        return torch.cat([pooled.reshape(events, sensors, -1), level, course.features], dim=2)


class _Implied(NamedTuple):
    """The heat that each sensor speaks of, were the event at the reach of the edge."""

    features: Tensor  # (event, edge, feature), log10 of the heat in 10 MW first
    trust: Tensor  # 0 to 1 (event, edge)
    weight: Tensor  # in a mean over sensors, about the inverse of the variance (event, edge)
    seen: Tensor  # 1 where the sensor reports (event, edge, 1)


def _implied(residual: Tensor, scale: Tensor, course: Course, gain: Tensor, sensor: Tensor) -> _Implied:
    """Fit the course of the heat at the reach to the record by least squares, filtered as the record was."""
    wanted = filtered(course.heat[:, :, sensor] * gain, course.kept)
    change = residual[:, :, sensor]
    power = wanted.square().sum(1) + 1e-12
    along = (change * wanted).sum(1)
    heat = along / power
    clear = along.abs() / power.sqrt() / scale[:, 0]
    rest = (change - heat.unsqueeze(1) * wanted).square().sum(1)
    rest = rest / (change.square().sum(1) + scale[:, 0].square())
    size = (heat.abs() + 1e-5).log10().clamp(-5, 5)
    features = torch.stack([size, torch.tanh(heat.sign() * clear / _CLEAR), clear.log1p(), rest], dim=2)
    below = (gain != 0).any(1)
    seen = (residual != 0).any(1)[:, sensor].to(residual.dtype)
    trust = clear**4 / (clear**4 + _CLEAR**4) * below * seen
    weight = trust * clear**2 / (1 + (clear / _CLEAREST) ** 2)
    return _Implied(features * below.unsqueeze(2), trust, weight, seen.unsqueeze(2))


def _agreed(implied: _Implied, reach: Tensor, reaches: int) -> Tensor:
    """Return the mean log10 of the heat at each reach, its spread among sensors, and their trust."""
    size, weight = implied.features[:, :, 0], implied.weight

    def at(values: Tensor) -> Tensor:
        return values.new_zeros(len(values), reaches).index_add(1, reach, values)

    total = at(weight) + 1e-3
    mean = at(weight * size) / total
    spread = (at(weight * (size - mean[:, reach]).square()) / total + 1e-6).sqrt()
    return torch.stack([mean, spread, at(implied.trust)], dim=2)
