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
from xmsgl.util.arguments import checked

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

__all__ = ["run"]

logger = logging.getLogger(__name__)


@checked
def run(
    dataset: str,
    *,
    out: str | os.PathLike[str],
    protocol: str = "temporal",
    fractions: Iterable[float] | None = None,
    methods: Iterable[str] | None = None,
    seeds: int | Iterable[int] = 3,
    draw: int | Iterable[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    degrade: Iterable[Mapping[str, float]] | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    device: str = "auto",
    ensembles: bool = False,
    blends: Sequence[str] = (),
    figures: bool = True,
    command: str | None = None,
) -> pd.DataFrame:
    """Run a benchmark, or the rest of it, and write scores, tables and figures.

    Finished runs in the folder are kept; an interrupted network resumes after its last epoch.

    Parameters
    ----------
    dataset
        ``"delaware"``, ``"simulated"``, or a name of :func:`register_source`.
    out
        Folder of the benchmark.
    protocol
        ``"temporal"``: whole water years are held out; ``"spatial"``: a fifth of the segments; ``"kfold"``:
        groups of neighbouring segments, of which draw 0 to 4 are the five folds of one division, 5 to 9 those
        of the next, and so on. Always at both scales. ``"spatial-observed"``, ``"gaps-30"``, ``"gaps-180"``,
        ``"forecast"``, ``"sensors-5"``, ``"sensors-10"``, ``"sensors-20"`` and ``"sensors-50"`` predict given
        the sensors that report, or what the setting ``given`` says, with methods trained in folds.
    fractions
        Fractions of the fine labels to learn from. Default: 0.001, 0.01, 0.1, 1 (temporal); 1 (spatial).
    methods
        Networks and references, optionally with settings: ``"msgl:kernel=reference,hops=5"``. Default:
        two references, four networks and, without `settings`, the stack that ``ds.msgl.train()`` trains.
    seeds
        Number of seeds, from 0 on, or the seeds.
    draw
        Seed of the labels kept, segments held out and simulated basins, or several of them, each with all
        seeds. Default: each run's own seed.
    settings
        Settings of all networks, for example ``{"epochs": 40}``; see :func:`xmsgl.training.train.train`.
    data
        Arguments of the dataset, for example ``{"region": "02040104"}``.
    degrade
        Errors for one set of runs each, see :func:`xmsgl.benchmark.degrade.degrade`.
    jobs
        Number of parallel processes, one thread each. 1: in this process. With more, a script needs
        ``if __name__ == "__main__":``.
    scheduler
        Address of a Dask scheduler, ``"tcp://host:8786"``: each run is one task of its workers, which must
        see the folder `out` under the same path. Default: no cluster.
    device
        Device of the networks: ``"auto"``, ``"cpu"`` or ``"cuda"``.
    ensembles
        Also score the mean prediction of seeds that learned from the same labels.
    blends
        Also score the mean prediction of several methods, for example ``["msgl + booster-coarse"]``.
    figures
        Draw figures; needs Matplotlib.
    command
        Command to print on the page. Default: this call.

    Returns
    -------
    pandas.DataFrame
        Tidy scores of all finished runs in the folder, as in ``scores.parquet``.

    Raises
    ------
    UnknownNameError, InvalidArgumentError
        The plan is not valid, see :func:`make_plan`; nothing was run.
    OutputError
        The folder cannot be written to, or has tables that no benchmark wrote.
    ProcessError
        No scheduler answers at the address.
    MissingDependencyError
        A library of the extra ``benchmark`` or ``cluster`` is not installed.
    KeyboardInterrupt
        After Ctrl-C. Repeat the call to resume.

    Examples
    --------
    >>> import tempfile
    >>> basin = {"n_coarse": 3, "reaches_per_segment": 2, "years": 3}
    >>> chosen = {"fractions": [0.1], "methods": ["climatology"], "seeds": 1, "figures": False}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scores = run("simulated", out=folder, data=basin, **chosen)
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
    if old := [record["id"] for record in store.records() if record["code"] != code_digest()]:
        logger.warning(
            "%d finished runs in %s were made by another version of the code and are kept; "
            "delete their folders under runs/ to repeat them",
            len(old),
            store.folder,
        )
    try:
        failed = do_runs(plan, store, jobs=jobs, device=device, scheduler=scheduler)
    except KeyboardInterrupt:
        write_report(store, ensembles=ensembles, blends=blends)
        left = store.missing(each.id for each in plan)
        logger.warning("interrupted: %d of %d runs are left; repeat the call to resume", len(left), len(plan))
        raise
    scores = write_report(store, ensembles=ensembles, blends=blends)
    if failed:
        logger.warning("%d of %d runs failed; table.md lists the reasons", len(failed), len(plan))
    if figures:
        draw_figures(store, scores)
    return scores
