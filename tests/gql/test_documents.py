"""Limits on documents, and the cache of parsed and validated ones."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from graphql import get_introspection_query, parse

from gql_trader.gql.documents import DocumentError, Documents
from gql_trader.gql.limits import Limits, Size, measure
from gql_trader.gql.schema_builder import core_schema
from tests.factories.toy_schema import toy_schema

SCHEMA = core_schema(toy_schema())


def documents(limits: Limits | None = None, **options: Any) -> Documents:
    return Documents(SCHEMA, limits or Limits(), **{"introspection": True, "suggestions": True, **options})


def refused(text: str, kept: Documents | None = None) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        (kept or documents()).get(text)
    return caught.value


def test_sizes_count_fragments_each_time_they_are_spread() -> None:
    document = parse(
        """query($x: Boolean!) { a: row { ...F } rows { ...F same { ...F } number number @skip(if: $x) } }
        fragment F on Row { b: number c: text @include(if: true) maker { name } }"""
    )
    # One alias here, and three times two in F.
    whole, fragment = measure(document)
    assert whole == Size(depth=4, aliases=7, selections=20, directives=4)
    assert fragment == Size(depth=2, aliases=2, selections=4, directives=1)


def test_introspection_does_not_count_as_depth() -> None:
    deep = "{ __schema { types { fields { type { ofType { ofType { ofType { name } } } } } } } }"
    assert measure(parse(deep))[0].depth == 0


@pytest.mark.parametrize(
    ("limits", "text", "limit"),
    [
        (Limits(depth=2), "{ row { maker { name } } }", "depth"),
        (Limits(aliases=2), "{ a: hello b: hello c: hello }", "aliases"),
        (Limits(aliases=1), "{ row { id } row { id } ... { row { id } } }", "aliases"),
        (Limits(selections=3), "{ rows { number text good } }", "selections"),
        (Limits(directives=1), "{ hello @skip(if: false) times @skip(if: false) }", "directives"),
        (Limits(directives=1), "query @skip(if: false) { hello @skip(if: false) }", "directives"),
        (Limits(operations=1), "query A { hello } query B { hello }", "operations"),
        (
            Limits(fragments=1),
            "{ ...A ...B } fragment A on Query { hello } fragment B on Query { hello }",
            "fragments",
        ),
        # Validation compares each pair of fields of a fragment that nothing spreads, too.
        (Limits(aliases=1), "{ hello } fragment A on Query { row { id } row { id } row { id } }", "aliases"),
    ],
)
def test_each_limit_is_enforced(limits: Limits, text: str, limit: str) -> None:
    error = refused(text, documents(limits))
    assert error.code == "QUERY_TOO_COMPLEX"
    assert [each.extensions["limit"] for each in error.errors if each.extensions] == [limit]


def test_a_document_at_its_limits_is_accepted() -> None:
    kept = documents(Limits(depth=3, aliases=1, selections=4, directives=1, fragments=1))
    kept.get("{ a: row { maker { ...F } } } fragment F on Maker { name @skip(if: false) }")


def test_too_many_tokens_are_refused() -> None:
    error = refused("{" + " hello" * 60 + "}", documents(Limits(tokens=50)))
    assert error.code == "QUERY_TOO_COMPLEX"


def test_leaves_may_be_repeated() -> None:
    documents(Limits(aliases=0)).get("{ hello hello ... { hello } ... on Query { hello } }")


def processor_time(work: Callable[[], object]) -> float:
    """Return the seconds that this process spends on something: the best of three, whatever else runs."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def test_very_long_documents_are_refused_before_they_are_read() -> None:
    text = '{ hello(name: "' + "x" * 1_000_000 + '") }'
    assert refused(text).code == "QUERY_TOO_COMPLEX"
    assert processor_time(lambda: refused(text)) < 0.02


def test_comments_without_end_are_refused() -> None:
    assert refused("{ hello }" + "#\n" * 5000).code == "QUERY_TOO_COMPLEX"


def chained_fragments(links: int) -> str:
    return (
        "{ ...F0 }"
        + "".join(f" fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(links))
        + f" fragment F{links} on Query {{ hello }}"
    )


def test_chained_fragments_are_refused_at_once() -> None:
    assert refused(chained_fragments(30)).code == "QUERY_TOO_COMPLEX"
    assert processor_time(lambda: refused(chained_fragments(30))) < 0.02


def test_deeply_nested_chains_of_fragments_are_refused() -> None:
    nested = "same {" * 30
    text = "{ row { ...F0 } }" + "".join(
        f" fragment F{i} on Row {{ {nested} ...F{i + 1} {'}' * 30} }}" for i in range(50)
    )
    assert refused(text + " fragment F50 on Row { number }").code == "QUERY_TOO_COMPLEX"


def test_cyclic_fragments_are_refused() -> None:
    error = refused("{ row { ...F } } fragment F on Row { same { ...F } }")
    assert error.code == "GRAPHQL_VALIDATION_FAILED"


def test_many_errors_are_cut_short() -> None:
    error = refused("{" + " ".join(f"x{i}" for i in range(500)) + "}")
    assert len(error.errors) == 21


def test_valid_documents_are_parsed_and_validated_once() -> None:
    kept = documents()
    assert kept.get("{ hello }") is kept.get("{ hello }")


def test_invalid_and_very_long_documents_are_not_kept() -> None:
    kept = documents(Limits(cached_length=20))
    kept.get("{ hello }")
    refused("{ nothing }", kept)
    refused("{", kept)
    kept.get("{ hello }" + " " * 20)
    assert kept.count == 1


def test_the_least_recently_used_document_falls_out() -> None:
    kept = documents(size=2)
    first = kept.get("{ hello }")
    kept.get("{ times }")
    kept.get("{ hello }")
    kept.get("{ prices }")
    assert kept.count == 2
    assert kept.get("{ hello }") is first


def test_the_documents_kept_are_bounded_by_their_length_in_all() -> None:
    kept = documents(Limits(cached_total=100))
    texts = [f'{{ hello(name: "{i:020}") }}' for i in range(50)]
    for text in texts:
        kept.get(text)
        assert kept.characters <= 100
    assert (kept.count, kept.characters) == (2, 2 * len(texts[0]))
    kept.get("{ hello }" + " " * 91)
    assert (kept.count, kept.characters) == (1, 100)


def test_the_bound_on_length_bounds_the_memory() -> None:
    kept = documents()
    dense = "{" + "...{" * 7 + "hello " * 500 + "}" * 7 + "}"
    kept.get(dense)
    tracemalloc.start()
    try:
        kept.get(dense + " ")
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / len(dense) < 250
    assert Limits().cached_total * 250 < 100 * 2**20


def test_names_are_suggested_only_if_allowed() -> None:
    assert "Did you mean 'hello'?" in refused("{ helo }").errors[0].message
    assert "Did you mean" not in refused("{ helo }", documents(suggestions=False)).errors[0].message


def test_introspection_can_be_switched_off() -> None:
    closed = documents(introspection=False)
    for text in ("{ __schema { queryType { name } } }", '{ __type(name: "Row") { name } }'):
        documents().get(text)
        assert refused(text, closed).code == "GRAPHQL_VALIDATION_FAILED"
    closed.get("{ __typename }")


def test_the_standard_introspection_query_is_within_the_limits() -> None:
    documents().get(get_introspection_query(descriptions=True, input_value_deprecation=True))
