"""Pictures of networks and series.

matplotlib is imported only to draw, and never through pyplot: no display is needed and no global state
changes. The explorer is a page for a browser and needs bokeh instead.
"""

from __future__ import annotations

from xmsgl.plot.curves import series
from xmsgl.plot.explorer.explorer import explore
from xmsgl.plot.figures import overview
from xmsgl.plot.maps import network
from xmsgl.plot.states import embedding
from xmsgl.plot.widths import uncertainty

__all__ = ["embedding", "explore", "network", "overview", "series", "uncertainty"]
