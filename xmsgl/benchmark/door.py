"""The whole benchmark in one call."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmsgl.benchmark.figures import draw_figures
from xmsgl.benchmark.machine import code_digest
from xmsgl.benchmark.plan import make_plan
from xmsgl.benchmark.report import write_report
from xmsgl.benchmark.runner import do_runs
from xmsgl.benchmark.store import Store

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

__all__ = ["run"]

logger = logging.getLogger(__name__)


def run(
    dataset: str,
    *,
    out: str | os.PathLike[str],
    protocol: str = "temporal",
    fractions: Iterable[float] | None = None,
    methods: Iterable[str] | None = None,
    seeds: int | Iterable[int] = 3,
    draw: int | None = None,
    settings: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    degrade: Iterable[Mapping[str, float]] | None = None,
    jobs: int = 1,
    device: str = "auto",
    ensembles: bool = False,
    blends: Sequence[str] = (),
    figures: bool = True,
    command: str | None = None,
) -> pd.DataFrame:
    """Run a benchmark, or what is left of it, and write scores, tables and figures.

    Runs that are finished in the folder are not done again, whatever call did them; a network that was
    interrupted goes on from its last epoch. So a folder may be filled by several calls.

    Parameters
    ----------
    dataset
        ``"delaware"``, ``"simulated"``, or a name of :func:`register_source`.
    out
        Folder of the benchmark.
    protocol
        ``"temporal"``: whole water years are held out; ``"spatial"``: a fifth of the segments. Always at
        both scales.
    fractions
        Parts of the fine labels to learn from. Default: 0.001, 0.01, 0.1, 1 (temporal); 1 (spatial).
    methods
        Networks and references, with settings where wanted: ``"msgl:kernel=reference,hops=5"``. Default:
        two references and four networks.
    seeds
        How many, from 0 on, or which.
    draw
        Seed of labels, segments and simulated basins in all runs, so that only the methods' own seeds
        differ; None: each run's own.
    settings
        Settings of all networks, for example ``{"epochs": 40}``; see :func:`xmsgl.training.train.train`.
    data
        Arguments of the dataset, for example ``{"region": "02040104"}``.
    degrade
        Degradations of coarse labels or process model, see :func:`xmsgl.benchmark.degrade.degrade`; one
        set of runs each.
    jobs
        Processes side by side, one thread each. 1: in this process. With more, a script needs
        ``if __name__ == "__main__":``.
    device
        Of the networks: ``"auto"``, ``"cpu"`` or ``"cuda"``.
    ensembles
        Also score the mean prediction of seeds that learned from the same labels.
    blends
        Also score the mean prediction of several methods, for example ``["msgl + booster-coarse"]``, named
        as the table names them.
    figures
        Draw figures; needs matplotlib.
    command
        What the page shows as the way to repeat it.

    Returns
    -------
    pandas.DataFrame
        Tidy scores of all finished runs in the folder, as in ``scores.parquet``.

    Raises
    ------
    UnknownNameError, InvalidArgumentError
        The plan is not one; nothing was run.
    OutputError
        The folder cannot be written to, or has a table that is not of a benchmark.
    KeyboardInterrupt
        After Ctrl-C. Repeat the call to go on.

    Examples
    --------
    >>> import tempfile
    >>> basin = {"n_coarse": 3, "reaches_per_segment": 2, "years": 3}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scores = run(
    ...         "simulated",
    ...         out=folder,
    ...         fractions=[0.1],
    ...         methods=["climatology"],
    ...         seeds=1,
    ...         data=basin,
    ...         figures=False,
    ...     )
    >>> int(scores.query("group == 'all' and metric == 'rmse'").n.item())
    2196
    """
    plan = make_plan(
        dataset,
        protocol=protocol,
        fractions=fractions,
        methods=methods,
        seeds=seeds,
        draw=draw,
        settings=settings,
        data=data,
        degrade=degrade,
    )
    store = Store(Path(out))
    store.make()
    store.note_command(command or f"xmsgl.benchmark.run({dataset!r}, protocol={protocol!r}, ...)")
    _say_what_is_old(store)
    try:
        failed = do_runs(plan, store, jobs=jobs, device=device)
    except KeyboardInterrupt:
        write_report(store, ensembles=ensembles, blends=blends)
        left = store.missing(each.id for each in plan)
        logger.warning(
            "interrupted: %d of %d runs are left; the same call goes on where it stopped",
            len(left),
            len(plan),
        )
        raise
    scores = write_report(store, ensembles=ensembles, blends=blends)
    if failed:
        logger.warning("%d of %d runs failed; table.md says why", len(failed), len(plan))
    if figures:
        draw_figures(store, scores)
    return scores


def _say_what_is_old(store: Store) -> None:
    old = [record["id"] for record in store.records() if record["code"] != code_digest()]
    if old:
        logger.warning(
            "%d finished runs in %s were made by other code and are kept as they are; "
            "delete their folders under runs/ to repeat them",
            len(old),
            store.folder,
        )
