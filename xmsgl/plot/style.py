"""What all pictures share: colours, labels, new axes, optional libraries."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

from xmsgl.errors import UnknownNameError
from xmsgl.schema.units import same_units
from xmsgl.util.optional import require

if TYPE_CHECKING:
    import xarray as xr

Axes: TypeAlias = Any
Colormap: TypeAlias = Any
Reach: TypeAlias = Hashable

# From the palette of Okabe and Ito: distinct in all common kinds of colour vision, and in grey.
CURVE = "#0072B2"
OBSERVED = "#D55E00"
LABEL = "#777777"
SEGMENT = "#009E73"
COLOURS = (CURVE, OBSERVED, SEGMENT, "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MISSING = "#c8c8c8"
MARK = "#111111"
_LAYOUTS = 8  # maps keep their shape, so each layout may change the ticks; no map tried needed more


def need(module: str) -> Any:
    """Import an optional library, or explain how to install it."""
    return require(module, "drawing", extra="plot")


def temperature_colours() -> Any:
    """Build the colour map of temperature: dark blue (cold) through magenta to orange (warm)."""
    # Lightness rises evenly, so that it reads in grey; plasma's yellow end would be lost on a white page.
    plasma = need("matplotlib").colormaps["plasma"]
    return _from_shades("temperature", [plasma(0.84 * k / 255) for k in range(256)])


def strength_colours() -> Any:
    """Build the colour map of counts and weights: light green (low) to dark violet (high)."""
    viridis = need("matplotlib").colormaps["viridis"]
    return _from_shades("strength", [viridis(0.88 * (1 - k / 255)) for k in range(256)])


def difference_colours() -> Any:
    """Build the colour map of differences: dark blue (below) through grey to dark red (above)."""
    # Darker for larger differences; the middle is grey because white lines would be lost on the page.
    shades = ["#0b2d6b", "#4477c4", "#a9a9a9", "#d0603a", "#7a0c1e"]
    return _from_shades("difference", shades, missing="#e4e4e4")


def _from_shades(name: str, shades: list[Any], missing: str = MISSING) -> Any:
    colours = need("matplotlib.colors")
    return colours.LinearSegmentedColormap.from_list(name, shades).with_extremes(bad=missing)


def with_missing(cmap: Any) -> Any:
    """Set grey for missing values in a colour map, given itself or by name."""
    known = need("matplotlib").colormaps
    if isinstance(cmap, str) and cmap not in known:
        raise UnknownNameError("colour map", cmap, known)
    return (known[cmap] if isinstance(cmap, str) else cmap).with_extremes(bad=MISSING)


def axes(size: tuple[float, float]) -> Any:
    """Make new axes in a new figure of that size (inches) without pyplot; Jupyter displays them."""
    return new_figure(size).add_subplot(axes_class=_axes_class())


def pair(size: tuple[float, float]) -> tuple[Any, Any]:
    """Make two new axes beside each other in a new figure of that size (inches)."""
    figure = new_figure(size)
    figure.get_layout_engine().set(w_pad=0.1)
    left, right = (figure.add_subplot(1, 2, number, axes_class=_axes_class()) for number in (1, 2))
    return left, right


def frame(ax: Any) -> None:
    """Draw a light grid and the two axes with numbers."""
    ax.grid(visible=True, color="#ececec", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(length=3, labelsize="small", color="#888888")
    for name, spine in ax.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color("#bbbbbb")


def legend_above(ax: Any) -> None:
    """Put the legend inside the axes, and extend them to make room for it above the curves."""
    rows = -(-len(ax.get_legend_handles_labels()[1]) // 3)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.1 * rows * (high - low) + 0.04 * (high - low))
    look = {"frameon": False, "fontsize": "small", "handletextpad": 0.6, "columnspacing": 1.6}
    ax.legend(loc="upper left", ncols=3, **look)


def new_figure(size: tuple[float, float]) -> Any:
    """Make a figure of that size (inches) that needs no display and that Jupyter displays."""
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
                for _ in range(_LAYOUTS):
                    self.get_layout_engine().execute(self)
            super().draw(renderer)

        def _repr_png_(self) -> bytes:
            buffer = BytesIO()
            self.savefig(buffer, format="png", dpi=110)
            return buffer.getvalue()

    return Picture


@cache
def _axes_class() -> Any:
    base: Any = need("matplotlib.axes").Axes

    class PictureAxes(base):  # type: ignore[misc]
        def _repr_png_(self) -> bytes:
            return bytes(self.figure._repr_png_())

    return PictureAxes


def units_of(da: xr.DataArray) -> str:
    """Return the units of an array, with the degree sign for temperatures."""
    units = str(da.attrs.get("units", "degC"))
    return "°C" if same_units(units, "degC") else units


def describe(da: xr.DataArray, fallback: str = "water temperature") -> str:
    """Describe an array, with its units, for an axis or a colour bar.

    An array with neither name nor units is a temperature in degC; one with a name alone has no units.
    """
    name = in_short(str(da.attrs.get("long_name", fallback)))
    if which := which_quantile(da):
        name = f"{name.removeprefix('quantile of the ')}, {which}"
    if "long_name" in da.attrs and "units" not in da.attrs:
        return name
    return f"{name} [{units_of(da)}]"


def which_quantile(da: xr.DataArray) -> str:
    """Name the quantile that an array was selected at; empty if it is not a quantile."""
    if "quantile" not in da.coords or da["quantile"].ndim:
        return ""
    probability = float(da["quantile"])
    return "median" if probability == 0.5 else f"quantile {probability:g}"


def in_short(long_name: str) -> str:
    """Cut the explanation after a comma or a semicolon, for which a picture has no room."""
    return long_name.replace(";", ",").partition(",")[0]
