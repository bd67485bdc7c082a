"""What all pictures share: colours, words, new axes, optional libraries."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

from xmsgl.errors import MissingDependencyError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CURVE", "LABEL", "MARK", "MISSING", "OBSERVED", "axes", "describe", "temperature_colours"]

# From the palette of Okabe and Ito: told apart by all kinds of colour vision, and in grey.
CURVE = "#0072B2"
OBSERVED = "#D55E00"
LABEL = "#777777"
MISSING = "#c8c8c8"
MARK = "#111111"


def need(module: str) -> Any:
    """Import an optional library, or say how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        msg = f'drawing needs {library}, which is not installed: pip install "xmsgl[plot]"'
        raise MissingDependencyError(msg) from error


def temperature_colours() -> Any:
    """Build the colour map of temperature: dark blue (cold) over magenta to orange (warm).

    Plasma without its yellow end: lightness rises evenly, so it reads in grey and for colour-blind
    eyes, and the warmest lines still stand out from a white page.

    Returns
    -------
    matplotlib.colors.LinearSegmentedColormap
        Grey for missing values.
    """
    colours = need("matplotlib.colors")
    plasma = need("matplotlib").colormaps["plasma"]
    shades = [plasma(0.84 * k / 255) for k in range(256)]
    return colours.LinearSegmentedColormap.from_list("temperature", shades).with_extremes(bad=MISSING)


def axes(size: tuple[float, float]) -> Any:
    """Make new axes in a new figure of that size (inches), without pyplot."""
    return new_figure(size).add_subplot()


def new_figure(size: tuple[float, float]) -> Any:
    """Make a figure of that size (inches) that draws without a display and shows itself in Jupyter."""
    return _figure_class()(figsize=size, layout="constrained")


@cache
def _figure_class() -> Any:
    base: Any = need("matplotlib.figure").Figure
    canvas: Any = need("matplotlib.backends.backend_agg").FigureCanvasAgg

    class Picture(base):  # type: ignore[misc]  # the base is known only once matplotlib is imported
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            canvas(self)

        def _repr_png_(self) -> bytes:
            buffer = BytesIO()
            self.savefig(buffer, format="png", dpi=110)
            return buffer.getvalue()

    return Picture


def units_of(da: xr.DataArray) -> str:
    """Write the units of an array, degrees as the sign."""
    units = str(da.attrs.get("units", "degC"))
    return "°C" if units in ("degC", "celsius", "degree_Celsius") else units


def describe(da: xr.DataArray, fallback: str = "water temperature") -> str:
    """Write what an array is, with its units, for an axis or a colour bar."""
    name = str(da.attrs.get("long_name", fallback)).partition(",")[0]
    return f"{name} [{units_of(da)}]"
