"""The outside world as batches: what a source has since the last receipts, and how to read it as a frame."""

from lakehouse.sources.opening import open_source, require_kind

__all__ = ["open_source", "require_kind"]
