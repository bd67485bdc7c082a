"""The value of the coarse scale: MSGL and fine-only on the simulated basin, scored on the full truth.

    python benchmarks/transfer.py                       # seeds 0 1 2, 1 % of the fine labels
    python benchmarks/transfer.py --seeds 0 --epochs 2  # a quick look

All methods have the same cell, inputs, windows and epochs. ``fine-only`` learns from the fine labels
alone, ``remap`` from the coarse ones. All are run with and without learned segment identities
(``identity=8``), which shows their effect separately.
"""

from __future__ import annotations

import argparse
import time

import torch

import xmsgl

METHODS = {
    "msgl": ("msgl", {"identity": 8, "weighting": "uniform"}),
    "fine-only": ("fine-only", {}),
    "fine-only, identities": ("fine-only", {"identity": 8}),
    "remap": ("remap", {}),
    "remap, identities": ("remap", {"identity": 8}),
    "msgl, no identities": ("msgl", {"weighting": "uniform"}),
}
GAINS = {"below fine-only": "fine-only", "below with identities": "fine-only, identities"}


def run(seed: int, settings: dict[str, int], basin: dict[str, int]) -> dict[str, float]:
    """Train each method on one simulated basin; RMSE (degC) against the true field of every reach and day."""
    ds = xmsgl.datasets.simulated(seed=seed, **basin)
    truth = ds["true_temperature_fine"]
    scores = {}
    for name, (method, extra) in METHODS.items():
        start = time.perf_counter()
        model = ds.msgl.train(method, seed=seed, progress=False, **{**settings, **extra})
        scores[name] = float(xmsgl.evaluate.score(ds.msgl.downscale(model), truth)["rmse"])
        print(
            f"seed {seed}  {name:<21} RMSE {scores[name]:.3f} degC  {time.perf_counter() - start:5.0f} s",
            flush=True,
        )
    return scores


def main(arguments: list[str] | None = None) -> None:
    """Print one line per run and the table of ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--hidden", type=int, default=None)
    parser.add_argument("--window", type=int, default=90)
    parser.add_argument("--warmup", type=int, default=30)
    parser.add_argument("--segments", type=int, default=40)
    parser.add_argument("--years", type=int, default=6)
    given = parser.parse_args(arguments)
    named = ("epochs", "hidden", "window", "warmup")
    settings = {name: getattr(given, name) for name in named if getattr(given, name) is not None}
    basin = {"n_coarse": given.segments, "years": given.years}
    print(
        f"xmsgl {xmsgl.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads, {settings}"
    )
    scores = {seed: run(seed, settings, basin) for seed in given.seeds}
    print("\nRMSE against the full true fine field, degC, and how far MSGL is below fine-only")
    print("seed  " + "  ".join(f"{name:>21}" for name in [*METHODS, *GAINS]))
    for seed, row in scores.items():
        shares = [1 - row["msgl"] / row[other] for other in GAINS.values()]
        cells = [f"{row[name]:21.3f}" for name in METHODS] + [f"{share:21.1%}" for share in shares]
        print(f"{seed:>4}  " + "  ".join(cells))


if __name__ == "__main__":
    main()
