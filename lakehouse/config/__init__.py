"""conf/ as frozen values: ``load_project()`` reads it, finds every mistake at once and says where each stands."""

from lakehouse.config.loading import find_project, load_project
from lakehouse.config.models import Config, Project, Spark
from lakehouse.config.sources import FilesSource, JdbcSource, KafkaSource, OwnSource, Source

__all__ = [
    "Config",
    "FilesSource",
    "JdbcSource",
    "KafkaSource",
    "OwnSource",
    "Project",
    "Source",
    "Spark",
    "find_project",
    "load_project",
]
