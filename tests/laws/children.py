"""Commands in processes of their own, to be killed: each has its Spark up before it is told what to run."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from lakehouse.config import Project

MAIN = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w", buffering=1)
log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(log, 1), os.dup2(log, 2)
from lakehouse.cli import run
from lakehouse.config import load_project
from lakehouse.spark import open_session
print(open_session(load_project(sys.argv[1])).sparkContext._gateway.proc.pid, file=answers)
for line in sys.stdin:
    folder, words = json.loads(line)
    os.chdir(folder)
    print(run(words), file=answers)
"""
PATIENCE = 120
"""Seconds after which a command hangs."""


class Child:
    """Python and its JVM. It is begun at once and asked when it is needed: the next one starts while one runs."""

    def __init__(self, engine: Project, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        command = [sys.executable, "-c", MAIN, str(engine.folder), str(log)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
        self._java = 0

    @property
    def java(self) -> int:
        """The process id of its JVM, when that is up."""
        if not self._java:
            answer = self._answer()
            assert answer is not None, self.log.read_text()
            self._java = answer
        return self._java

    def begin(self, project: Project, *words: str) -> None:
        """Begin a command of ``lakehouse``."""
        assert self.java and self.process.stdin is not None
        self.process.stdin.write(json.dumps([str(project.folder), words]).encode() + b"\n")
        self.process.stdin.flush()

    def done(self) -> bool:
        """Whether the command has ended, or the process has."""
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def ended(self) -> int | None:
        """Wait for the command's exit code; None where the process was killed before."""
        return self._answer()

    def said(self) -> str:
        """What its commands have written, as a user would have seen it."""
        return self.log.read_text(errors="replace")

    def kill(self, who: str) -> None:
        """Signal 9: to Python, to its JVM ("java") or to both."""
        if who == "java":
            os.kill(self.java, signal.SIGKILL)
            return
        if who == "both":
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _answer(self) -> int | None:
        pipe = self.process.stdout
        assert pipe is not None
        assert select.select([pipe], [], [], PATIENCE)[0], f"it hangs: {self.said()[-2000:]}"
        line = pipe.readline()
        return int(line) if line else None


KILLS = 5
"""In each chain on one project."""
SPARE = 2
"""Children in the making: one takes longer to come up than the run of another takes."""


class Children:
    """Hands out one child after the other; some are always in the making."""

    def __init__(self, engine: Project, logs: Path, env: Mapping[str, str] | None = None) -> None:
        self._engine, self._logs, self._env = engine, logs, env
        self._numbers = count()
        self._all: list[Child] = []
        self._spare = [self._new() for _ in range(SPARE)]

    def next(self) -> Child:
        self._spare.append(self._new())
        return self._spare.pop(0)

    def killed_again_and_again(
        self,
        project: Project,
        *words: str,
        draw: random.Random,
        send: Callable[[int], None],
        later: float,
        codes: Container[int | None] = (0, 1, 4),
    ) -> None:
        """Begin the command again and again, and kill it each time, until it was hit :data:`KILLS` times.

        ``send`` gives it something to do before each run, told how often it was hit. Each kill hits Python and its
        JVM, Python alone (its JVM goes on for seconds), or the JVM alone: then the command ends with one of ``codes``,
        and an error in words. For ``later`` see :func:`killed_at`.
        """
        kills, child = 0, self.next()
        while kills < KILLS:
            send(kills)
            child.begin(project, *words, "--wait", "60")
            who = draw.choice(["both", "python", "java"])
            if not killed_at(child, project.folder / "data", draw, who, later):
                assert child.ended() == 0, child.said()[-2000:]  # the next run is begun in it
                continue
            kills += 1
            if who == "java":
                assert child.ended() in codes, child.said()[-2000:]
                assert "Traceback" not in child.said(), child.said()[-3000:]
            if kills < KILLS:
                child = self.next()

    def close(self) -> None:
        for child in self._all:
            child.close()

    def _new(self) -> Child:
        self._all.append(Child(self._engine, self._logs / f"child-{next(self._numbers)}.log", self._env))
        return self._all[-1]


@contextmanager
def one_child(engine: Project, log: Path, env: Mapping[str, str] | None = None) -> Iterator[Child]:
    child = Child(engine, log, env)
    try:
        yield child
    finally:
        child.close()


def everything(folder: Path) -> set[str]:
    """All paths below the folder."""
    return {f"{place}/{name}" for place, folders, files in os.walk(folder) for name in (*folders, *files)}


def killed_at(child: Child, root: Path, draw: random.Random, who: str, later: float) -> bool:
    """Kill the command when it has made so many new paths below the root, and a moment (up to ``later`` s) after that.

    Its moments are spread over what it does, not over the time that it takes. False where it had ended before: the
    child lives then.
    """
    seen = before = everything(root)
    paths, moment = draw.randrange(60), draw.uniform(0, later)
    while len(seen) - len(before) < paths and not child.done():
        time.sleep(0.002)
        seen = seen | everything(root)
    time.sleep(moment)
    if child.done():
        return False
    child.kill(who)
    return True
