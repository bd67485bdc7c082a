"""``python -m xmsgl``, which ``torchrun -m xmsgl`` needs: the command line."""

from __future__ import annotations

from xmsgl.cli.main import main

if __name__ == "__main__":
    main(prog_name="xmsgl")
