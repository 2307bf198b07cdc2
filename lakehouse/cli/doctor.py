"""``lakehouse doctor``: what is wrong with this machine, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from lakehouse.cli.machine import CHECKS, Finding
from lakehouse.cli.options import Debug, Env, Json
from lakehouse.cli.output import Grid, Line, Page
from lakehouse.cli.projects import opened
from lakehouse.errors import ConfigError, LakehouseError


def doctor(context: typer.Context, env: Env = None, json: Json = False, debug: Debug = False) -> None:
    """Look at Java, the packages, the jars, the disk, the file system and the memory, and say how to mend them.

    It works outside of a project too, and then looks at the machine alone.
    """
    findings: list[Finding] = []
    project = None
    try:
        project = opened(context.obj, env)
        findings.append(Finding("project", "ok", f"{project.config.name} in {project.folder}, env {project.env}"))
    except ConfigError as error:
        none_here = error.message.startswith("no project here")
        findings.append(Finding("project", "warning" if none_here else "problem", error.message, error.hint))
    for name, look in CHECKS.items():
        findings.append(_looked(name, look, project))

    if project is not None:
        redacted = project.redacted
        findings = [replace(one, said=redacted(one.said), mend=redacted(one.mend)) for one in findings]
    code = 2 if any(finding.state == "problem" for finding in findings) else 0
    counts = {state: sum(finding.state == state for finding in findings) for state in ("ok", "warning", "problem")}
    rows = [[finding.what, finding.state, finding.said] for finding in findings]
    parts: list[Any] = [Grid(["what", "state", "found"], rows)]
    for finding in findings:
        if finding.mend and finding.state != "ok":
            parts.append(Line(f"{finding.what}: {finding.mend}", "bad" if finding.state == "problem" else "warning"))
    parts.append(Line(f"{counts['ok']} ok · {counts['warning']} warnings · {counts['problem']} problems"))
    data = {"findings": [vars(finding) for finding in findings], **counts, "exit_code": code}
    context.obj.show(Page(data, parts))
    raise typer.Exit(code)


def _looked(name: str, look: Callable[[Any], Finding], project: Any) -> Finding:
    try:
        return look(project)
    except LakehouseError as error:
        return Finding(name, "problem", error.message, error.hint)
    except OSError as error:
        return Finding(name, "problem", f"{error.strerror or error}: {error.filename or Path.cwd()}")
