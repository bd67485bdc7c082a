"""Settings of Sphinx: ``make docs``, or ``sphinx-build -W -n docs build/docs/html``."""

from __future__ import annotations

import sys
from pathlib import Path

import sphinx_autosummary_accessors

import xmsgl

sys.path.insert(0, str(Path(__file__).parent))
import house
import inventories

house.write()

project = "xmsgl"
author = "The xmsgl developers"
copyright = author  # noqa: A001 - Sphinx's name
release = xmsgl.__version__
version = release.split("+", maxsplit=1)[0]  # without the commit that a build between tags names

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_autosummary_accessors",
    "sphinx_copybutton",
]
exclude_patterns = ["**.ipynb_checkpoints"]
templates_path = ["_templates", sphinx_autosummary_accessors.templates_path]

# Notebooks are stored with the outputs of a run; tests/test_notebooks.py runs them again.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Every reference must lead somewhere: `make docs` has Sphinx complain of each that does not, and fail.
# Other projects are known by the inventories that docs/inventories.txt lists, so a build needs no network.
intersphinx_mapping = inventories.write()
# Short names of types, as annotations write them.
nitpick_ignore_regex = [("py:class", r"(NDArray|Scale|Years|(np|sp|xr)\..*)")]

# Sources stand at the end of a docstring whether or not its text points to them.
suppress_warnings = ["ref.footnote"]

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

copybutton_prompt_text = r">>> |\.\.\. |\$ |In \[\d*\]: "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "pydata_sphinx_theme"
html_title = f"xmsgl {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "show_nav_level": 2,
}
html_sidebars: dict[str, list[str]] = {"index": []}
html_show_sourcelink = False
html_copy_source = False
