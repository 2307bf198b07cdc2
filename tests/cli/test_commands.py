"""What holds for every command: help with an example, a page in the docs, errors as words, exit codes."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakehouse import __version__
from lakehouse.cli.app import app

COMMANDS = [info.name for info in app.registered_commands if info.name]
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
MAIN = [sys.executable, "-c", "from lakehouse.cli import main; main()"]


def test_the_commands_are_those_of_the_design() -> None:
    run = "init check plan ingest build publish run rebuild restore maintain"
    assert " ".join(COMMANDS) == f"{run} show quarantine query train verify demo doctor submit"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_an_example_that_its_parser_takes(command, tmp_path: Path, name: str) -> None:
    answer = command(name, "--help", folder=tmp_path)
    assert answer.code == 0
    example = " ".join(answer.out.partition("Example: ")[2].split())
    words = shlex.split(example)
    assert words[:2] == ["lakehouse", name]
    parsed = command(*words[1:], "--nonsense", folder=tmp_path)
    # With one option too many, that is all a parser may complain about; submit passes it on.
    assert "No such option: --nonsense" in parsed.err or name == "submit"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_docs_have_a_section_on_each(name: str) -> None:
    assert f"\n### `lakehouse {name}" in DOCS.read_text()


def test_the_docs_name_every_option() -> None:
    text = DOCS.read_text()
    for info in app.registered_commands:
        for option in _options(info):
            assert f"`{option}" in text, f"{info.name} {option}"


def test_no_words_show_the_help(command, tmp_path: Path) -> None:
    answer = command(folder=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    assert all(f"\n  {name} " in answer.out for name in COMMANDS)
    assert "6\n  another run holds the lock" in answer.out


def test_version(command, tmp_path: Path) -> None:
    assert command("--version", folder=tmp_path).out == f"lakehouse {__version__}\n"


def test_an_unknown_command_offers_the_nearest(command, tmp_path: Path) -> None:
    answer = command("qeury", folder=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "Error: there is no command 'qeury'\n  Did you mean 'query'?\n"


def test_an_unknown_option_names_the_help(command, tmp_path: Path) -> None:
    answer = command("check", "--evn", folder=tmp_path)
    assert answer.code == 2
    assert "--evn" in answer.err
    assert "lakehouse check --help" in answer.err


@pytest.mark.parametrize("words", [["check"], ["plan"], ["run"], ["query", "select 1"], ["show", "tables"], ["demo"]])
def test_outside_of_a_project_the_hint_says_how_to_begin(command, tmp_path: Path, words: list[str]) -> None:
    answer = command(*words, folder=tmp_path)
    assert answer.code == 2
    assert "no project here" in answer.err
    assert "lakehouse init NAME" in answer.err


@pytest.mark.parametrize("words", [["check"], ["nonsense"], ["query"], ["show", "gold.nothing"], ["init", "No Name"]])
def test_errors_are_json_too(command, tmp_path: Path, words: list[str]) -> None:
    answer = command(*words, "--json", folder=tmp_path)
    assert answer.code == 2
    assert answer.err == ""
    error = json.loads(answer.out)["error"]
    assert set(error) == {"type", "message", "hint", "exit_code"}
    assert error["exit_code"] == 2


@pytest.mark.parametrize(
    ("words", "table"),
    [
        ("ingest", "gold.customer_spend"),
        ("ingest --continuous", "gold.customer_spend"),
        ("build", "bronze.orders"),
        ("publish", "bronze.orders"),
    ],
)
def test_words_that_select_nothing_for_the_command_are_refused(command, shop: Path, words: str, table: str) -> None:
    said = command(*words.split(), "--select", table, folder=shop)
    assert said.code == 2
    assert f"'{table}' selects no table of " in said.err
    assert f"lakehouse run --select '{table}'" in said.err


def test_what_nobody_expected_is_one_line(command, shop: Path) -> None:
    (shop / "jobs" / "shop" / "demo.py").write_text(
        "NEXT = ('a', 'b', 'c')\n"
        "def stage(project, until): raise ZeroDivisionError('by zero')\n"
        "def show(project): return []\n"
    )
    (shop / "conf" / "env" / "local.yaml").write_text("demo: jobs.shop.demo\n")
    answer = command("demo", folder=shop)
    assert answer.code == 1
    assert answer.err.splitlines()[0] == "Error: unexpected: ZeroDivisionError: by zero"
    assert "--debug" in answer.err
    assert "Traceback" in command("demo", "--debug", folder=shop).err


def test_help_is_written_without_what_is_heavy(variables: dict[str, str], tmp_path: Path) -> None:
    program = (
        "import sys; from lakehouse.cli import run; run(['--help']); "
        "print(sorted({'pyspark', 'feast', 'pandas', 'pyarrow', 'duckdb', 'deltalake', 'pydantic', 'rich.markdown'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=variables, cwd=tmp_path)
    assert done.stdout.endswith("[]\n")


def test_ctrl_c_ends_with_130_and_no_traceback(variables: dict[str, str], shop: Path) -> None:
    # It says that it is about to wait for the statement, which never comes.
    program = "import sys, lakehouse.local; from lakehouse.cli import main; print('ready', flush=True); main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "query", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables, cwd=shop,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "Interrupted.\n")


def test_a_reader_that_leaves_is_no_error(variables: dict[str, str], shop: Path) -> None:
    line = f"{shlex.join([*MAIN, 'query', 'select * from range(1000000)', '--csv'])} | head -1"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=variables, cwd=shop)
    assert (done.stdout, done.stderr) == ("range\n", "")


def _options(info) -> list[str]:
    import typer.main

    group = typer.main.get_command(app)
    parameters = group.commands[info.name].params
    return [option for one in parameters for option in one.opts if option.startswith("--")]
