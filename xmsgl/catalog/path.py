"""Where the intake catalogs lie: in the installed package, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

from xmsgl.errors import DataUnavailableError, UnknownNameError

__all__ = ["catalog_path"]

_FILES = {"delaware": "delaware.yaml", "simulated": "simulated.yaml", "v2": "v2/xmsgl.yaml"}


def catalog_path(name: str | None = None) -> Path:
    """Return the path of the intake catalogs that come with the package.

    Parameters
    ----------
    name
        ``"delaware"`` or ``"simulated"``: the file of that basin. ``"v2"``: the file with both basins as
        readers of intake's second version. Default None: the folder of the two files, which intake opens
        as one catalog.

    Returns
    -------
    pathlib.Path
        What ``intake.open_catalog`` takes.

    Raises
    ------
    UnknownNameError
        There is no catalog of that name.
    DataUnavailableError
        The installation lacks the catalogs.

    Examples
    --------
    >>> catalog_path("delaware").name
    'delaware.yaml'
    >>> import intake
    >>> sorted(intake.open_catalog(catalog_path()))[:2]
    ['delaware', 'delaware_model']
    """
    if name is not None and name not in _FILES:
        raise UnknownNameError("catalog", name, _FILES)
    package = Path(__file__).parents[1]
    # a wheel keeps them inside the package, a checkout beside it
    places = [package / "catalogs", package.parent / "catalogs"]
    for folder in places:
        if (folder / _FILES["delaware"]).is_file():
            return folder / _FILES[name] if name else folder
    msg = f"the catalogs are neither in {places[0]} nor in {places[1]}; install xmsgl again"
    raise DataUnavailableError(msg)
