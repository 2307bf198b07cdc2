"""What a figure is, and how figures are written: one shape for every benchmark."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from benchmarks.measure import Cost, Rounds

FIELDS = ("name", "unit", "ours", "peer", "floor", "goal", "met", "date", "versions")
"""What every figure has, in this order, in the table and in JSON."""


@dataclass(frozen=True)
class Figure:
    """One number that a run printed, beside what it can be compared with."""

    name: str
    unit: str
    ours: float
    date: str
    """UTC, to the minute."""
    versions: dict[str, str]
    machine: str
    load: float | None
    """The load average of the minute before it was measured."""
    how: str
    """What was measured, in words."""
    peer: float | None = None
    """The same done with what a user would take instead."""
    floor: float | None = None
    """What the same work takes at least, without the engine."""
    goal: float | None = None
    better: Literal["less", "more"] = "less"
    peer_is: str = ""
    floor_is: str = ""
    costs: Rounds | None = None
    """All rounds that ``ours`` and ``floor`` are the medians of."""
    parts: dict[str, float] = field(default_factory=dict)
    """Where it goes, in the figure's unit."""

    @property
    def met(self) -> bool | None:
        """None where there is no goal."""
        if self.goal is None:
            return None
        return self.ours <= self.goal if self.better == "less" else self.ours >= self.goal

    def as_json(self) -> dict[str, Any]:
        """The nine fields first, then what stands behind them."""
        values = asdict(self) | {"met": self.met}
        for name in ("peer", "floor"):
            values[f"ours_over_{name}"] = self.ours / values[name] if values[name] else None
        return {name: values.pop(name) for name in FIELDS} | values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Figure:
        values = {key: value for key, value in values.items() if key != "met" and not key.startswith("ours_over_")}
        if costs := values["costs"]:
            values["costs"] = Rounds(*([Cost(**cost) for cost in costs[side]] for side in ("ours", "floor")))
        return cls(**values)


def merge(known: Iterable[Figure], new: Iterable[Figure], order: Sequence[str]) -> list[Figure]:
    """New figures in the place of known ones of the same name, sorted by the benchmark that they belong to."""
    figures = {figure.name: figure for figure in known} | {figure.name: figure for figure in new}

    def place(figure: Figure) -> int:
        benchmark = figure.name.partition(":")[0]
        return order.index(benchmark) if benchmark in order else len(order)

    return sorted(figures.values(), key=place)


def read(folder: Path) -> list[Figure]:
    """The figures of results.json; none where there is no such file."""
    file = folder / "results.json"
    if not file.is_file():
        return []
    return [Figure.from_json(values) for values in json.loads(file.read_text(encoding="utf-8"))["figures"]]


def write(folder: Path, figures: Sequence[Figure]) -> None:
    """Write results.json and results.md."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"figures": [figure.as_json() for figure in figures]}, indent=2, ensure_ascii=False) + "\n"
    for name, content in (("results.json", text), ("results.md", markdown(figures))):
        draft = folder / f".{name}.{os.getpid()}"
        draft.write_text(content, encoding="utf-8")
        draft.replace(folder / name)


def table(figures: Sequence[Figure]) -> Table:
    """For a terminal."""
    shown = Table(title="Figures", caption="In brackets: ours divided by it.", header_style="bold")
    for name in FIELDS:
        shown.add_column(name, justify="right" if name in ("ours", "peer", "floor", "goal") else "left")
    settings = _settings(figures)
    for figure in figures:
        style = {True: "green", False: "red", None: ""}[figure.met]
        shown.add_row(*_cells(figure, settings), style=style)
    return shown


def settings_lines(figures: Sequence[Figure]) -> list[str]:
    """What the numbers in the column of versions stand for: a machine and the versions on it."""
    return [f"[{number}] {text}" for text, number in _settings(figures).items()]


def markdown(figures: Sequence[Figure]) -> str:
    settings = _settings(figures)
    lines = [
        "# Figures",
        "",
        "Written by `make bench` (`python -m benchmarks`); `python -m benchmarks NAME` measures one again. Each is "
        "what a run printed: the median of its rounds, ours and the floor in turn. *Floor*: the least that the same "
        "work takes without the engine. *Peer*: what a user would take instead. In brackets: ours divided by it. The "
        "last column refers to the machines and versions at the end.",
        "",
        *_grid(FIELDS, [_cells(figure, settings) for figure in figures]),
        "",
        "## Beside wall time",
        "",
        "CPU seconds of each round and the most resident memory of any are those of the whole process tree, the JVM "
        "included; no memory where both sides share a process. *Others*: CPU seconds that everything else on the "
        "machine took meanwhile, the most in any of our rounds. *Load*: the load average of the minute before, to "
        "which the benchmark's own preparation adds.",
        "",
        *_grid(COST_COLUMNS, [_cost_cells(figure) for figure in figures if figure.costs]),
        "",
        "## Where it goes",
        "",
    ]
    for figure in figures:
        if figure.parts:
            parts = " · ".join(f"{name} {_number(part)}" for name, part in figure.parts.items())
            lines.append(f"- **{figure.name}**, {figure.unit}, the median round: {parts}")
    lines += ["", "## How it was measured", ""]
    for figure in figures:
        compared = [
            f" {name}: {text}." for name, text in (("Floor", figure.floor_is), ("Peer", figure.peer_is)) if text
        ]
        lines.append(f"- **{figure.name}** {figure.how}.{''.join(compared)}")
    lines += ["", "## Machines and versions", "", *(f"- {line}" for line in settings_lines(figures))]
    return "\n".join(lines) + "\n"


COST_COLUMNS = (
    *("name", "load", "rounds, wall s", "CPU s", "memory MiB", "others CPU s"),
    *("floor or peer: rounds, wall s", "floor or peer: CPU s", "floor or peer: memory MiB"),
)


def _cost_cells(figure: Figure) -> list[str]:
    cells = [figure.name, _number(figure.load)]
    assert figure.costs is not None
    for costs in (figure.costs.ours, figure.costs.floor):
        memory = [cost.memory_mib for cost in costs if cost.memory_mib is not None]
        cells += [
            " ".join(_number(cost.wall_s) for cost in costs),
            " ".join(_number(cost.cpu_s) for cost in costs),
            f"{max(memory):,.0f}" if memory else "",
        ]
        if costs is figure.costs.ours:
            cells.append(_number(max((cost.others_cpu_s for cost in costs), default=None)))
    return cells


def _cells(figure: Figure, settings: dict[str, int]) -> list[str]:
    def beside(value: float | None) -> str:
        return f"{_number(value)} (×{_number(figure.ours / value)})" if value else _number(value)

    met = {True: "yes", False: "no", None: ""}[figure.met]
    goal = ("≥ " if figure.better == "more" and figure.goal is not None else "") + _number(figure.goal)
    ours, peer, floor = _number(figure.ours), beside(figure.peer), beside(figure.floor)
    return [figure.name, figure.unit, ours, peer, floor, goal, met, figure.date, f"[{settings[_setting(figure)]}]"]


def _settings(figures: Sequence[Figure]) -> dict[str, int]:
    return {text: number for number, text in enumerate(dict.fromkeys(map(_setting, figures)), start=1)}


def _setting(figure: Figure) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in figure.versions.items())
    return f"{figure.machine}; {versions}"


def _number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]
