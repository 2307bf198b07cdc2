"""Regular expressions that mean the same in Java (Spark) and in RE2 (DuckDB).

The two differ in silence: ``$`` before a last newline, what ``.`` and ``\\s`` take in, ``\\b`` beyond ASCII. So a
pattern is read here, what only one of them knows is refused, and the rest is written anew in words that both
read alike. ``.`` is any character but a newline, ``$`` is the very end, ``\\d \\s \\w`` are ASCII.
"""

from __future__ import annotations

from functools import lru_cache

from lakehouse.errors import DefinitionError

_SETS = {"d": [(48, 57)], "w": [(48, 57), (65, 90), (95, 95), (97, 122)], "s": [(9, 13), (32, 32)]}
_CONTROLS = {"t": 9, "n": 10, "f": 12, "r": 13, "a": 7}
_REFUSED = {
    "(?=": "look-ahead",
    "(?!": "look-ahead",
    "(?<=": "look-behind",
    "(?<!": "look-behind",
    "(?>": "an atomic group",
    "(?P=": "a back-reference",
    "(?P<": "a named group",
    "(?<": "a named group",
    "(?#": "a comment",
}
_MOST_REPEATS = 1000  # RE2's own limit, nested repeats multiplied
Ranges = list[tuple[int, int]]


@lru_cache(maxsize=256)
def portable(pattern: str) -> str:
    """The pattern in words that Java and RE2 read alike.

    Raises DefinitionError, with the place, for look-around, back-references and all else that they don't share.
    """
    if not pattern:
        raise DefinitionError("matches: the pattern is empty", hint="A pattern that every text has says nothing.")
    reader = _Reader(pattern)
    text, _ = reader.alternatives()
    if reader.at < len(pattern):
        raise reader.refused("a ')' without its '('")
    return text


