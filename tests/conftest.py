"""What every test may use: one Spark session for the whole run, and projects in folders of their own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis  # here: in its own summary it may be too deep in calls to be imported
import pytest

from lakehouse.config import Project, load_project
from tests.torture import Torture

hypothesis.settings.register_profile("no clock", deadline=None)
hypothesis.settings.load_profile("no clock")

REPOSITORY = Path(__file__).parents[1]


def pytest_configure(config: pytest.Config) -> None:
    one_of_several = hasattr(config, "workerinput")  # what each of them finds is told to the process above it
    if config.option.markexpr == "torture" and not one_of_several:
        config.pluginmanager.register(Torture())


@pytest.fixture(autouse=True)
def _projects_stay_apart() -> Iterator[None]:
    """Every project calls its package ``jobs``: after a test that read another's, ours is the one on the path again."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name, module in sys.modules.copy().items():
        if name.partition(".")[0] == "jobs":
            file = getattr(module, "__file__", None)  # ours all have one: a package without __init__.py has none
            if file is None or not Path(file).is_relative_to(REPOSITORY):
                del sys.modules[name]


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose session every other project of this process shares: Spark is opened once."""
    folder = tmp_path_factory.mktemp("engine")
    (folder / "conf").mkdir()
    (folder / "conf" / "base.yaml").write_text("name: engine\nroot: lake\ntables: jobs.engine\nsources: {}\n")
    return load_project(folder)


@pytest.fixture(scope="session")
def spark(engine: Project):  # type: ignore[no-untyped-def]
    """The engine's own session, with Delta and the settings of the local profile."""
    from lakehouse.spark import open_session

    session = open_session(engine)
    yield session
    session.stop()


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[..., Project]:
    """Write a project: conf/base.yaml from ``sources``, jobs/shop/ from the ``tables`` module's text."""

    def make(sources: str, tables: str = "", name: str = "shop", folder: str | Path = "project") -> Project:
        folder = tmp_path / folder
        for below in ("conf", f"jobs/{name}", "data/raw"):
            (folder / below).mkdir(parents=True, exist_ok=True)
        (folder / "conf" / "base.yaml").write_text(
            f"name: {name}\nroot: data/lake\ntables: jobs.{name}\nsources:\n{sources}\n"
        )
        (folder / "jobs" / "__init__.py").touch()
        (folder / "jobs" / name / "__init__.py").touch()
        (folder / "jobs" / name / "tables.py").write_text(tables)
        for module in [module for module in sys.modules if module.partition(".")[0] == "jobs"]:
            del sys.modules[module]  # a command is a process of its own, and reads the code as it is then
        importlib.invalidate_caches()
        return load_project(folder)

    return make
