"""Datasets that follow the convention of :mod:`xmsgl.schema`."""
