"""Everything together: plan what has to be done, run it in order, report what happened."""

from lakehouse.pipeline.planning import Plan, Step, plan
from lakehouse.pipeline.report import Event, Listener, Report, Result
from lakehouse.pipeline.restoring import Restored, restore
from lakehouse.pipeline.running import build, ingest, publish, rebuild, run

__all__ = [
    "Event",
    "Listener",
    "Plan",
    "Report",
    "Restored",
    "Result",
    "Step",
    "build",
    "ingest",
    "plan",
    "publish",
    "rebuild",
    "restore",
    "run",
]
