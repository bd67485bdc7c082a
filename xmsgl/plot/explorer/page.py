"""The explorer page: Bokeh models, written to one file that needs nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xmsgl.plot.explorer.data import ruler
from xmsgl.plot.places import DISTANCE, SCHEMATIC
from xmsgl.plot.style import CURVE, LABEL, MARK, MISSING, OBSERVED, SEGMENT
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from xmsgl.plot.explorer.gather import Daily
    from xmsgl.plot.places import Lines

__all__ = ["Contents", "render"]

_SIMULATED = "#B0709A"  # purple after Okabe and Ito
_HEIGHT = 560  # px
_WARMEST = 215  # plasma without its yellow end, which would be lost on a white page
_COLDEST = 90  # plasma without its blue end, which would be lost on a dark page
_WIDE = 2.5  # the shape of a basin whose map is as wide as the page
#: Bokeh's own colours are those of a white page; the page changes the scheme, and with it these.
_BOTH = """
.bk-btn, .bk-input { color: light-dark(#222, #eee); background: light-dark(#fff, #2b2b2b);
  border-color: light-dark(#bbb, #777); }
.bk-btn.bk-active { background: light-dark(#dcdcdc, #555); }
.bk-input::placeholder { color: light-dark(#666, #aaa); }
.bk-clearfix { color: light-dark(#222, #eee); }
.noUi-target.noUi-horizontal { background: light-dark(#fafafa, #3a3a3a); }
"""


@dataclass(frozen=True)
class Contents:
    """Contents of the page."""

    title: str
    lines: Lines
    orders: npt.NDArray[np.int64]  # stream order of each reach
    daily: Daily
    units: str


def render(contents: Contents) -> str:
    """Write the page as HTML."""
    models, daily = _bokeh("models"), contents.daily
    parts = _controls(models, daily) | _sources(models, contents)
    parts |= {"map": _map(models, parts, contents), "chart": _chart(models, parts, contents)}
    parts |= {name: parts["map"].select_one({"name": name}) for name in ("colours", "under", "sensors")}
    parts["curve"] = parts["chart"].select_one({"name": "curve"})
    dashed = {"line_color": MARK, "line_dash": [4, 3], "line_width": 1}
    parts["today"] = models.Span(name="today", dimension="height", **dashed)
    parts["chart"].add_layout(parts["today"])
    parts["tip"] = models.Tooltip(name="tip", position=None, visible=False, content="")
    parts["map"].elements.append(parts["tip"])
    callback = models.CustomJS(args=parts | _data(contents), code=_packaged("explorer.js"))
    _listen(callback, parts)  # before there is a document, which would search all models each time
    document = _bokeh("document").Document()
    for root in _roots(models, parts):
        document.add_root(root)
    document.js_on_event(_bokeh("events").DocumentReady, callback)
    span = f"{daily.days[0]:%Y-%m-%d} to {daily.days[-1]:%Y-%m-%d}"
    about = (
        f"{len(daily.reaches):,} reaches, {span}. Click a river to see its series, and a day of the series "
        "to see its map. Select the slider with Tab to move it with the arrow keys."
    ) + (" Circles on the map are sensors." if daily.sensors.size else "")
    # A tall basin gets a narrow column and a wide one a wide column, in hundredths of the page.
    shape = contents.lines.shape()
    share = int(np.clip(18 + 32 * shape, 34, 55))
    columns = f"minmax(0, {share}fr) minmax(0, {100 - share}fr)" if shape < _WIDE else "minmax(0, 1fr)"
    page: str = _bokeh("embed").file_html(
        document,
        _bokeh("resources").INLINE,
        contents.title,
        template=_packaged("explorer.html"),
        template_variables={"heading": contents.title, "about": about, "columns": columns},
    )
    return page


def _bokeh(part: str) -> Any:
    return require(f"bokeh.{part}", "the explorer page", extra="explore")


def _packaged(name: str) -> str:
    return files("xmsgl.plot.explorer").joinpath(name).read_text(encoding="utf-8")


def _controls(models: Any, daily: Daily) -> dict[str, Any]:
    """Make the controls; a single day needs no slider."""
    last, day = len(daily.days) - 1, daily.warmest()
    both = {"stylesheets": [_BOTH]}
    wide = {"sizing_mode": "stretch_width", "show_value": False, "margin": (12, 15, 5, 15), **both}
    note = {"sizing_mode": "stretch_width", "styles": {"padding": "6px 0"}}
    slider = models.Slider(start=0, end=last, value=day, step=1, title="", name="slider", **wide)
    play = models.Toggle(label="► Play", width=90, name="play", tags=[0], **both)
    scale = models.RadioButtonGroup(
        labels=["same colours on all days", "colours of the day"], active=0, name="scale", **both
    )
    return {
        "slider": slider if last else None,
        "play": play if last else None,
        "scale": scale if last else None,
        "dark": models.Toggle(label="Dark", width=60, name="dark", **both),
        "find": models.TextInput(placeholder="find a reach by its id", width=170, name="find", **both),
        # Text, not HTML, because it repeats what was typed.
        "note": models.Div(text="", name="note", render_as_text=True, **note, **both),
    }


def _sources(models: Any, contents: Contents) -> dict[str, Any]:
    """Make the data of the map and of the series; the script replaces those of other days and reaches."""
    found, daily = contents.lines, contents.daily
    wide, thinnest = contents.orders[found.reach] - 1, np.clip(60 / len(daily.reaches), 0.8, 2.4)
    lines = {
        "xs": [path[:, 0].astype(np.float32) for path in found.paths],
        "ys": [path[:, 1].astype(np.float32) for path in found.paths],
        "reach": found.reach.astype(np.int32),
        "width": (thinnest + 2.6 * wide / max(int(wide.max()), 4)).astype(np.float32),
        "temperature": daily.layers["predicted"].of_day(daily.warmest())[found.reach].astype(np.float32),
    }
    series = {
        "time": daily.days.to_numpy("datetime64[ms]").astype(np.float64),
        **{name: layer.of_reach(daily.busiest()) for name, layer in daily.layers.items()},
    }
    picked: dict[str, list[Any]] = {"xs": [], "ys": [], "reach": [], "temperature": []}
    columns = {"lines": lines, "series": series, "picked": picked}
    return {name: models.ColumnDataSource(data, name=name) for name, data in columns.items()}


def _data(contents: Contents) -> dict[str, Any]:
    """Pack the values for the script: codes of two bytes, which Bokeh embeds unchanged."""
    daily = contents.daily
    measure = ruler(daily.layers)
    # Only `observed` says which days are held out.
    days = "held-out days" if daily.held_out else "all observed days shown, including any used for training"
    facts = {
        "units": contents.units,
        "first": daily.busiest(),
        "reaches": daily.reaches,
        "segments": daily.segments,
        "words": {"observed": days, "label": "days with labels, which models are trained on"},
        "palettes": [list(_palette()), list(_bokeh("palettes").Plasma256[_COLDEST:])],
        "ends": _ends(daily),
    }
    layers = {
        name: {"codes": measure.encode(layer.values).ravel(), "rows": layer.rows}
        for name, layer in daily.layers.items()
    }
    dates = daily.days.strftime("%Y-%m-%d").tolist()
    return {"layers": layers, "days": dates, "facts": facts | asdict(measure)}


def _palette() -> Any:
    return _bokeh("palettes").Plasma256[:_WARMEST]


def _ends(daily: Daily) -> tuple[float, float]:
    """Find the temperatures at the ends of the colours of all days."""
    low, high = (float(q) for q in np.nanpercentile(daily.layers["predicted"].values, [1, 99]))
    return low, high if high > low else low + 1


def _map(models: Any, parts: dict[str, Any], contents: Contents) -> Any:
    tools, found = "pan,wheel_zoom,box_zoom,reset,save", contents.lines
    figure = _figure("map", tools, match_aspect=True, aspect_scale=found.shrink())
    # A straight river has no extent across, so the ranges are those of two invisible corners.
    figure.scatter(*np.transpose(found.frame()), alpha=0)
    figure.x_range.range_padding = figure.y_range.range_padding = 0
    low, high = _ends(contents.daily)
    mapper = models.LinearColorMapper(
        palette=_palette(), low=low, high=high, nan_color=MISSING, name="colours"
    )
    colour = {"field": "temperature", "transform": mapper}
    ends = {"line_cap": "round", "line_join": "round"}
    figure.multi_line("xs", "ys", source=parts["lines"], line_width="width", line_color=colour, **ends)
    under = {"line_width": 10, "line_color": MARK, "name": "under"}
    figure.multi_line("xs", "ys", source=parts["picked"], **under, **ends)
    figure.multi_line("xs", "ys", source=parts["picked"], line_width=5.5, line_color=colour, **ends)
    middles = found.middles(len(contents.daily.reaches))[contents.daily.sensors]
    east, north = middles[np.isfinite(middles).all(axis=1)].T
    circle = {"size": 6, "line_color": MARK, "line_width": 1.2, "fill_color": "white", "name": "sensors"}
    figure.scatter(east, north, **circle)
    bar = models.ColorBar(color_mapper=mapper, title=_quantity(models, contents), height=12, padding=4)
    bar.background_fill_color = None
    figure.add_layout(bar, "below")
    figure.title.text_font_size = "12pt"
    if found.schematic:
        figure.xaxis.update(axis_label=SCHEMATIC, ticker=[])
        figure.yaxis.update(axis_label=DISTANCE)
        return figure
    for axis, signs in ((figure.xaxis, "EW"), (figure.yaxis, "NS")):
        axis.formatter = models.CustomJSTickFormatter(
            code=f"return `${{+Math.abs(tick).toFixed(4)}}°${{tick < 0 ? '{signs[1]}' : '{signs[0]}'}}`"
        )
        axis.ticker.desired_num_ticks = 4
    return figure


def _quantity(models: Any, contents: Contents) -> Any:
    """Label a temperature, as text that Bokeh does not search for formulas."""
    return models.PlainText(text=f"water temperature [{contents.units}]")


def _chart(models: Any, parts: dict[str, Any], contents: Contents) -> Any:
    daily, source = contents.daily, parts["series"]
    tools, label = "xpan,xwheel_zoom,xbox_zoom,reset,save", _quantity(models, contents)
    figure = _figure("chart", tools, x_axis_type="datetime", y_axis_label=label)
    if daily.spin_up is not None:
        shade = {"fill_color": LABEL, "fill_alpha": 0.15, "line_color": None, "legend_label": "spin-up"}
        figure.vstrip(*([day] for day in daily.spin_up), **shade)
    if daily.level is not None:
        words = f"{100 * daily.level:.4g} % interval"
        shade = {"fill_color": CURVE, "fill_alpha": 0.22, "legend_label": words}
        figure.varea("time", "low", "high", source=source, **shade)
    if "simulated" in daily.layers:
        style = {"color": _SIMULATED, "line_width": 1.3, "legend_label": "segment, simulated"}
        figure.line("time", "simulated", source=source, **style)
    # Often the segment's observations are the reach's own; drawn larger, both can be seen.
    solid, hollow = {"size": 4.5}, {"size": 8, "fill_alpha": 0, "line_alpha": 0.7}
    dots = (
        ("segment", hollow | {"marker": "triangle", "color": SEGMENT}, "segment, observed"),
        ("label", solid | {"color": LABEL}, "observed, label"),
        ("observed", solid | {"color": OBSERVED}, "observed, held out" if daily.held_out else "observed"),
    )
    for name, look, words in dots:
        if name in daily.layers:
            figure.scatter("time", name, source=source, legend_label=words, **look)
    style = {"color": CURVE, "line_width": 1.8, "legend_label": "predicted", "name": "curve"}
    line = figure.line("time", "predicted", source=source, **style)
    # Bokeh reads a tooltip as HTML, but what a formatter returns as text.
    code = "return `${value.toFixed(1)} ${units}`"
    temperature = models.CustomJSHover(args={"units": contents.units}, code=code)
    hover = models.HoverTool(renderers=[line], mode="vline")
    hover.tooltips = [("", "@time{%F}"), ("predicted", "@predicted{custom}")]
    hover.formatters = {"@time": "datetime", "@predicted": temperature}
    figure.add_tools(hover)
    figure.legend.update(orientation="horizontal", click_policy="hide", label_text_font_size="8.5pt")
    figure.legend.update(
        border_line_color=None, background_fill_color=None, padding=2, spacing=3, ncols=2, location="left"
    )
    figure.add_layout(figure.legend[0], "above")
    return figure


def _figure(name: str, tools: str, **options: Any) -> Any:
    """Make a plain figure; the wheel scrolls the page until its tool is selected."""
    options |= {"height": _HEIGHT, "sizing_mode": "stretch_width", "title": " ", "active_scroll": None}
    figure = _bokeh("plotting").figure(name=name, tools=tools, **options)
    figure.toolbar.update(logo=None, autohide=True)
    figure.grid.grid_line_color = "#ececec"
    figure.outline_line_color = figure.background_fill_color = figure.border_fill_color = None
    figure.axis.axis_line_color = figure.axis.major_tick_line_color = "#bbbbbb"
    figure.axis.minor_tick_line_color = None
    figure.axis.axis_label_text_font_style = "normal"
    return figure


def _roots(models: Any, parts: dict[str, Any]) -> list[Any]:
    play = [parts[name] for name in ("play", "slider") if parts[name] is not None]
    wide = {"sizing_mode": "stretch_width"}
    below_map = [models.Row(children=play, **wide), *([parts["scale"]] if parts["scale"] else [])]
    below_chart = models.Row(children=[parts["find"], parts["note"], parts["dark"]], **wide)
    return [
        models.Column(children=[parts["map"], *below_map], name="left", **wide),
        models.Column(children=[parts["chart"], below_chart], name="right", **wide),
    ]


def _listen(callback: Any, parts: dict[str, Any]) -> None:
    events = _bokeh("events")
    for name in ("map", "chart"):
        parts[name].js_on_event(events.Tap, callback)
    for event in (events.MouseMove, events.MouseLeave):
        parts["map"].js_on_event(event, callback)
    changes = {"slider": "value", "play": "active", "find": "value", "scale": "active", "dark": "active"}
    for name, change in changes.items():
        if parts[name] is not None:
            parts[name].js_on_change(change, callback)
