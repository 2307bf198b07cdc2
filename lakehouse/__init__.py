"""Raw sources to bronze, silver and gold Delta tables, and features through Feast."""

import os

__version__ = "0.1.0"

# delta-rs brings jemalloc, which by default keeps what was freed in four arenas for each core, and for ten seconds: a
# training set then takes up to a third more memory, and no less time. It reads this when it is loaded, which is later.
os.environ.setdefault("_RJEM_MALLOC_CONF", f"narenas:{1 + (os.cpu_count() or 1) // 16},dirty_decay_ms:1000")
