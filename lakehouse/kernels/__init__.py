"""The few pure algorithms that several packages share: Arrow and numpy in, numpy out; each with one oracle."""

from lakehouse.kernels.asof import asof_join, latest
from lakehouse.kernels.knowledge import known_join

__all__ = ["asof_join", "known_join", "latest"]
