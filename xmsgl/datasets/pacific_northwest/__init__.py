"""The Willamette and the Yakima, built from published files by the readers of the package."""
