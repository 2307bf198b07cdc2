"""A training set as a pandas frame, without changing a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.decimals import EXACT


def as_frame(table: pa.Table, dtypes: Mapping[str, Any]) -> pd.DataFrame:
    """The rows, numbered from 0; columns named in ``dtypes`` get these.

    Whole numbers with gaps become doubles, as Feast has it, but Int64 where a double would round them.
    """
    frame: pd.DataFrame = table.to_pandas(split_blocks=True)
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index(drop=True)
    for field in table.schema:
        column = table.column(field.name)
        if field.name in dtypes:
            gaps = pa.types.is_integer(field.type) and column.null_count
            if pd.api.types.is_object_dtype(dtypes[field.name]) and (gaps or _rounds(column)):
                frame[field.name] = pd.Series(column.to_pylist(), dtype=object)
            elif frame[field.name].dtype != dtypes[field.name]:
                frame[field.name] = frame[field.name].astype(dtypes[field.name])
        elif pa.types.is_integer(field.type) and _rounds(column):
            kind: Any = "Int64" if field.type == pa.int64() else "UInt64"
            frame[field.name] = column.to_pandas(types_mapper={field.type: pd.api.types.pandas_dtype(kind)}.get)
        elif _rounds(column):
            frame[field.name] = pd.Series(column.to_pylist(), dtype=object)
    return frame


def _rounds(column: pa.ChunkedArray) -> bool:
    """Whether pandas would make doubles of whole numbers, here or within lists, that a double does not hold."""
    while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pc.list_flatten(column)
    if column.type not in (pa.int64(), pa.uint64()) or not column.null_count:
        return False
    ends = pc.min_max(column).as_py()
    return ends["min"] is not None and (ends["min"] < -EXACT or ends["max"] > EXACT)
