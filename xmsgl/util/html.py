"""HTML of objects shown in a notebook; all text is escaped.

Text and tables inherit the colours of the page, light or dark; lines use the theme's colour or
half-transparent grey. Styles are inline because untrusted notebooks drop style sheets, and because the
notebook's own rules for tables override those of a class.
"""

from __future__ import annotations

import sys
from functools import wraps
from html import escape
from typing import TYPE_CHECKING, Any, NewType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Markup", "as_xarray_shows", "card", "facts", "folded", "table"]

Markup = NewType("Markup", str)
"""HTML written by the functions of this module; a type of its own keeps unescaped text out."""

_LINE = "1px solid var(--jp-border-color2, var(--vscode-widget-border, rgba(128, 128, 128, 0.45)))"
_TABLE = (
    "border-collapse:collapse;table-layout:auto;width:auto;margin:0.3em 0 0.5em;border:none;"
    "color:inherit;font-size:inherit;font-variant-numeric:tabular-nums"
)
_CELL = "padding:0.15em 0;border:none;vertical-align:top;line-height:1.4;white-space:normal;max-width:48em"
_WORDS = f"{_CELL};text-align:left;padding-right:1.4em"
_NUMBER = f"{_CELL};text-align:right;padding-left:1.4em"
_LABEL = f"{_WORDS};font-weight:normal;opacity:0.75"
_HEAD = f"font-weight:normal;opacity:0.75;vertical-align:bottom;border-bottom:{_LINE}"


def as_xarray_shows(method: Callable[[Any], str]) -> Callable[[Any], str]:
    """Make a ``_repr_html_`` follow ``xr.set_options(display_style="text")``."""

    @wraps(method)
    def shown(self: Any) -> str:
        xarray = sys.modules.get("xarray")  # its options can only be set after an import
        if xarray is not None and xarray.get_options()["display_style"] == "text":
            return f"<pre>{escape(repr(self))}</pre>"
        return method(self)

    return shown


def card(title: str, *parts: Markup, about: str = "") -> Markup:
    """Put a title above the parts."""
    behind = f" <span style='opacity:0.75'>{escape(about)}</span>" if about else ""
    return Markup(
        "<div class='xmsgl' style='color:inherit;background:none;margin:0 0 0.6em;overflow-x:auto'>"
        f"<div><strong>{escape(title)}</strong>{behind}</div>{''.join(parts)}</div>"
    )


def facts(rows: Iterable[tuple[str, str]]) -> Markup:
    """Write a table of labels and texts."""
    body = "".join(
        f"<tr><th scope='row' style='{_LABEL}'>{escape(label)}</th>"
        f"<td style='{_WORDS};overflow-wrap:anywhere'>{escape(text)}</td></tr>"
        for label, text in rows
    )
    return Markup(f"<table style='{_TABLE}'><tbody>{body}</tbody></table>")


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    words: int = 1,
    groups: Sequence[tuple[str, int]] = (),
) -> Markup:
    """Write a table with a header, whose first `words` columns are aligned to the left."""
    above = ""
    if groups:
        names = "".join(
            f"<th scope='colgroup' colspan='{span}' style='{_NUMBER};font-weight:normal'>"
            f"<span style='display:block;text-align:center;border-bottom:{_LINE}'>{escape(name)}</span></th>"
            for name, span in groups
        )
        above = f"<tr><td colspan='{words}' style='{_WORDS}'></td>{names}</tr>"
    styles = [_WORDS if column < words else _NUMBER for column in range(len(head))]
    heads = "".join(
        f"<th scope='col' style='{style};{_HEAD}'>{escape(name)}</th>"
        for name, style in zip(head, styles, strict=True)
    )
    body = "".join(_row(row, styles) for row in rows)
    return Markup(
        f"<table style='{_TABLE}'><thead>{above}<tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )


def _row(row: Sequence[str], styles: Sequence[str]) -> str:
    first, *others = (escape(text) for text in row)
    cells = "".join(
        f"<td style='{style}'>{text}</td>" for text, style in zip(others, styles[1:], strict=True)
    )
    return f"<tr><th scope='row' style='{styles[0]};font-weight:normal'>{first}</th>{cells}</tr>"


def folded(summary: str, body: Markup, *, unfolded: bool = False) -> Markup:
    """Write a section that unfolds on a click."""
    state = " open" if unfolded else ""
    return Markup(
        f"<details{state} style='margin:0.3em 0'><summary style='cursor:pointer'>{escape(summary)}</summary>"
        f"<div style='margin-left:1em'>{body}</div></details>"
    )
