"""Where what is fetched or made once for all projects of a user is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$LAKEHOUSE_CACHE, else $XDG_CACHE_HOME/lakehouse, else ~/.cache/lakehouse; made if it is not there."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("LAKEHOUSE_CACHE") or Path(base) / "lakehouse")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
