"""Temperature at every reach given a model and the sensors that report."""

from xmsgl.reconstruct.door import reconstruct, state

__all__ = ["reconstruct", "state"]
