"""Raw sources to bronze, silver and gold Delta tables, and features through Feast."""

__version__ = "0.1.0"
