"""Tables of databases: a snapshot whenever they changed, or what is new since the last batch."""

from lakehouse.sources.jdbc.planning import Jdbc

__all__ = ["Jdbc"]
