"""From text to a syntax tree: what the language's characters, words and grammar allow.

The text is scanned first, so that mistakes are reported in the language's own terms and nothing hostile
reaches Python's parser, which then only settles precedence. Nothing is ever executed.
"""

import ast
import re
from dataclasses import dataclass, field
from keyword import kwlist

from gql_trader.engine.rules.issues import Reporter

MAXIMUM_LENGTH = 4_000
"""Longest text of one rule, in characters."""

MAXIMUM_NODES = 400
"""Most values and operations in one rule."""

MAXIMUM_NESTING = 32
"""Most brackets, or prefix operators, inside one another."""

_TOKEN = re.compile(
    r"(?P<blank>\s+|#[^\n]*)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<text>\"[^\"\n]*\"|'[^'\n]*')"
    r"|(?P<operator>\*\*|//|:=|->|&&|\|\||[<>=!]=|[-+*/%<>()\[\],.=])",
    re.ASCII,
)

_HINTS = {
    "**": "write x * x, or exp() and log()",
    "//": "write floor(x / y)",
    "&&": "write and",
    "&": "write and",
    "||": "write or",
    "|": "write or",
    "!": "write not",
    "~": "write not",
    ":=": "a rule is one expression, without assignments",
    "?": "combine conditions with and, or, not",
    "{": "only ( ) and [ ] are brackets",
}

