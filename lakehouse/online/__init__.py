"""The Feast plug-in's online stores: one packed record for each view and key, in SQLite or in Redis.

Import the stores from ``lakehouse.online.sqlite`` and ``lakehouse.online.redis``: they import Feast, which takes
seconds, so this package itself does not.
"""
