"""Rows that a deletion vector takes away are not read. The table is written by hand, from Delta's specification."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.local import Lake

Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def test_deleted_rows_are_gone(project: Path, lake: Lake) -> None:
    write_table(project / "lake" / "silver" / "letters", deleted=[1, 3])
    snapshot = lake.snapshot("silver.letters")
    assert snapshot.rows == 3
    assert snapshot.arrow(["letter"]).to_pydict() == {"letter": ["a", "c", "e"]}
    assert snapshot.arrow().schema.field("letter").type == pa.string()
    assert lake.sql("SELECT count(*), max(n) FROM silver.letters").fetchall() == [(3, 4)]


def write_table(folder: Path, deleted: list[int]) -> None:
    (folder / "_delta_log").mkdir(parents=True)
    pq.write_table(pa.table({"n": [0, 1, 2, 3, 4], "letter": list("abcde")}), folder / "rows.parquet")
    vector = deletion_vector(deleted)
    fields = [{"name": "n", "type": "long"}, {"name": "letter", "type": "string"}]
    schema = {"type": "struct", "fields": [{**field, "nullable": True, "metadata": {}} for field in fields]}
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    actions = [
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}},
        {
            "metaData": {
                "id": "letters",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps(schema),
                "partitionColumns": [],
                "configuration": {},
            }
        },
        {
            "add": {
                "path": "rows.parquet",
                "partitionValues": {},
                "size": (folder / "rows.parquet").stat().st_size,
                "modificationTime": 1,
                "dataChange": True,
                "stats": json.dumps({"numRecords": 5}),
                "deletionVector": {
                    "storageType": "i",
                    "pathOrInlineDv": z85(vector),
                    "sizeInBytes": len(vector),
                    "cardinality": len(deleted),
                },
            }
        },
    ]
    (folder / "_delta_log" / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)))


def deletion_vector(rows: list[int]) -> bytes:
    """A RoaringBitmapArray with one bitmap of one container."""
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16) + b"".join(struct.pack("<H", row) for row in rows)
    return struct.pack("<IQI", 1681511377, 1, 0) + bitmap


def z85(data: bytes) -> str:
    words = struct.unpack(f">{len(data) // 4}I", data)
    return "".join(Z85[word // 85**power % 85] for word in words for power in (4, 3, 2, 1, 0))