_BINARY = frozenset(["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "and", "or"])
_PREFIX = frozenset(["+", "-", "not"])
_RESERVED = frozenset(kwlist) - {"and", "or", "not", "True", "False"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int


def parse(report: Reporter) -> ast.expr | None:
    """Return the syntax tree of a rule's text, or None after reporting why there is none.

    Offsets in the tree are one more than those in the text: see `offset_of`.
    """
    text = report.text
    if len(text) > MAXIMUM_LENGTH:
        report.syntax(0, f"A rule has at most {MAXIMUM_LENGTH} characters; got {len(text)}.")
        return None
    tokens = _scan(report)
    if tokens is None or not _Grammar(report).accepts(tokens):
        return None
    # Comments and line ends become blanks, so that offsets stay what they are.
    blanked = list(" " * len(text))
    for token in tokens:
        blanked[token.offset : token.offset + len(token.text)] = token.text
    source = f"({''.join(blanked)})"
    try:
        return _in_characters(ast.parse(source, mode="eval").body, source)
    except SyntaxError as error:
        offset = min(max((error.offset or 0) - 2, 0), len(text))
        report.syntax(offset, _unexpected(text, offset))
    except (RecursionError, MemoryError):
        report.syntax(0, "The rule is nested too deeply.")
    return None


def _in_characters(tree: ast.expr, source: str) -> ast.expr:
    # Python counts bytes; texts may have characters of several.
    if not source.isascii():
        encoded = source.encode()
        for node in ast.walk(tree):
            if isinstance(node, ast.expr | ast.keyword):
                node.col_offset = len(encoded[: node.col_offset].decode())
    return tree


def offset_of(node: ast.expr) -> int:
    """Return where a node begins in the rule's text."""
    return node.col_offset - 1


def _unexpected(text: str, offset: int) -> str:
    match = _TOKEN.match(text, offset)
    found = match[0] if match else text[offset : offset + 1]
    if not found.strip():
        return "The rule cannot be read; check what stands before this place."
    return f"Unexpected {found!r}; parentheses around it, or another order of arguments, may help."


def _scan(report: Reporter) -> list[_Token] | None:
    text, offset = report.text, 0
    tokens: list[_Token] = []
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            report.syntax(offset, _foreign(text[offset]))
            return None
        kind, found = str(match.lastgroup), match[0]
        if found in _HINTS:
            report.syntax(offset, _foreign(found))
            return None
        if kind == "number":
            following = text[match.end() : match.end() + 1]
            if following == "." or following == "_" or (following.isalnum() and following.isascii()):
                report.syntax(offset, f"Malformed number {found + following!r}.")
                return None
            if len(found) > 40 or float(found) > 1e300:
                report.syntax(offset, "The number is too large, or has too many digits.")
                return None
        if found in _RESERVED:
            report.syntax(offset, f"{found!r} is not part of the rule language.")
            return None
        if kind != "blank":
            tokens.append(_Token(kind, found, offset))
        offset = match.end()
    if not tokens:
        report.syntax(0, "The rule is empty.")
        return None
    return tokens


def _foreign(found: str) -> str:
    if found in ("'", '"'):
        return f"The text that begins with {found} has no end on this line."
    hint = _HINTS.get(found)
    return f"{found!r} is not part of the rule language" + (f"; {hint}." if hint else ".")


@dataclass(slots=True)
class _Bracket:
    token: _Token
    call: bool


@dataclass(slots=True)
class _Grammar:
    """Checks that values and operators alternate and that brackets match."""

    report: Reporter
    brackets: list[_Bracket] = field(default_factory=list)

    def accepts(self, tokens: list[_Token]) -> bool:
        """Return whether the tokens make one expression; report the first that does not fit."""
        wants_value, prefixes = True, 0
        for index, token in enumerate(tokens):
            previous = tokens[index - 1] if index else None
            if wants_value:
                if token.text in _PREFIX:
                    prefixes += 1
                    if prefixes > MAXIMUM_NESTING:
                        return self._refuse(token, "The rule is nested too deeply.")
                    continue
                prefixes = 0
                if token.text == "(":
                    if not self._open(token, call=False):
                        return False
                elif token.text == ")" and previous is not None and self._is_empty_call(previous):
                    self.brackets.pop()
                    wants_value = False
                elif token.kind == "operator" or token.text in _BINARY:
                    return self._refuse(token, f"A value is missing before {token.text!r}.")
                else:
                    wants_value = False
            else:
                answer = self._after_value(token, previous, tokens[index + 1 : index + 2])
                if answer is None:
                    return False
                wants_value = answer
        if wants_value:
            self.report.syntax(len(self.report.text.rstrip()), "The rule ends where a value is expected.")
            return False
        if self.brackets:
            opened = self.brackets[-1].token
            return self._refuse(opened, f"The bracket {opened.text!r} is never closed.")
        return True

    def _after_value(self, token: _Token, previous: _Token | None, following: list[_Token]) -> bool | None:
        assert previous is not None
        match token.text:
            case text if text in _BINARY:
                return True
            case "(" | "[":
                if token.text == "(" and previous.kind != "word":
                    self._refuse(token, "An operator is missing before '('.")
                    return None
                return True if self._open(token, call=token.text == "(") else None
            case ")" | "]":
                return False if self._close(token) else None
            case ",":
                if self.brackets and self.brackets[-1].call:
                    return True
                self._refuse(token, "A comma only separates the arguments of a function.")
            case "=":
                if previous.kind == "word" and self.brackets and self.brackets[-1].call:
                    return True
                self._refuse(token, "'=' only names an argument of a function; write == to compare.")
            case ".":
                if following and following[0].kind == "word":
                    # The member's name is the value that follows.
                    return True
                self._refuse(token, "The name of a result is missing after '.'.")
            case _:
                self._refuse(token, f"An operator or a comma is missing before {token.text!r}.")
        return None

    def _is_empty_call(self, previous: _Token) -> bool:
        return bool(self.brackets) and self.brackets[-1].call and self.brackets[-1].token is previous

    def _open(self, token: _Token, *, call: bool) -> bool:
        if len(self.brackets) >= MAXIMUM_NESTING:
            return self._refuse(token, "The rule is nested too deeply.")
        self.brackets.append(_Bracket(token, call))
        return True

    def _close(self, token: _Token) -> bool:
        expected = {")": "(", "]": "["}[token.text]
        if not self.brackets or self.brackets[-1].token.text != expected:
            return self._refuse(token, f"The bracket {token.text!r} was never opened.")
        self.brackets.pop()
        return True

    def _refuse(self, token: _Token, message: str) -> bool:
        self.report.syntax(token.offset, message)
        return False
