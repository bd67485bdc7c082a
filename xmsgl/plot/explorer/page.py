"""The explorer page as Bokeh models, and those as one file that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from xmsgl.plot.explorer.data import Paths, ruler
from xmsgl.plot.style import CURVE, LABEL, MARK, MISSING, OBSERVED, SEGMENT
from xmsgl.util.optional import require

if TYPE_CHECKING:
    from xmsgl.plot.explorer.gather import Daily

__all__ = ["Contents", "render"]

_SIMULATED = "#B0709A"  # purple after Okabe and Ito
_HEIGHT = 560  # px, of the map; the series stands lower by the row of the search
_WARMEST = 215  # plasma without its yellow end, as in the other pictures: it stands out from white


@dataclass(frozen=True)
class Contents:
    """What is on the page.

    Attributes
    ----------
    title
        Heading.
    paths
        Lines of the map.
    daily
        Values.
    units
        As written behind a temperature.
    """

    title: str
    paths: Paths
    daily: Daily
    units: str


def render(contents: Contents) -> str:
    """Write the page."""
    models, daily = _bokeh("models"), contents.daily
    parts = _controls(models, daily) | _sources(models, contents)
    parts |= {"map": _map(models, parts, contents), "chart": _chart(models, parts, contents)}
    parts["today"] = models.Span(
        name="today", dimension="height", line_color=MARK, line_dash=[4, 3], line_width=1
    )
    parts["chart"].add_layout(parts["today"])
    parts["tip"] = models.Tooltip(name="tip", position=None, visible=False, content="")
    parts["map"].elements.append(parts["tip"])
    callback = models.CustomJS(args=parts | _data(contents), code=_shipped("explorer.js"))
    _listen(callback, parts)  # before there is a document, which would look through everything each time
    document = _bokeh("document").Document()
    for root in _roots(models, parts):
        document.add_root(root)
    document.js_on_event(_bokeh("events").DocumentReady, callback)
    span = f"{daily.days[0]:%Y-%m-%d} to {daily.days[-1]:%Y-%m-%d}"
    about = (
        f"{len(daily.reaches):,} reaches, {span}. Click a river for its series, a day of the series for "
        "its map. The arrow keys move the slider when it is chosen with Tab."
    )
    page: str = _bokeh("embed").file_html(
        document,
        _bokeh("resources").INLINE,
        contents.title,
        template=_shipped("explorer.html"),
        template_variables={"heading": contents.title, "about": about, "share": _share(contents.paths)},
    )
    return page


def _bokeh(part: str) -> Any:
    return require(f"bokeh.{part}", "the explorer page", extra="explore")


def _shipped(name: str) -> str:
    return files("xmsgl.plot.explorer").joinpath(name).read_text(encoding="utf-8")


def _controls(models: Any, daily: Daily) -> dict[str, Any]:
    """Make what can be pressed; of a single day there is nothing to play."""
    last, day = len(daily.days) - 1, daily.warmest()
    wide = {"sizing_mode": "stretch_width", "show_value": False, "margin": (12, 15, 5, 15)}
    slider = models.Slider(start=0, end=last, value=day, step=1, title="", name="slider", **wide)
    play = models.Toggle(label="► Play", width=90, name="play", tags=[0])
    return {
        "slider": slider if last else None,
        "play": play if last else None,
        "find": models.TextInput(placeholder="find a reach by its id", width=170, name="find"),
        # As text, not as HTML: it repeats what was typed.
        "note": models.Div(
            text="",
            name="note",
            render_as_text=True,
            sizing_mode="stretch_width",
            styles={"padding": "6px 0"},
        ),
    }


def _sources(models: Any, contents: Contents) -> dict[str, Any]:
    """Make the columns that the script fills, and the lines."""
    paths, daily = contents.paths, contents.daily
    wide = paths.order - 1
    lines = {
        "xs": paths.east,
        "ys": paths.north,
        "reach": paths.reach,
        "width": (0.8 + 2.6 * wide / max(int(wide.max()), 4)).astype(np.float32),
        # The script fills in these and the series for other days and reaches.
        "temperature": daily.layers["predicted"].of_day(daily.warmest())[paths.reach].astype(np.float32),
    }
    series = {
        "time": daily.days.to_numpy("datetime64[ms]").astype(np.float64),
        **{name: layer.of_reach(daily.busiest()) for name, layer in daily.layers.items()},
    }
    picked: dict[str, list[Any]] = {"xs": [], "ys": [], "reach": [], "temperature": []}
    columns = {"lines": lines, "series": series, "picked": picked}
    return {name: models.ColumnDataSource(data, name=name) for name, data in columns.items()}


def _data(contents: Contents) -> dict[str, Any]:
    """Pack the values for the script: codes of two bytes, which Bokeh embeds as they are."""
    daily = contents.daily
    measure = ruler(daily.layers)
    return {
        "layers": {
            name: {"codes": measure.encode(layer.values).ravel(), "rows": layer.rows}
            for name, layer in daily.layers.items()
        },
        "days": [f"{day:%Y-%m-%d}" for day in daily.days],
        "facts": {
            "low": measure.low,
            "step": measure.step,
            "gap": measure.gap,
            "units": contents.units,
            "first": daily.busiest(),
            "reaches": daily.reaches,
            "segments": daily.segments,
            "words": _scored_on(daily),
        },
    }


def _scored_on(daily: Daily) -> dict[str, str]:
    """Tell by layer what the RMSE over it is of: a page knows no test days but those it was told."""
    told = "held-out days" if daily.held_out else "all observed days shown, trained on or not"
    return {"observed": told, "label": "days with labels, which models learn from"}


def _map(models: Any, parts: dict[str, Any], contents: Contents) -> Any:
    figure = _bokeh("plotting").figure(
        name="map",
        height=_HEIGHT,
        sizing_mode="stretch_width",
        title=" ",
        match_aspect=True,
        # One degree of longitude is shorter than one of latitude by the cosine of the latitude.
        aspect_scale=_extent(contents.paths)[0],
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll=None,  # so that the wheel moves the page until the tool is chosen
    )
    values = contents.daily.layers["predicted"].values
    low, high = (float(q) for q in np.nanpercentile(values, [1, 99]))
    mapper = models.LinearColorMapper(
        palette=_bokeh("palettes").Plasma256[:_WARMEST],
        low=low,
        high=high if high > low else low + 1,
        nan_color=MISSING,
    )
    colour = {"field": "temperature", "transform": mapper}
    ends = {"line_cap": "round", "line_join": "round"}
    figure.multi_line("xs", "ys", source=parts["lines"], line_width="width", line_color=colour, **ends)
    figure.multi_line("xs", "ys", source=parts["picked"], line_width=10, line_color=MARK, **ends)
    figure.multi_line("xs", "ys", source=parts["picked"], line_width=5.5, line_color=colour, **ends)
    bar = models.ColorBar(color_mapper=mapper, title=_quantity(models, contents), height=12, padding=4)
    figure.add_layout(bar, "below")
    for axis, signs in ((figure.xaxis, "EW"), (figure.yaxis, "NS")):
        axis.formatter = models.CustomJSTickFormatter(
            code=f"return `${{+Math.abs(tick).toFixed(4)}}°${{tick < 0 ? '{signs[1]}' : '{signs[0]}'}}`"
        )
        axis.ticker.desired_num_ticks = 4
    figure.title.text_font_size = "12pt"
    _plain(figure)
    return figure


def _quantity(models: Any, contents: Contents) -> Any:
    """Write what is shown, as text in which Bokeh looks for no formulas."""
    return models.PlainText(text=f"water temperature [{contents.units}]")


def _extent(paths: Paths) -> tuple[float, float]:
    """Give the cosine of the middle latitude, and how much wider than high the network is."""
    east, north = np.concatenate(paths.east), np.concatenate(paths.north)
    shrink = float(np.cos(np.deg2rad((north.min() + north.max()) / 2)))
    return shrink, shrink * float(np.ptp(east)) / max(float(np.ptp(north)), 1e-6)


def _share(paths: Paths) -> int:
    """Give a tall basin a narrow column and a wide one a wide column, in hundredths of the page."""
    return int(np.clip(18 + 32 * _extent(paths)[1], 34, 55))


def _chart(models: Any, parts: dict[str, Any], contents: Contents) -> Any:
    daily, source = contents.daily, parts["series"]
    figure = _bokeh("plotting").figure(
        name="chart",
        height=_HEIGHT,
        sizing_mode="stretch_width",
        title=" ",
        x_axis_type="datetime",
        y_axis_label=_quantity(models, contents),
        tools="xpan,xwheel_zoom,xbox_zoom,reset,save",
        active_scroll=None,
        tooltips=None,
    )
    if daily.level is not None:
        words = f"{100 * daily.level:.4g} % interval"
        shade = {"fill_color": CURVE, "fill_alpha": 0.22, "legend_label": words}
        figure.varea("time", "low", "high", source=source, **shade)
    if "simulated" in daily.layers:
        figure.line(
            "time",
            "simulated",
            source=source,
            color=_SIMULATED,
            line_width=1.3,
            legend_label="segment, simulated",
        )
    # The segment's often are the reach's own: around those, so that both are seen.
    solid, hollow = {"size": 4.5}, {"size": 8, "fill_alpha": 0, "line_alpha": 0.7}
    dots = (
        ("segment", hollow | {"marker": "triangle", "color": SEGMENT}, "segment, observed"),
        ("label", solid | {"color": LABEL}, "observed, label"),
        ("observed", solid | {"color": OBSERVED}, "observed, held out" if daily.held_out else "observed"),
    )
    for name, look, words in dots:
        if name in daily.layers:
            figure.scatter("time", name, source=source, legend_label=words, **look)
    line = figure.line(
        "time", "predicted", source=source, color=CURVE, line_width=1.8, legend_label="predicted"
    )
    # Bokeh takes a tooltip for HTML, but what a formatter returns for text.
    temperature = models.CustomJSHover(
        args={"units": contents.units}, code="return `${value.toFixed(1)} ${units}`"
    )
    figure.add_tools(
        models.HoverTool(
            renderers=[line],
            tooltips=[("", "@time{%F}"), ("predicted", "@predicted{custom}")],
            formatters={"@time": "datetime", "@predicted": temperature},
            mode="vline",
        )
    )
    figure.legend.update(orientation="horizontal", click_policy="hide", label_text_font_size="8.5pt")
    figure.legend.update(border_line_color=None, padding=2, spacing=3, ncols=2, location="left")
    figure.add_layout(figure.legend[0], "above")
    _plain(figure)
    return figure


def _plain(figure: Any) -> None:
    figure.toolbar.logo = None
    figure.toolbar.autohide = True
    figure.grid.grid_line_color = "#ececec"
    figure.outline_line_color = None
    figure.axis.axis_line_color = figure.axis.major_tick_line_color = "#bbbbbb"
    figure.axis.minor_tick_line_color = None
    figure.axis.axis_label_text_font_style = "normal"


def _roots(models: Any, parts: dict[str, Any]) -> list[Any]:
    play = [parts[name] for name in ("play", "slider") if parts[name] is not None]
    rows = {
        "left": [parts["map"], models.Row(children=play, sizing_mode="stretch_width")],
        "right": [
            parts["chart"],
            models.Row(children=[parts["find"], parts["note"]], sizing_mode="stretch_width"),
        ],
    }
    return [
        models.Column(children=children, name=name, sizing_mode="stretch_width")
        for name, children in rows.items()
    ]


def _listen(callback: Any, parts: dict[str, Any]) -> None:
    events = _bokeh("events")
    for name in ("map", "chart"):
        parts[name].js_on_event(events.Tap, callback)
    for event in (events.MouseMove, events.MouseLeave):
        parts["map"].js_on_event(event, callback)
    for name, change in (("slider", "value"), ("play", "active"), ("find", "value")):
        if parts[name] is not None:
            parts[name].js_on_change(change, callback)
