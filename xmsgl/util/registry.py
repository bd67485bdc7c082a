"""Registries: values by name, those of the package, of the session and of plug-ins."""

from __future__ import annotations

import logging
from collections import UserDict
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar, cast

from xmsgl.errors import InvalidArgumentError, PluginError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Registry"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
Given = TypeVar("Given")


class Registry(UserDict[str, T]):
    """Values by name, sorted; messages call a value `kind`.

    Plug-ins, the entry points of `group`, are searched when a name is unknown or names are listed, and are
    imported when requested. A registered value must be derived from `base`, or callable where that is None.
    """

    def __init__(
        self, kind: str, values: Mapping[str, T] | None = None, *, group: str = "", base: type | None = None
    ) -> None:
        self.kind, self._group, self._base = kind, group, base
        super().__init__(values or {})

    def register(self, name: str) -> Callable[[Given], Given]:
        """Register a function or class under a name.

        Parameters
        ----------
        name
            Name by which it is chosen.

        Returns
        -------
        callable
            A decorator that returns the function or class unchanged.

        Raises
        ------
        InvalidArgumentError
            The name is empty or belongs to another function or class, not one that is only defined again;
            or what is decorated cannot be used here.

        Examples
        --------
        >>> shapes = Registry("shape")
        >>> @shapes.register("flat")
        ... def flat(distance):
        ...     return 1.0
        >>> shapes["flat"](3.0), list(shapes)
        (1.0, ['flat'])
        """
        if not (isinstance(name, str) and name.strip()):  # type: ignore[redundant-expr]  # callers may be untyped
            msg = f"the name of a {self.kind} must be text, not {name!r}"
            raise InvalidArgumentError(msg)

        def keep(value: Given) -> Given:
            former = self.data.get(name, value)
            if _home(former) != _home(value):
                msg = f"there is already a {self.kind} {name!r} ({_home(former)[1]}); choose another name"
                raise InvalidArgumentError(msg)
            self[name] = self._checked(name, value)
            return value

        return keep

    def __getitem__(self, name: str) -> T:
        if name not in self:
            raise UnknownNameError(self.kind, name, self)
        if name not in self.data:
            point = self._plugins[name]
            try:
                self[name] = self._checked(name, point.load())
            except Exception as error:
                what = f"the {self._origin(point)} cannot be used: {type(error).__name__}: {error}"
                msg = f"{what}; update or uninstall that package"
                raise PluginError(msg) from error
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self.data or name in self._plugins)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self.data, *self._plugins}))

    def __len__(self) -> int:
        return len({*self.data, *self._plugins})

    @cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        """Entry points by name, without those whose name is taken."""
        found: dict[str, EntryPoint] = {}
        for point in sorted(entry_points(group=self._group)) if self._group else ():
            if point.name in self.data or point.name in found:
                logger.warning("the %s is not used, because its name is taken", self._origin(point))
            else:
                found[point.name] = point
        return found

    def _checked(self, name: str, value: Any) -> T:
        base = self._base
        if not (callable(value) if base is None else isinstance(value, type) and issubclass(value, base)):
            wanted = "callable" if base is None else f"a class derived from {base.__name__}"
            msg = f"the {self.kind} {name!r} must be {wanted}, not {value!r}"
            raise InvalidArgumentError(msg)
        return cast("T", value)

    def _origin(self, point: EntryPoint) -> str:
        package = getattr(point.dist, "name", "unknown")
        return f"{self.kind} {point.name!r} of the package {package} ({point.value} in {point.group})"


def _home(value: object) -> tuple[str, str]:
    return getattr(value, "__module__", ""), getattr(value, "__qualname__", repr(value))
