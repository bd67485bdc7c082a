"""A graph network from the residuals of sensors to the source, the first day and the heat of an event."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from xmsgl.events.edges import EDGE_FEATURES

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

    def __init__(self, kinds: int, hidden: int = 48, dropout: float = 0.2) -> None:
        super().__init__()
        self.series = nn.ModuleList(
            nn.Conv1d(2 if level == 0 else hidden, hidden, 5, padding=2 * 2**level, dilation=2**level)
            for level in range(3)
        )
        self.message = nn.Sequential(
            nn.Linear(3 * hidden + 3 + EDGE_FEATURES, 2 * hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * hidden, hidden),
            nn.SiLU(),
        )
        heads = {"reach": 3, "kind": kinds}
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(2 * hidden, hidden), nn.SiLU(), nn.Dropout(dropout), nn.Linear(hidden, size)
                )
                for name, size in heads.items()
            }
        )

    def forward(self, residual: Tensor, edges: Tensor, sensor: Tensor, reach: Tensor, reaches: int) -> Output:
        """Read residuals (event, day, sensor) in units of noise and edge features (event, edge, feature)."""
        events, days, sensors = residual.shape
        each = residual.permute(0, 2, 1).reshape(events * sensors, 1, days)
        hidden = torch.cat([torch.asinh(each), torch.asinh(each / 10)], dim=1)
        for layer in self.series:
            hidden = nn.functional.silu(layer(hidden))
        ramp = torch.linspace(0, 1, days, dtype=residual.dtype)
        weight = torch.softmax(each.abs()[:, 0].clamp(max=50.0), dim=1)
        strength = (each[:, 0].abs() + 0.1).log10()
        extra = torch.stack([(weight * ramp).sum(1), (weight * strength).sum(1), strength.mean(1)], dim=1)
        pooled = torch.cat([hidden.mean(2), hidden.amax(2), (hidden * ramp).mean(2), extra], dim=1)
        known = pooled.reshape(events, sensors, -1)[:, sensor]
        sent = self.message(torch.cat([known, edges], dim=2))
        total = sent.new_zeros(events, reaches, sent.shape[2]).index_add(1, reach, sent)
        around = total.amax(dim=1, keepdim=True).expand_as(total)
        source, magnitude, onset = self.heads["reach"](torch.cat([total, around], dim=2)).unbind(2)
        share = torch.softmax(source, dim=1)
        attended = (share.unsqueeze(2) * total).sum(1)
        latent = torch.cat([attended, total.amax(1)], dim=1)
        kind = self.heads["kind"](latent)
        return Output(source, (share * magnitude).sum(1), (share * onset).sum(1), kind, latent)