class _Reader:
    """Recursive descent; each method returns its part rewritten, and most how often it may repeat."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def refused(self, what: str, hint: str = "") -> DefinitionError:
        place = f"matches: {self.pattern!r}: {what}, at character {self.at + 1}"
        return DefinitionError(place, hint=hint or "Java (Spark) and RE2 (DuckDB) must read it alike.")

    def peek(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def next(self) -> str:
        if self.at >= len(self.pattern):
            raise self.refused("it ends too early")
        self.at += 1
        return self.pattern[self.at - 1]

    def alternatives(self) -> tuple[str, int]:
        parts = [self.sequence()]
        while self.peek("|"):
            self.at += 1
            parts.append(self.sequence())
        return "|".join(text for text, _ in parts), max(times for _, times in parts)

    def sequence(self) -> tuple[str, int]:
        text, most = "", 1
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            part, times, repeats = self.atom()
            mark, count = self.quantifier()
            if mark and not repeats:
                raise self.refused(f"'{mark}' after a place repeats nothing")
            if times * count > _MOST_REPEATS:
                raise self.refused(f"more than {_MOST_REPEATS} repeats")
            text, most = text + part + mark, max(most, times * count)
        return text, most

    def quantifier(self) -> tuple[str, int]:
        mark, count = "", 1
        if self.at < len(self.pattern) and self.pattern[self.at] in "*+?":
            mark = self.next()
        elif self.peek("{"):
            mark, count = self.braces()
        if mark and self.peek("?"):
            mark += self.next()  # a lazy one finds the same texts
        if mark and self.at < len(self.pattern) and self.pattern[self.at] in "*+?{":
            raise self.refused(f"'{self.pattern[self.at]}' after a quantifier (possessive, or repeated)")
        return mark, count

    def braces(self) -> tuple[str, int]:
        end = self.pattern.find("}", self.at)
        low, comma, high = self.pattern[self.at + 1 : max(end, self.at + 1)].partition(",")
        numbers = [part for part in (low, high) if part]
        if end < 0 or not low or not all(part.isascii() and part.isdigit() and len(part) < 5 for part in numbers):
            raise self.refused("'{' that opens no {n}, {n,} or {n,m}", "Write \\{ for the character.")
        if high and int(high) < int(low):
            raise self.refused("a range of repeats that is empty")
        most = max(int(part) for part in numbers)
        if most > _MOST_REPEATS:
            raise self.refused(f"more than {_MOST_REPEATS} repeats")
        self.at = end + 1
        return f"{{{int(low)}{comma}{int(high) if high else ''}}}", max(most, 1)

    def atom(self) -> tuple[str, int, bool]:
        """Its text, how often what is in it repeats, and whether it may be repeated."""
        if self.peek("("):
            return *self.group(), True
        if self.peek("["):
            return self.set(), 1, True
        character = self.next()
        if character == ".":
            return "[^\\x{a}]", 1, True
        if character == "^":
            return "\\A", 1, False
        if character == "$":
            return "\\z", 1, False
        if character == "\\":
            return self.escape()
        if character in "*+?{":
            self.at -= 1
            raise self.refused(f"'{character}' that repeats nothing", f"Write \\{character} for the character.")
        if character in "]}":
            self.at -= 1
            raise self.refused(f"'{character}' that closes nothing", f"Write \\{character} for the character.")
        return self.shown(ord(character)), 1, True

    def group(self) -> tuple[str, int]:
        for start, what in _REFUSED.items():
            if self.peek(start):
                raise self.refused(f"{what} ('{start}')")
        if self.peek("(?") and not self.peek("(?:"):
            raise self.refused("a flag ('(?')", "Write both cases: [Aa].")
        self.at += 3 if self.peek("(?:") else 1
        text, times = self.alternatives()
        if not self.peek(")"):
            raise self.refused("a '(' without its ')'")
        self.at += 1
        return f"(?:{text})", times

    def escape(self) -> tuple[str, int, bool]:
        letter = self.next()
        if letter in "Az":
            return f"\\{letter}", 1, False
        if letter.lower() in _SETS:
            return self.written(_SETS[letter.lower()], negated=letter.isupper()), 1, True
        return self.shown(self.code(letter)), 1, True

    def code(self, letter: str) -> int:
        """The character that an escape stands for, read up to its end."""
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter in "xu":
            digits = self.hexadecimal(letter)
            value = int(digits, 16) if digits and all(digit in "0123456789abcdefABCDEF" for digit in digits) else -1
            if 0 < value <= 0x10FFFF and not 0xD800 <= value <= 0xDFFF:
                return value
        elif letter.isascii() and not letter.isalnum():
            return ord(letter)
        self.at -= 1
        what = "a back-reference" if letter.isdigit() else "an escape that they don't share"
        raise self.refused(f"{what} ('\\{letter}')")

    def hexadecimal(self, letter: str) -> str:
        if letter == "x" and self.peek("{"):
            end = self.pattern.find("}", self.at)
            digits = self.pattern[self.at + 1 : end] if end > 0 else ""
            self.at = end + 1 if end > 0 else self.at
            return digits
        length = 2 if letter == "x" else 4
        digits = self.pattern[self.at : self.at + length]
        self.at += length
        return digits if len(digits) == length else ""

    def set(self) -> str:
        self.at += 1
        negated = self.peek("^")
        self.at += negated
        found: Ranges = []
        while not self.peek("]"):
            found += self.member()
        self.at += 1
        if not found:
            raise self.refused("a set '[]' of nothing", "Write \\] for the character.")
        return self.written(found, negated=negated)

    def member(self) -> Ranges:
        one = self.character()
        if isinstance(one, list):
            return one
        if not self.peek("-") or self.peek("-]"):
            return [(one, one)]
        self.at += 1
        last = self.character()
        if isinstance(last, list) or last < one:
            raise self.refused("a range that is empty or ends in a set")
        return [(one, last)]

    def character(self) -> int | Ranges:
        character = self.next()
        if character == "[" or (character == "&" and self.peek("&")):
            self.at -= 1
            raise self.refused("a set within a set", "Write \\[ or \\& for the character.")
        if character != "\\":
            return self.scalar(character)
        letter = self.next()
        if letter in _SETS:
            return _SETS[letter]
        if letter.lower() in _SETS:
            self.at -= 1
            raise self.refused(f"'\\{letter}' within a set")
        return self.code(letter)

    def written(self, ranges: Ranges, *, negated: bool) -> str:
        parts = [self.shown(low) if low == high else f"{self.shown(low)}-{self.shown(high)}" for low, high in ranges]
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def scalar(self, character: str) -> int:
        if character == "\0" or "\ud800" <= character <= "\udfff":
            self.at -= 1
            raise self.refused("a character that no table's text can hold")
        return ord(character)

    def shown(self, code: int) -> str:
        self.scalar(chr(code))
        return chr(code) if chr(code).isascii() and chr(code).isalnum() else f"\\x{{{code:x}}}"
