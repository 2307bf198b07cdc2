"""One registry, from the project's root and from its Feast repository, with Feast's own command line too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from feast import FeatureStore
from sqlalchemy import create_engine, text

from lakehouse.config import Project, load_project
from lakehouse.errors import ConfigError, DefinitionError
from lakehouse.features.repository import apply, open_store
from tests.features.conftest import DEFINITIONS, make_project


def feast(folder: Path, *words: str) -> str:
    """What the real command prints. The project is importable, as an editable install makes it."""
    project = folder.parent if folder.name == "features" else folder
    done = subprocess.run(
        [Path(sys.executable).with_name("feast"), *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(project), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.torture
def test_feast_itself_and_we_share_one_registry(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert "carrier_delay" in feast(project.folder, "-c", "features", "apply")
    listed = feast(project.features, "feature-views", "list")
    assert "carrier_delay" in listed
    assert "route_load" in listed
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("registry.db")] == [Path("data/registry.db")]
    first = apply(project)
    assert (first.status, first.views) == ("done", ("carrier_delay", "route_load"))
    assert {"carrier_delay", "route_load"} <= {*feast(project.features, "feature-views", "list").split()}
    assert apply(project).status == "unchanged"
    (tmp_path / "data" / "registry.db").unlink()
    assert apply(project).status == "done"


def test_the_same_registry_from_python(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(project)
    names = set()
    for folder, repository in ((project.folder, "features"), (project.features, ".")):
        monkeypatch.chdir(folder)
        names.add(tuple(sorted(view.name for view in FeatureStore(repo_path=repository).list_feature_views())))
    assert names == {("carrier_delay", "route_load")}


def test_the_variable_wins_and_no_project_is_an_error(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no project"):
        create_engine("sqlite+project:///data/r.db").connect()
    monkeypatch.setenv("LAKEHOUSE_PROJECT", str(project.folder))
    with create_engine("sqlite+project:///deep/er/r.db").connect() as connection:
        assert connection.execute(text("select 1")).scalar() == 1
    assert (project.folder / "deep" / "er" / "r.db").is_file()


@pytest.mark.parametrize(
    ("part", "name"), [("batch_engine", "ledgr"), ("offline_store", "exector"), ("online_store", "pth")]
)
def test_a_misspelt_setting_is_refused(project: Project, part: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(project.features, folder / "features")
    shutil.copytree(project.folder / "conf", folder / "conf")
    file = folder / "features" / "feature_store.yaml"
    settings = yaml.safe_load(file.read_text())
    settings[part][name] = "x"
    file.write_text(yaml.safe_dump(settings))
    with pytest.raises(DefinitionError, match=name):
        open_store(load_project(folder))


def test_an_on_demand_view_that_is_changed_is_applied_in_the_same_process(tmp_path: Path) -> None:
    """Feast keeps its code as text, which Python remembers by the file's name."""
    project = make_project(tmp_path)
    for way in ('rows["minutes"] - rows["mean"]', 'rows["minutes"] * 7 + rows["mean"]', 'rows["mean"]'):
        (project.features / "definitions.py").write_text(DEFINITIONS.replace('rows["minutes"] - rows["mean"]', way))
        assert apply(project).status == "done"
        view = open_store(project).get_on_demand_feature_view("over_mean")
        assert way in view.feature_transformation.udf_string
