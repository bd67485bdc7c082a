"""The command ``xmsgl completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from xmsgl.errors import XMSGLError

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, /, *, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash  eval "$(xmsgl completion bash)"     in ~/.bashrc, Bash 4.4 or newer
    zsh   eval "$(xmsgl completion zsh)"      in ~/.zshrc, after compinit
    fish  xmsgl completion fish | source      in ~/.config/fish/config.fish
    """  # noqa: D301 - the backspace makes click keep the lines as they are
    kind = get_completion_class(shell)
    if kind is None:
        msg = f"this version of click has no completion for {shell}"
        raise XMSGLError(msg)
    click.echo(kind(ctx.find_root().command, {}, "xmsgl", "_XMSGL_COMPLETE").source())
