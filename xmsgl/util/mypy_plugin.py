"""A plugin for mypy that gives ``ds.msgl`` its type: ``plugins = ["xmsgl.util.mypy_plugin"]``.

xarray attaches accessors at run time, which a type checker cannot see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy.nodes import TypeInfo
from mypy.plugin import Plugin
from mypy.types import Instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy.nodes import MypyFile
    from mypy.plugin import AttributeContext
    from mypy.types import Type

__all__ = ["plugin"]

_MODULE, _CLASS = "xmsgl.accessor", "MsglAccessor"
_OWNERS = ("xarray.core.dataset.Dataset", "xarray.core.datatree.DataTree")


class _Accessor(Plugin):
    """Give the attribute ``msgl`` of Dataset and DataTree its type."""

    def get_additional_deps(self, file: MypyFile) -> list[tuple[int, str, int]]:
        return [(10, _MODULE, -1)] if file.fullname == "xarray" else []

    def get_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type] | None:
        return _typed if fullname.startswith("xarray.") and fullname.endswith(".msgl") else None


def _typed(context: AttributeContext) -> Type:
    """Return the accessor's type for a Dataset or DataTree, otherwise mypy's own."""
    owner = str(context.type).partition("[")[0]
    if owner not in _OWNERS:
        return context.default_attr_type
    module = getattr(context.api, "modules", {}).get(_MODULE)
    symbol = module.names.get(_CLASS) if module is not None else None
    if symbol is None or not isinstance(symbol.node, TypeInfo):
        return context.default_attr_type
    return Instance(symbol.node, [])


def plugin(version: str) -> type[Plugin]:  # noqa: ARG001 - mypy's signature
    """Return the plugin class, as mypy expects."""
    return _Accessor
