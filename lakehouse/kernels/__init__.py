"""The few pure algorithms that several packages share: Arrow and numpy in, numpy out; each with one oracle."""

from lakehouse.kernels.asof import asof_join, latest

__all__ = ["asof_join", "latest"]
