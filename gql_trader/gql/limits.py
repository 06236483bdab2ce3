"""How much one document may ask for, measured before it is validated and at a cost linear in its size."""

from collections.abc import Iterable
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from gql_trader.gql.errors import ApiError

# Beyond every limit; counts stop here, so that chained fragments do not make huge integers.
_CEILING = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one document.

    Attributes
    ----------
    depth
        Nested fields of an operation, introspection apart.
    aliases
        Renamed fields of an operation, and repeated ones that have fields of their own (each pair of
        those is compared in validation); fragments counted each time they are spread.
    tokens
        Lexical tokens of the document.
    selections
        Fields of an operation, fragments counted each time they are spread.
    directives
        Directives of an operation, fragments counted each time they are spread.
    fragments
        Fragment definitions of the document.
    operations
        Operations of the document.
    length
        Characters of the document.
    cached_length
        Longest text, in characters, whose parsed form is kept.
    cached_total
        Characters of all the texts whose parsed form is kept. A parsed document takes up to 250 bytes
        for each character, so that this bounds the memory, at about 75 MB.
    """

    depth: int = 15
    aliases: int = 60
    tokens: int = 4000
    selections: int = 2000
    directives: int = 50
    fragments: int = 100
    operations: int = 50
    length: int = 100_000
    cached_length: int = 4_000
    cached_total: int = 300_000


@dataclass(frozen=True, slots=True)
class Size:
    """What was measured of a selection set, all its fragments included."""

    depth: int = 0
    aliases: int = 0
    selections: int = 0
    directives: int = 0

    def beside(self, other: "Size") -> "Size":
        """Return the size of both, side by side."""
        return Size(
            max(self.depth, other.depth),
            min(self.aliases + other.aliases, _CEILING),
            min(self.selections + other.selections, _CEILING),
            min(self.directives + other.directives, _CEILING),
        )


class _Measure:
    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._definitions = fragments
        self._measured: dict[str, Size] = {}

    def selection_set(self, node: SelectionSetNode | None, seen: set[str] | None = None) -> Size:
        size = Size()
        names = set() if seen is None else seen
        for selection in node.selections if node else ():
            directives = len(selection.directives or ())
            if isinstance(selection, FieldNode):
                name = selection.alias.value if selection.alias else selection.name.value
                repeated = name in names and selection.selection_set is not None
                renamed = int(selection.alias is not None or repeated)
                names.add(name)
                inner = self.selection_set(selection.selection_set)
                # Introspection is nested by nature; graphql-core bounds its depth by a rule of its own.
                depth = 0 if selection.name.value.startswith("__") else 1 + inner.depth
                part = Size(depth, renamed, 1, directives).beside(
                    Size(0, inner.aliases, inner.selections, inner.directives)
                )
            elif isinstance(selection, InlineFragmentNode):
                # Its fields are on the same level as those around it.
                inner = self.selection_set(selection.selection_set, names)
                part = inner.beside(Size(directives=directives))
            elif isinstance(selection, FragmentSpreadNode):
                # A spread counts as a selection of its own: chains of empty ones are not free.
                part = self.fragment(selection.name.value).beside(Size(selections=1, directives=directives))
            size = size.beside(part)
        return size

    def fragment(self, name: str) -> Size:
        if name not in self._measured:
            # While it is being measured it counts as nothing: a cycle is validation's to report.
            self._measured[name] = Size()
            definition = self._definitions.get(name)
            if definition is not None:
                own = Size(directives=len(definition.directives or ()))
                self._measured[name] = self.selection_set(definition.selection_set).beside(own)
        return self._measured[name]


def measure(document: DocumentNode) -> list[Size]:
    """Return the size of each operation and fragment, each measured once, however often it is spread.

    Fragments count by themselves too: validation compares the fields of those that nothing spreads.
    """
    definitions = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    measuring = _Measure(definitions)
    return [
        measuring.selection_set(node.selection_set).beside(Size(directives=len(node.directives or ())))
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    ] + [measuring.fragment(name) for name in definitions]


def check_limits(document: DocumentNode, limits: Limits) -> list[ApiError]:
    """Return an error for each limit that the document exceeds."""
    fragments = sum(isinstance(node, FragmentDefinitionNode) for node in document.definitions)
    operations = sum(isinstance(node, OperationDefinitionNode) for node in document.definitions)
    found: dict[str, tuple[int, int]] = {
        "fragments": (fragments, limits.fragments),
        "operations": (operations, limits.operations),
    }
    try:
        sizes = measure(document)
    except RecursionError:
        sizes = [Size(depth=_CEILING)]
    for size in sizes:
        for name in ("depth", "aliases", "selections", "directives"):
            value = max(getattr(size, name), found.get(name, (0, 0))[0])
            found[name] = (value, getattr(limits, name))
    return list(_exceeded(found.items()))


def _exceeded(found: Iterable[tuple[str, tuple[int, int]]]) -> Iterable[ApiError]:
    for name, (value, maximum) in found:
        if value > maximum:
            yield ApiError(
                f"The document exceeds the limit of {maximum} on {_TITLES[name]}.",
                "QUERY_TOO_COMPLEX",
                limit=name,
                maximum=maximum,
            )


_TITLES = {
    "depth": "nested fields",
    "aliases": "aliases and repeated fields",
    "selections": "selected fields",
    "directives": "directives",
    "fragments": "fragments",
    "operations": "operations",
}
