"""SQL conditions that mean the same in Spark and in DuckDB, and each one's text in both.

The two differ in silence: precedence, ``/``, ``^``, double quotes, backslashes, the type of ``0.1``. So a condition
is read here and written anew, with every precedence in brackets. Known are:

    AND OR NOT   = == <> != < <= > >=   IS [NOT] NULL   IS [NOT] DISTINCT FROM   [NOT] BETWEEN, IN (…), LIKE 'pattern'
    + - *   CASE   abs coalesce greatest least length nullif trim   year month day hour minute (of a time)
    1   1.5 (a double)   'text'   TRUE FALSE NULL   DATE '…'   TIMESTAMP '…' (UTC)   INTERVAL '2' HOUR
    column   "odd column"
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.quality.literals import Text, column, joined, number_literal, same, text_literal, time_literal

_TOKEN = re.compile(
    r"""\s*(?: (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])) | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+") | (?P<word>[A-Za-z_][A-Za-z0-9_]*) | (?P<sign><>|!=|<=|>=|==|[=<>()+\-*,]) )""",
    re.VERBOSE,
)
_ONE = ("abs", "length", "trim", "year", "month", "day", "hour", "minute")
_FUNCTIONS = dict.fromkeys(_ONE, (1, 1)) | {
    "coalesce": (1, 99),
    "greatest": (2, 99),
    "least": (2, 99),
    "nullif": (2, 2),
}
"""The fewest and the most values that each takes."""
_WORDS = {
    *("and", "or", "not", "is", "null", "distinct", "from", "between", "in", "like", "case", "when", "then", "else"),
    *("end", "true", "false", "date", "timestamp", "interval"),
}
_COMPARISONS = {"=": "=", "==": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_UNITS = ("second", "minute", "hour", "day")


@dataclass(frozen=True)
class Condition:
    """The condition's text for each engine, and the columns that it reads, as written."""

    spark: str
    duckdb: str
    columns: tuple[str, ...]


@lru_cache(maxsize=256)
def parse(sql: str) -> Condition:
    """Read a condition. Raises DefinitionError, with the place, for what Spark and DuckDB don't share."""
    reader = _Reader(sql)
    text = reader.either()
    if reader.kind != "end":
        raise reader.refused(f"'{reader.word}' is not expected here")
    return Condition(text.spark, text.duckdb, tuple(dict.fromkeys(reader.columns)))


class _Reader:
    """Recursive descent, one token ahead."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.columns: list[str] = []
        self.end = 0
        self.advance()

    def refused(self, what: str, hint: str = "") -> DefinitionError:
        return DefinitionError(
            f"expression({self.sql!r}): {what}, at character {self.start + 1}",
            hint=hint or "Spark and DuckDB must read it alike: docs/quality.md lists what both know.",
        )

    def advance(self) -> tuple[str, str]:
        before = (getattr(self, "kind", ""), getattr(self, "word", ""))
        rest = self.sql[self.end :]
        self.start = self.end + len(rest) - len(rest.lstrip())
        if not rest.strip():
            self.kind, self.word = "end", "the end"
            return before
        found = _TOKEN.match(self.sql, self.end)
        if found is None or found.lastgroup is None or rest.lstrip()[:2] == "--":
            sign = rest.lstrip()[0]
            hints = {"/": "A division by zero stops Spark and not DuckDB: multiply the other side instead."}
            raise self.refused(f"'{sign}' is not shared", hints.get(sign, ""))
        self.kind, self.word, self.end = found.lastgroup, found[found.lastgroup], found.end()
        return before

    def take(self, *words: str) -> bool:
        """Go past these words (keywords or signs) if they are next."""
        state = (self.kind, self.word, self.start, self.end)
        for word in words:
            if self.kind not in ("word", "sign") or self.word.lower() != word:
                self.kind, self.word, self.start, self.end = state
                return False
            self.advance()
        return True

    def need(self, *words: str) -> None:
        for word in words:
            if not self.take(word):
                raise self.refused(f"{word.upper()} is needed, not {self.word!r}")

    def either(self) -> Text:
        text = self.both()
        while self.take("or"):
            text = joined("({} OR {})", text, self.both())
        return text

    def both(self) -> Text:
        text = self.negation()
        while self.take("and"):
            text = joined("({} AND {})", text, self.negation())
        return text

    def negation(self) -> Text:
        return joined("(NOT {})", self.negation()) if self.take("not") else self.predicate()

    def predicate(self) -> Text:
        text = self.sum()
        if self.kind == "sign" and self.word in _COMPARISONS:
            _, sign = self.advance()
            text = joined(f"({{}} {_COMPARISONS[sign]} {{}})", text, self.sum())
            if self.kind == "sign" and self.word in _COMPARISONS:
                raise self.refused("two comparisons in a row", "Join them with AND.")
            return text
        if self.take("is"):
            word = "IS NOT" if self.take("not") else "IS"
            if self.take("null"):
                return joined(f"({{}} {word} NULL)", text)
            self.need("distinct", "from")
            return joined(f"({{}} {word} DISTINCT FROM {{}})", text, self.sum())
        if self.take("not"):
            return joined("(NOT {})", self.membership(text))
        return self.membership(text, required=False)

    def membership(self, text: Text, *, required: bool = True) -> Text:
        if self.take("between"):
            low = self.sum()
            self.need("and")
            return joined("({} BETWEEN {} AND {})", text, low, self.sum())
        if self.take("in"):
            self.need("(")
            return joined("({} IN ({}))", text, self.listed())
        if self.take("like"):
            if self.kind != "text" or "\\" in self.word:
                raise self.refused("LIKE takes a text without a backslash", "Use matches() for more.")
            return joined("({} LIKE {})", text, self.atom())
        if required:
            raise self.refused("BETWEEN, IN or LIKE is needed after NOT")
        return text

    def listed(self) -> Text:
        text = self.either()
        while self.take(","):
            text = joined("{}, {}", text, self.either())
        self.need(")")
        return text

    def sum(self) -> Text:
        text = self.product()
        while self.kind == "sign" and self.word in "+-":
            _, sign = self.advance()
            text = joined(f"({{}} {sign} {{}})", text, self.product())
        return text

    def product(self) -> Text:
        text = self.signed()
        while self.take("*"):
            text = joined("({} * {})", text, self.signed())
        return text

    def signed(self) -> Text:
        return joined("(- {})", self.signed()) if self.take("-") else self.atom()

    def atom(self) -> Text:
        if self.take("("):
            text = self.either()
            self.need(")")
            return joined("({})", text)
        kind, word = self.kind, self.word
        if kind in ("end", "sign"):
            raise self.refused(f"a value is needed, not {word!r}")
        if kind == "number":
            text = self.number(word)
        elif kind == "text":
            text = self.text(word[1:-1].replace("''", "'"))
        elif kind == "quoted":
            text = self.column(word[1:-1].replace('""', '"'))
        else:
            return self.named(word.lower())
        self.advance()
        return text

    def named(self, word: str) -> Text:
        if word in ("date", "timestamp", "interval"):
            _, original = self.advance()
            return self.column(original) if self.kind not in ("text", "number") else self.time(word)
        if word == "case":
            self.advance()
            return self.case()
        if word in ("true", "false", "null"):
            self.advance()
            return same(word.upper())
        if word in _WORDS:
            raise self.refused(f"a value is needed, not {self.word!r}")
        _, original = self.advance()
        if not self.take("("):
            return self.column(original)
        if word not in _FUNCTIONS:
            raise self.refused(f"the function {word}() is not shared", did_you_mean(word, _FUNCTIONS))
        count, arguments = 1, self.either()
        while self.take(","):
            count, arguments = count + 1, joined("{}, {}", arguments, self.either())
        self.need(")")
        least, most = _FUNCTIONS[word]
        if not least <= count <= most:
            raise self.refused(f"{word}() can't take {count} value{'s' if count > 1 else ''}")
        return joined(f"{word}({{}})", arguments)

    def case(self) -> Text:
        text = same("CASE")
        while self.take("when"):
            when = self.either()
            self.need("then")
            text = joined("{} WHEN {} THEN {}", text, when, self.either())
        if text.spark == "CASE":
            raise self.refused("CASE is followed by WHEN and a condition")
        if self.take("else"):
            text = joined("{} ELSE {}", text, self.either())
        self.need("end")
        return joined("({} END)", text)

    def time(self, word: str) -> Text:
        value = self.word.strip("'")
        if word == "interval":
            self.advance()
            unit = self.word.lower().rstrip("s")
            if not value.isdigit() or unit not in _UNITS:
                raise self.refused("an interval is a whole number of SECOND, MINUTE, HOUR or DAY")
            self.advance()
            return same(f"INTERVAL '{value}' {unit.upper()}")
        try:
            text = time_literal(date.fromisoformat(value) if word == "date" else datetime.fromisoformat(value))
        except ValueError:
            raise self.refused(
                f"'{value}' is not a {word}", "Write it as 2026-01-31, or 2026-01-31 12:30:00."
            ) from None
        self.advance()
        return text

    def number(self, word: str) -> Text:
        if not word.isdigit():
            return number_literal(float(word))
        if int(word) > 2**63 - 1:
            raise self.refused(f"{word} is too large")
        return number_literal(int(word))

    def text(self, value: str) -> Text:
        try:
            return text_literal(value)
        except DefinitionError as error:
            raise self.refused(error.message) from None

    def column(self, name: str) -> Text:
        self.columns.append(name)
        return column(name)
