"""The outside world as batches: what a source has since the last receipts, and how to read it as a frame."""

from lakehouse.sources.files import plan_batch, waiting_files

__all__ = ["plan_batch", "waiting_files"]
