"""Bronze: records as they came, with where they came from, each once. A batch is one append to one table."""

from lakehouse.bronze.landing import Landing, land, records
from lakehouse.bronze.receipts import Receipts, read_receipts

__all__ = ["Landing", "Receipts", "land", "read_receipts", "records"]
