"""What a table is: its definition, where declarations are found, their graph, and a fingerprint of their code."""

from lakehouse.tables.definition import LAYERS, By, Capture, Layer, Table, declare
from lakehouse.tables.discovery import tables_in
from lakehouse.tables.fingerprint import fingerprint, fingerprints
from lakehouse.tables.graph import Graph

__all__ = ["LAYERS", "By", "Capture", "Graph", "Layer", "Table", "declare", "fingerprint", "fingerprints", "tables_in"]
