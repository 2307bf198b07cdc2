"""The few pure algorithms that several packages share: Arrow and numpy in, numpy out; each with one oracle.

Import what you need from its module: this package itself imports nothing, for a table is declared without numpy.
"""
