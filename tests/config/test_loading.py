"""conf/ is read from real files; each test shows the files and what is said about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.config import find_project, load_project
from lakehouse.errors import ConfigError

BASE = """\
name: flights
root: data/lake
tables: jobs.flights
sources:
  flights: {type: files, format: csv, path: "raw/*.csv"}
  weather:
    type: files
    format: json
    path: raw/weather.json
"""


@pytest.fixture(autouse=True)
def _no_project_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKEHOUSE_PROJECT", raising=False)
    monkeypatch.delenv("LAKEHOUSE_ENV", raising=False)


def write(folder: Path, base: str = BASE, **envs: str) -> Path:
    (folder / "conf" / "env").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "base.yaml").write_text(base, encoding="utf-8")
    for env, text in envs.items():
        (folder / "conf" / "env" / f"{env}.yaml").write_text(text, encoding="utf-8")
    return folder


def problems(folder: Path, env: str | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_project(folder, env)
    return [line.strip() for line in caught.value.message.splitlines()]


def test_a_project_is_found_from_a_folder_below_it(tmp_path: Path) -> None:
    project = write(tmp_path / "flights")
    below = project / "jobs" / "flights"
    below.mkdir(parents=True)
    assert find_project(below) == project
    assert load_project(below).folder == project
    assert load_project(below).root == project / "data" / "lake"


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path: Path) -> None:
    assert find_project(tmp_path) is None
    with pytest.raises(ConfigError, match="no project here") as caught:
        load_project(tmp_path)
    assert "lakehouse init" in caught.value.hint


def test_the_variable_wins_over_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = write(tmp_path / "here")
    there = write(tmp_path / "there")
    monkeypatch.setenv("LAKEHOUSE_PROJECT", str(there))
    assert load_project(here).folder == there
    monkeypatch.setenv("LAKEHOUSE_PROJECT", str(tmp_path))
    with pytest.raises(ConfigError, match=r"holds no conf/base\.yaml"):
        load_project(here)


def test_an_environment_merges_mappings_and_replaces_sources(tmp_path: Path) -> None:
    project = write(
        tmp_path,
        BASE + "spark: {memory: 2g, properties: {spark.a: b}}\n",
        prod="""\
spark: {properties: {spark.c: d}}
sources:
  flights: {type: files, format: parquet, path: other.parquet}
""",
    )
    config = load_project(project, "prod").config
    assert config.spark.memory == "2g"
    assert config.spark.properties == {"spark.a": "b", "spark.c": "d"}
    assert config.sources["flights"].format == "parquet"
    assert config.sources["weather"].path == "raw/weather.json"


def test_a_source_is_replaced_whole(tmp_path: Path) -> None:
    project = write(tmp_path, prod="sources:\n  flights: {type: files, format: parquet}\n")
    assert problems(project, "prod") == [
        "conf (env 'prod') has 1 problem",
        "conf/env/prod.yaml:2: sources.flights.path: is needed",
    ]


def test_the_environment_comes_from_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = write(tmp_path, prod="root: elsewhere\n")
    monkeypatch.setenv("LAKEHOUSE_ENV", "prod")
    assert load_project(project).env == "prod"
    assert load_project(project, "local").env == "local"


def test_an_unknown_environment_lists_the_known_ones(tmp_path: Path) -> None:
    project = write(tmp_path, prod="", local="")
    with pytest.raises(ConfigError, match="'prdo' is not known") as caught:
        load_project(project, "prdo")
    assert caught.value.hint == "Did you mean 'prod'? Known: local, prod."
    with pytest.raises(ConfigError, match="not known"):
        load_project(project, "../env/prod")


def test_all_problems_of_all_files_at_once(tmp_path: Path) -> None:
    base = """\
