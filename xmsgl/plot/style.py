"""What all pictures share: colours, words, new axes, optional libraries."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING, Any

from xmsgl.schema.units import same_units
from xmsgl.util.optional import require

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "COLOURS",
    "CURVE",
    "LABEL",
    "MARK",
    "MARKERS",
    "MISSING",
    "OBSERVED",
    "SEGMENT",
    "axes",
    "describe",
    "difference_colours",
    "frame",
    "in_short",
    "legend_above",
    "strength_colours",
    "temperature_colours",
    "which_quantile",
    "with_missing",
    "wrapped",
]

# From the palette of Okabe and Ito: told apart by all kinds of colour vision, and in grey.
CURVE = "#0072B2"
OBSERVED = "#D55E00"
LABEL = "#777777"
SEGMENT = "#009E73"
COLOURS = (CURVE, OBSERVED, SEGMENT, "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MISSING = "#c8c8c8"
MARK = "#111111"
_MOST_LAYOUTS = 6  # maps were seen to need up to four


def need(module: str) -> Any:
    """Import an optional library, or say how to get it."""
    return require(module, "drawing", extra="plot")


def temperature_colours() -> Any:
    """Build the colour map of temperature: dark blue (cold) over magenta to orange (warm).

    Plasma without its yellow end: lightness rises evenly, so it reads in grey and for colour-blind
    eyes, and the warmest lines still stand out from a white page.
    """
    plasma = need("matplotlib").colormaps["plasma"]
    return _from_shades("temperature", [plasma(0.84 * k / 255) for k in range(256)])


def strength_colours() -> Any:
    """Build the colour map of counts and weights: light green (little) to dark violet (much).

    Viridis from its dark end, without its yellow, which would be lost on a white page.
    """
    viridis = need("matplotlib").colormaps["viridis"]
    return _from_shades("strength", [viridis(0.88 * (1 - k / 255)) for k in range(256)])


def difference_colours() -> Any:
    """Build the colour map of differences: dark blue (below) over grey to dark red (above).

    The greater the difference the darker, evenly to both sides; blue against red is told apart by all
    common kinds of colour vision. Grey stands in the middle, for white lines would be lost on the page.
    """
    ends = need("matplotlib.colors").LinearSegmentedColormap.from_list(
        "difference", ["#0b2d6b", "#4477c4", "#a9a9a9", "#d0603a", "#7a0c1e"]
    )
    return ends.with_extremes(bad="#e4e4e4")


def _from_shades(name: str, shades: list[Any]) -> Any:
    colours = need("matplotlib.colors")
    return colours.LinearSegmentedColormap.from_list(name, shades).with_extremes(bad=MISSING)


def with_missing(cmap: Any) -> Any:
    """Give a colour map, or the one of that name, the grey of missing values."""
    chosen = need("matplotlib").colormaps[cmap] if isinstance(cmap, str) else cmap
    return chosen.with_extremes(bad=MISSING)


def axes(size: tuple[float, float]) -> Any:
    """Make new axes in a new figure of that size (inches), without pyplot; they show it in Jupyter."""
    return new_figure(size).add_subplot(axes_class=_axes_class())


def frame(ax: Any) -> None:
    """Draw a light grid and the two axes with numbers."""
    ax.grid(visible=True, color="#ececec", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(length=3, labelsize="small", color="#888888")
    for name, spine in ax.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color("#bbbbbb")


def legend_above(ax: Any, columns: int = 3) -> None:
    """Put the legend above the curves, inside the axes, with room made for it."""
    rows = -(-len(ax.get_legend_handles_labels()[1]) // columns)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.1 * rows * (high - low) + 0.04 * (high - low))
    ax.legend(
        loc="upper left", ncols=columns, frameon=False, fontsize="small", handletextpad=0.6, columnspacing=1.6
    )


def new_figure(size: tuple[float, float]) -> Any:
    """Make a figure of that size (inches) that draws without a display and shows itself in Jupyter."""
    return _figure_class()(figsize=size, layout="constrained")


# The bases of both classes are known only once matplotlib is imported.
@cache
def _figure_class() -> Any:
    base: Any = need("matplotlib.figure").Figure
    canvas: Any = need("matplotlib.backends.backend_agg").FigureCanvasAgg

    class Picture(base):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            canvas(self)

        def draw(self, renderer: Any) -> None:
            if self.get_layout_engine() is not None:
                _settle(self)
            super().draw(renderer)

        def _repr_png_(self) -> bytes:
            buffer = BytesIO()
            self.savefig(buffer, format="png", dpi=110)
            return buffer.getvalue()

    return Picture


def _settle(figure: Any) -> None:
    """Lay a figure out until nothing moves: maps keep their shape, so each layout may ask for other ticks."""
    places: list[Any] = []
    for _ in range(_MOST_LAYOUTS):
        figure.get_layout_engine().execute(figure)
        before, places = places, [ax.get_position().bounds for ax in figure.axes]
        if before == places:
            return


@cache
def _axes_class() -> Any:
    base: Any = need("matplotlib.axes").Axes

    class PictureAxes(base):  # type: ignore[misc]
        def _repr_png_(self) -> bytes:
            return bytes(self.figure._repr_png_())

    return PictureAxes


def units_of(da: xr.DataArray) -> str:
    """Write the units of an array, degrees as the sign."""
    units = str(da.attrs.get("units", "degC"))
    return "°C" if same_units(units, "degC") else units


def describe(da: xr.DataArray, fallback: str = "water temperature") -> str:
    """Write what an array is, with its units, for an axis or a colour bar.

    An array that says neither is a temperature of the convention, in degC. One that says what it is, but
    not in which units, gets none. One quantile of several says which.
    """
    name = in_short(str(da.attrs.get("long_name", fallback)))
    if which := which_quantile(da):
        name = f"{name.removeprefix('quantile of the ')}, {which}"
    if "long_name" in da.attrs and "units" not in da.attrs:
        return name
    return f"{name} [{units_of(da)}]"


def which_quantile(da: xr.DataArray) -> str:
    """Write which quantile an array is that was selected from several; empty where it is none."""
    if "quantile" not in da.coords or da["quantile"].ndim:
        return ""
    probability = float(da["quantile"])
    return "median" if probability == 0.5 else f"quantile {probability:g}"


def wrapped(text: str, width: int = 36) -> str:
    """Break a label into lines, so that it is no longer than the axis it stands at."""
    return fill(text, width)


def in_short(long_name: str) -> str:
    """Cut what is explained behind a comma or a semicolon, which has no room on a page."""
    return long_name.replace(";", ",").partition(",")[0]
