"""The outside world as batches: what a source has since the last receipts, and how to read it as a frame."""

from lakehouse.sources.batch import Batch, Landed, Reject
from lakehouse.sources.files import plan_batch

__all__ = ["Batch", "Landed", "Reject", "plan_batch"]
