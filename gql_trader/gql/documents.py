"""Documents parsed, bounded and validated once, then kept."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from graphql import (
    ASTValidationRule,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from gql_trader.gql.limits import Limits, check_limits


class DocumentError(Exception):
    """The document cannot be executed.

    Attributes
    ----------
    errors
        Why, each with the code for clients that have none of their own.
    """

    def __init__(self, errors: Sequence[GraphQLError], code: str) -> None:
        super().__init__(errors[0].message)
        self.errors = errors
        self.code = code


@dataclass(frozen=True, slots=True)
class Document:
    """A valid document and its operations."""

    ast: DocumentNode
    operations: tuple[OperationDefinitionNode, ...]
    fragments: Mapping[str, FragmentDefinitionNode]
    fixed_costs: dict[str | None, int] = field(default_factory=dict, compare=False)
    """Costs, by name, of the operations that do not depend on variables, once they are known."""

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Return the operation of this name, or the only one.

        Raises
        ------
        DocumentError
            If there is none of this name, or no name is given and there are several.
        """
        if name is None:
            if len(self.operations) == 1:
                return self.operations[0]
            problem = "no operation"
            if self.operations:
                problem = "several operations; operationName must say which"
            raise DocumentError([GraphQLError(f"The document has {problem}.")], "BAD_USER_INPUT")
        for operation in self.operations:
            if operation.name is not None and operation.name.value == name:
                return operation
        raise DocumentError([GraphQLError(f"The document has no operation {name!r}.")], "BAD_USER_INPUT")


class Documents:
    """Turns texts into documents and keeps the valid ones, the least recently used falling out.

    Parameters
    ----------
    introspection
        Whether `__schema` and `__type` are answered.
    suggestions
        Whether errors about unknown names suggest known ones, which tells strangers the schema.
    size
        How many documents are kept; how long they may be is among the limits.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: Limits,
        *,
        introspection: bool,
        suggestions: bool,
        size: int = 1000,
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._suggestions = suggestions
        self._size = size
        self._rules: tuple[type[ASTValidationRule], ...] = (
            *specified_rules,
            MaybeNullValidationRule,
            OneOfInputValidationRule,
            *(() if introspection else (NoSchemaIntrospectionCustomRule,)),
        )
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._characters = 0

    @property
    def count(self) -> int:
        """How many documents are kept."""
        return len(self._kept)

    @property
    def characters(self) -> int:
        """How long the texts of the documents kept are together."""
        return self._characters

    def knows(self, text: str) -> bool:
        """Return whether the document of a text is kept, so that it need not be read again."""
        return text in self._kept

    def get(self, text: str) -> Document:
        """Return the document of a text.

        Raises
        ------
        DocumentError
            If it has a syntax error, exceeds a limit or is invalid against the schema.
        """
        document = self._kept.get(text)
        if document is not None:
            self._kept.move_to_end(text)
            return document
        document = self._read(text)
        # Only valid and short documents are kept: garbage neither fills the memory nor drives out the rest.
        if len(text) <= self._limits.cached_length:
            self._kept[text] = document
            self._characters += len(text)
            while len(self._kept) > self._size or self._characters > self._limits.cached_total:
                oldest, _ = self._kept.popitem(last=False)
                self._characters -= len(oldest)
        return document

    def _read(self, text: str) -> Document:
        try:
            ast = parse(
                text,
                max_lexical_tokens=self._limits.tokens,
                max_comments=self._limits.tokens,
                max_source_length=self._limits.length,
            )
        except GraphQLSyntaxError as error:
            too_long = "Parsing aborted" in error.message
            raise DocumentError(
                [error], "QUERY_TOO_COMPLEX" if too_long else "GRAPHQL_PARSE_FAILED"
            ) from None
        exceeded = check_limits(ast, self._limits)
        if exceeded:
            raise DocumentError(exceeded, "QUERY_TOO_COMPLEX")
        errors = validate(
            self._schema, ast, self._rules, max_errors=20, hide_suggestions=not self._suggestions
        )
        if errors:
            raise DocumentError(errors, "GRAPHQL_VALIDATION_FAILED")
        operations = tuple(node for node in ast.definitions if isinstance(node, OperationDefinitionNode))
        fragments = {
            node.name.value: node for node in ast.definitions if isinstance(node, FragmentDefinitionNode)
        }
        return Document(ast, operations, fragments)
