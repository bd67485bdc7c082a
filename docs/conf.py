"""Settings of Sphinx: ``sphinx-build -W docs docs/_build`` with the extra ``docs`` installed."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "xmsgl"
author = "The xmsgl developers"
copyright = author  # noqa: A001 - Sphinx's name
version = release = installed_version("xmsgl")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.intersphinx"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]

# The notebook is stored with the outputs of a run; tests/test_docs.py runs it again.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# README and CONTRIBUTING lie outside of docs/; links to them are for readers of the repository.
# Pages of benchmarks are reached by links, not from the menu.
suppress_warnings = ["myst.xref_missing", "toc.not_included"]

autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# Filled in by whoever builds with a network; the pages are whole without it.
intersphinx_mapping: dict[str, tuple[str, str | None]] = {}

html_theme = "pydata_sphinx_theme"
html_title = f"xmsgl {release}"
html_theme_options = {
    "header_links_before_dropdown": 4,
    "navigation_with_keys": False,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
}
html_sidebars: dict[str, list[str]] = {"**": []}
html_show_sourcelink = False
