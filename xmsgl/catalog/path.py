"""The folder of the intake catalogs: in the installed package, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

from xmsgl.errors import DataUnavailableError, UnknownNameError
from xmsgl.util.arguments import checked

__all__ = ["catalog_path"]

_FILES = {
    **{name: f"{name}.yaml" for name in ("delaware", "simulated", "willamette", "yakima")},
    "v2": "v2/xmsgl.yaml",
}


@checked
def catalog_path(name: str | None = None) -> Path:
    """Return the path of the intake catalogs that come with the package.

    Parameters
    ----------
    name
        ``"delaware"``, ``"simulated"``, ``"willamette"`` or ``"yakima"``: the file of that basin. ``"v2"``:
        the file with all basins for the second version of intake. Default None: the folder of all files,
        which intake opens as one.

    Returns
    -------
    pathlib.Path
        Path for ``intake.open_catalog``.

    Raises
    ------
    UnknownNameError
        There is no catalog of that name.
    DataUnavailableError
        The catalogs are missing from the installation.

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
    # inside the package in a wheel, beside it in a checkout
    places = [package / "catalogs", package.parent / "catalogs"]
    for folder in places:
        if (folder / _FILES["delaware"]).is_file():
            return folder / _FILES[name] if name else folder
    msg = f"there are no catalogs in {places[0]} or {places[1]}; install xmsgl again"
    raise DataUnavailableError(msg)
