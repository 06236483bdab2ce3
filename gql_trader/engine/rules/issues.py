"""What is wrong with a rule, and where."""

from collections.abc import Sequence
from dataclasses import dataclass

from gql_trader.core.errors import ErrorCode

MAXIMUM_ISSUES = 20
"""Most issues reported of one rule."""


@dataclass(frozen=True, slots=True)
class RuleIssue:
    """One mistake in a rule.

    Attributes
    ----------
    code
        RULE_SYNTAX: the text cannot be read; RULE_TYPE: it can, but means nothing valid.
    path
        Which rule, in the API's spelling: ``("entryLong",)``, ``("plots", "0")``.
    line, column
        Where in its text; both count from 1, columns in characters (Unicode code points).
    """

    code: ErrorCode
    path: tuple[str, ...]
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}, line {self.line}, column {self.column}: {self.message}"


class RuleIssues(Exception):
    """The rules are not valid; carries every issue that was found, in the order of the text."""

    def __init__(self, issues: Sequence[RuleIssue]) -> None:
        if not issues:
            raise ValueError("RuleIssues needs at least one issue")
        self.issues = tuple(issues)
        super().__init__("; ".join(map(str, self.issues)))


class Reporter:
    """Collects the issues of one rule, turning offsets in its text into lines and columns."""

    def __init__(self, text: str, path: tuple[str, ...]) -> None:
        self.text = text
        self.path = path
        self.issues: list[RuleIssue] = []

    @property
    def full(self) -> bool:
        """Whether further issues are dropped."""
        return len(self.issues) >= MAXIMUM_ISSUES

    def syntax(self, offset: int, message: str) -> None:
        """Report text that cannot be read."""
        self._add(ErrorCode.RULE_SYNTAX, offset, message)

    def type(self, offset: int, message: str) -> None:
        """Report an expression that means nothing valid."""
        self._add(ErrorCode.RULE_TYPE, offset, message)

    def _add(self, code: ErrorCode, offset: int, message: str) -> None:
        if self.full:
            return
        before = self.text[:offset]
        line = before.count("\n") + 1
        column = offset - (before.rfind("\n") + 1) + 1
        issue = RuleIssue(code, self.path, line, column, message)
        if issue not in self.issues:
            self.issues.append(issue)