name: Flights
root: data/lake
tables: jobs flights
sorces: {}
sources:
  flights:
    type: files
    format: cvs
    pth: raw/*.csv
  Weather: {type: files, format: json, path: x, delimiter: ";"}
"""
    project = write(tmp_path, base, local="spark:\n  memory: 2 GB\n  proprties: {}\n  properties: {spark.a: true}\n")
    assert problems(project) == [
        "conf (env 'local') has 11 problems",
        "conf/base.yaml:1: name: must be a name: small letters, digits and _, beginning with a letter",
        "conf/base.yaml:3: tables: must be a Python module, such as jobs.flights",
        "conf/base.yaml:4: sorces: not known. Did you mean 'sources'?",
        "conf/base.yaml:6: sources.flights.path: is needed",
        "conf/base.yaml:8: sources.flights.format: 'cvs' is not known. Did you mean 'csv'?",
        "conf/base.yaml:9: sources.flights.pth: not known. Did you mean 'path'?",
        "conf/base.yaml:10: sources.Weather: a json file has no delimiter; take it out",
        "conf/base.yaml:10: sources.Weather: must be a name: small letters, digits and _, beginning with a letter",
        "conf/env/local.yaml:2: spark.memory: must be an amount of memory, such as 2g or 512m",
        "conf/env/local.yaml:3: spark.proprties: not known. Did you mean 'properties'?",
        "conf/env/local.yaml:4: spark.properties.spark.a: must be text; put it in quotes",
    ]


def test_a_delimiter_belongs_to_csv(tmp_path: Path) -> None:
    base = BASE.replace("    format: json\n", '    format: json\n    delimiter: ";"\n')
    assert problems(write(tmp_path, base))[1:] == [
        "conf/base.yaml:6: sources.weather: a json file has no delimiter; take it out"
    ]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("settle: 30", "settle: must be text; put it in quotes"),
        ("settle: 30 s", "settle: must be a time, such as 30s, 5m or 1h"),
        ("settle: 0s", "settle: must be a time, such as 30s, 5m or 1h"),
        ('marker: "{name}"', "marker: must be the name of a file beside the others, such as _SUCCESS or {name}.done"),
        ("marker: done/x", "marker: must be the name of a file beside the others, such as _SUCCESS or {name}.done"),
        (
            'marker: "{stem}.done"',
            "marker: must be the name of a file beside the others, such as _SUCCESS or {name}.done",
        ),
        ("changed: reed", "changed: 'reed' is not known. Did you mean 'reread'?"),
    ],
)
def test_how_files_that_grow_or_change_are_taken(tmp_path: Path, setting: str, said: str) -> None:
    base = BASE.replace("    format: json\n", f"    format: json\n    {setting}\n")
    assert problems(write(tmp_path, base))[1:] == [f"conf/base.yaml:9: sources.weather.{said}"]


def test_variables_are_put_in_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s3cr3t/canary"
    monkeypatch.setenv("RAW", secret)
    project = write(tmp_path, BASE.replace("raw/*.csv", "${env:RAW}/*.csv"))
    assert load_project(project).config.sources["flights"].path == f"{secret}/*.csv"

    wrong = BASE.replace("format: csv", 'format: "${env:RAW}"').replace("name: flights", 'name: "${env:RAW}"')
    wrong = wrong.replace("data/lake", '"${env:RAW}://x"').replace("jobs.flights", '"${env:RAW}"')
    project = write(tmp_path, wrong + 'spark: {memory: "${env:RAW}", profile: "${env:RAW}"}\n')
    with pytest.raises(ConfigError) as caught:
        load_project(project)
    assert secret not in str(caught.value)
    assert caught.value.__context__ is None
    assert len(caught.value.message.splitlines()) == 7


def test_missing_and_malformed_variables_have_a_place(tmp_path: Path) -> None:
    base = BASE.replace("raw/weather.json", '"${env:NO_SUCH_VARIABLE}/${oc.env:HOME}"')
    assert problems(write(tmp_path, base)) == [
        "conf (env 'local') has 2 problems",
        (
            "conf/base.yaml:9: sources.weather.path: '${oc.env:HOME}' is not known; "
            "write ${env:NAME} for an environment variable, ${file:PATH} for a file"
        ),
        "conf/base.yaml:9: sources.weather.path: the environment variable NO_SUCH_VARIABLE is not set",
    ]


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret/*.json\n")
    project = load_project(write(tmp_path, BASE.replace("raw/weather.json", "${file:key}")))
    assert project.config.sources["weather"].path == "s3cret/*.json"  # type: ignore[union-attr]
    (tmp_path / "key").write_bytes(b"\xff")
    base = BASE.replace("raw/weather.json", "${file:key} ${file:nowhere}")
    found = problems(write(tmp_path, base))
    assert [line.partition(": the file ")[2].rpartition("/")[2] for line in found[1:]] == [
        "key can't be read: it is not UTF-8",
        "nowhere can't be read: No such file or directory",
    ]


def test_a_file_of_nobody_is_a_problem(tmp_path: Path) -> None:
    base = BASE.replace("raw/weather.json", "${file:~nosuchuser/x}")
    assert problems(write(tmp_path, base))[1:] == [
        "conf/base.yaml:9: sources.weather.path: the file ~nosuchuser/x can't be read: there is no such user"
    ]


KEPT = """\
name: flights
root: "${env:ROOT}"
tables: jobs.flights
sources:
  flights: {type: files, format: csv, path: "${env:PATTERN}", columns: {id: bigint}}
  topic:
    type: kafka
    servers: "${env:SERVERS}"
    topic: "${env:TOPIC}"
    value: json
    security_protocol: SASL_PLAINTEXT
    sasl_mechanism: PLAIN
    username: "${env:READER}"
    password: "${env:SHORT}"
  table: {type: jdbc, url: "jdbc:postgresql://${env:HOST}/${env:SHORT}", table: "${env:TABLE}"}
"""


def test_what_was_put_in_is_in_nothing_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "ROOT": "/mnt/canary-root",
        "PATTERN": "/mnt/canary-files/*.csv",
        "SERVERS": "canary-a:1,canary-b:2",
        "READER": "canary-reader",
        "HOST": "canary-host",
        "TABLE": "canary_table",
        "TOPIC": "flights",  # as a source is called: it stands in too much that is said
        "SHORT": "abc",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    project = load_project(write(tmp_path, KEPT))
    sources = project.config.sources
    assert project.root == Path("/mnt/canary-root")
    assert sources["topic"].said | {"password": ""} == {
        **{"type": "kafka", "servers": "…", "topic": "flights", "value": "json", "username": "…", "password": ""},
        **{"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"},
    }
    assert sources["flights"].said["path"] == "…"
    assert sources["table"].said == {"type": "jdbc", "url": "…/abc", "table": "…"}
    said = "canary-b:2 of /mnt/canary-files/1.csv in /mnt/canary-root/bronze: flights, abc"
    assert project.redacted(said) == "… of …1.csv in …/bronze: flights, abc"
    assert project.redacted("bronze.topic: abc", "bronze.topic") == "bronze.topic: …"
    assert sources["topic"].redacted("canary-b:2 knows no canary-reader: abc") == "… knows no …: …"
    assert project.without_any_secret("abc") == "…"
    assert "canary" not in repr(project) + str(sources["flights"])


def test_a_variable_is_needed_only_where_it_is_used(tmp_path: Path) -> None:
    base = BASE.replace('"raw/*.csv"', '"${env:NO_SUCH_VARIABLE}"')
    project = write(tmp_path, base, local="sources:\n  flights: {type: files, format: csv, path: x}\n")
    assert load_project(project).config.sources["flights"].path == "x"
