"""conf/ as frozen values: ``load_project()`` reads it, finds every mistake at once and says where each stands."""

from lakehouse.config.loading import find_project, load_project
from lakehouse.config.models import Config, FilesSource, Project, Source, Spark

__all__ = ["Config", "FilesSource", "Project", "Source", "Spark", "find_project", "load_project"]
