"""Find a project and read its conf/ in one environment, with every mistake reported at once."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr, ValidationError

from lakehouse.config.document import Node, Problem, read_document
from lakehouse.config.expectations import Rule
from lakehouse.config.layers import Secrets, lay_over, put_in, put_in_secrets
from lakehouse.config.models import Config, Project
from lakehouse.config.redaction import SHORTEST_PUT_IN
from lakehouse.config.wording import problems_of
from lakehouse.errors import ConfigError, did_you_mean

BASE = "conf/base.yaml"


def find_project(start: Path) -> Path | None:
    """The nearest folder, from ``start`` upward, that holds conf/base.yaml; None when there is none."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if (folder / BASE).is_file()), None)


def load_project(start: Path | None = None, env: str | None = None) -> Project:
    """The project of ``start`` (or of the current folder) in one environment.

    The folder is $LAKEHOUSE_PROJECT where that is set, else the nearest one upward with conf/base.yaml. The environment
    is ``env``, else $LAKEHOUSE_ENV, else "local": conf/env/ENV.yaml laid over conf/base.yaml.
    Raises ConfigError that lists every problem with its file and line.
    """
    folder = _folder(start)
    env = env or os.environ.get("LAKEHOUSE_ENV") or "local"
    known = environments(folder)
    if env not in known:
        raise ConfigError(f"environment '{env}' is not known: no file conf/env/{env}.yaml", hint=_known(env, known))

    top, problems = read_document(folder / BASE, BASE)
    overlay = f"conf/env/{env}.yaml"
    if (folder / overlay).is_file():
        upper, more = read_document(folder / overlay, overlay)
        problems += more
        top = lay_over(top, upper) if top and upper else None
    if top is None or problems:
        raise _error(env, problems)

    settled = put_in_secrets(top, Secrets(os.environ, folder), problems)
    config = _validated(settled, problems)
    problems += _secret_rules(settled)
    if config is None or problems:
        raise _error(env, problems)
    return _keeping(settled, Project(folder=folder, env=env, config=config))


def environments(folder: Path) -> list[str]:
    """The environments that a project knows, sorted; "local" needs no file of its own."""
    return sorted({"local", *(path.stem for path in (folder / "conf" / "env").glob("*.yaml") if path.is_file())})


def _folder(start: Path | None) -> Path:
    if named := os.environ.get("LAKEHOUSE_PROJECT"):
        folder = Path(named).expanduser().resolve()
        if not (folder / BASE).is_file():
            raise ConfigError(
                f"$LAKEHOUSE_PROJECT is {folder}, which holds no {BASE}",
                hint="Set it to a project's folder, or unset it to use the folder you are in.",
            )
        return folder
    start = Path.cwd() if start is None else Path(start)
    found = find_project(start)
    if found is None:
        raise ConfigError(
            f"no project here: neither {start.resolve()} nor a folder above it holds {BASE}",
            hint="Go to a project's folder, or make one: lakehouse init NAME",
        )
    return found


def _validated(settled: Node, problems: list[Problem]) -> Config | None:
    try:
        return Config.model_validate(settled.plain())
    except ValidationError as error:
        # A text whose variable is missing is reported as that, not a second time for what it looks like without it.
        said = {(problem.file, problem.line, problem.path) for problem in problems}
        for problem in problems_of(error, settled, Config):
            if (problem.file, problem.line, problem.path) not in said:
                problems.append(problem)
        return None


def _keeping(settled: Node, project: Project) -> Project:
    """The project, which keeps to itself what ``${…}`` put in.

    Short texts, and those that name the project, the environment or a source, stand in too much that is said.
    """
    config = project.config
    public = {config.name, project.env, *config.sources}
    assert isinstance(settled.value, dict)
    nodes = dict(settled.value)
    sources = nodes.pop("sources").value
    assert isinstance(sources, dict)
    kept = {
        name: source.keeping(text for text in put_in(sources[name]) if text not in public)
        for name, source in config.sources.items()
    }
    texts = dict.fromkeys(text for node in nodes.values() for text in put_in(node) if text not in public)
    hidden = tuple(SecretStr(text) for text in texts if len(text) >= SHORTEST_PUT_IN)
    update = {"sources": kept, "expect": _with_places(nodes.get("expect"), config)}
    return project.model_copy(update={"config": config.model_copy(update=update), "put_in": hidden})


def _secret_rules(settled: Node) -> list[Problem]:
    """Rules are shown and kept with what they found: nothing that ``${…}`` puts in can stand in one."""
    found = settled.value.get("expect") if isinstance(settled.value, dict) else None
    if found is None or not any(put_in(found)):
        return []
    return [Problem(found.file, found.line, "expect", "a rule can't hold ${…}: it is shown with what it found")]


def _with_places(expect: Node | None, config: Config) -> dict[str, list[Rule]]:
    """The rules, each with its file and line."""
    placed: dict[str, list[Rule]] = {}
    for address, rules in config.expect.items():
        assert expect is not None and isinstance(expect.value, dict)
        nodes = expect.value[address].value
        assert isinstance(nodes, list)
        placed[address] = [rule.at(f"{node.file}:{node.line}") for rule, node in zip(rules, nodes, strict=True)]
    return placed


def _known(env: str, known: list[str]) -> str:
    near = did_you_mean(env, known)
    names = f"Known: {', '.join(known)}."
    return near if near == names else f"{near} {names}"


def _error(env: str, problems: list[Problem]) -> ConfigError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"  {problem}" for problem in sorted(problems)]
    # Raised outside of pydantic's own error, which shows the values: some of them are secrets.
    return ConfigError("\n".join([f"conf (env '{env}') has {count}", *lines]))
