"""Commands whose options take several values at once: ``--fractions 0.01 0.1 1``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ListsCommand"]


class ListsCommand(click.Command):
    """A command whose repeatable options take several values at once.

    A list ends at the next word that begins with a dash, so arguments come before it, or after ``--``.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite lists for click, then parse."""
        lists = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.multiple
            for name in parameter.opts
        }
        return super().parse_args(ctx, _repeat(args, lists))


def _repeat(args: Sequence[str], lists: set[str]) -> list[str]:
    """Rewrite ``--option a b`` as ``--option a --option b``."""
    done: list[str] = []
    option, given = "", 0
    for word in args:
        if word.startswith("-"):
            option, given = (word if word in lists else ""), 0
        elif option:
            if given:
                done.append(option)
            given += 1
        done.append(word)
    return done
