"""The value of the coarse scale: MSGL, fine-only and remap on the simulated basin, scored on held-out days.

    python benchmarks/transfer.py --out transfer                       # seeds 0 1 2, 1 % of the fine labels
    python benchmarks/transfer.py --out quick --seeds 0 --epochs 2     # a quick look

All methods have the same cell, inputs, windows and epochs. ``fine-only`` learns from the fine labels
alone, ``remap`` from the coarse ones. All are run with and without learned segment identities
(``identity=8``), which shows their effect separately. Only the true field of the last water year is scored;
its labels are masked at both scales. A repeated call with the same folder continues after the last run.
"""

from __future__ import annotations

import argparse

import xmsgl.benchmark

METHODS = {
    "msgl": "msgl:identity=8",
    "fine-only": "fine-only",
    "fine-only, identities": "fine-only:identity=8",
    "remap": "remap",
    "remap, identities": "remap:identity=8",
    "msgl, no identities": "msgl",
}
OTHERS = [name for name in METHODS if not name.startswith("msgl")]


def main(arguments: list[str] | None = None) -> None:
    """Run each method on each basin and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--segments", type=int, default=40)
    parser.add_argument("--years", type=int, default=6)
    given = parser.parse_args(arguments)
    scores = xmsgl.benchmark.run(
        "simulated",
        out=given.out,
        fractions=[0.01],
        methods=METHODS.values(),
        seeds=given.seeds,
        settings={"epochs": given.epochs, "window": 90, "warmup": 30, "weighting": "uniform"},
        data={"n_coarse": given.segments, "years": given.years},
        figures=False,
    ).query("group == 'all' and metric == 'rmse'")
    rmse = scores.pivot(index="seed", columns="label", values="value")[[*METHODS.values()]]
    rmse.columns = [*METHODS]
    rmse.loc["mean"] = rmse.mean()
    print(f"RMSE [degC], n = {scores['n'].iloc[0]:,} in each run, and how far MSGL is below the others\n")
    print("| seed |", " | ".join([*METHODS, *(f"below {name}" for name in OTHERS)]), "|")
    print("|--:" * (1 + len(METHODS) + len(OTHERS)) + "|")
    for seed, row in rmse.iterrows():
        cells = [f"{value:.3f}" for value in row] + [f"{1 - row['msgl'] / row[name]:.1%}" for name in OTHERS]
        print(f"| {seed} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
