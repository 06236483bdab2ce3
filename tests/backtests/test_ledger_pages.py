"""Pages of a ledger kept in segments: the same trades as slicing the whole list."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_trader.backtests.ledger import (
    SEGMENT_ROWS,
    LedgerFilter,
    cut_page,
    decode_segments,
    encode_ledger,
    window,
)
from gql_trader.backtests.schema_types import ledger_entries
from gql_trader.core.errors import InvalidInput
from gql_trader.engine.execution import ExitReason, Side
from gql_trader.engine.ledger import EXIT_REASONS, LEDGER_FLOATS, LEDGER_INTEGERS, Ledger, ledger_of
from gql_trader.infra.keyset import encode_cursor, page_request


def _ledger(trades: int) -> Ledger:
    generator = np.random.default_rng(trades)
    integers = generator.integers(0, 10**12, (len(LEDGER_INTEGERS), trades))
    integers[LEDGER_INTEGERS.index("side")] = generator.choice([-1, 1], trades)
    integers[LEDGER_INTEGERS.index("exit_reason")] = generator.integers(0, len(EXIT_REASONS), trades)
    return ledger_of(integers, generator.normal(size=(len(LEDGER_FLOATS), trades)), trades)


def _numbers(
    ledger: Ledger, chosen: LedgerFilter, **arguments: object
) -> tuple[list[int], bool, bool, list[str]]:
    segments = dict(enumerate(encode_ledger(ledger)))
    wanted = window(page_request(**arguments))  # type: ignore[arg-type]
    needed = wanted.segments(len(ledger), chosen)
    page = cut_page(decode_segments({number: segments[number] for number in needed}), wanted, chosen)
    return page.rows.number.tolist(), page.has_next, page.has_previous, list(page.cursors)


def test_every_value_survives_storage() -> None:
    ledger = _ledger(2 * SEGMENT_ROWS + 7)
    rows = decode_segments(dict(enumerate(encode_ledger(ledger))))
    assert rows.number.tolist() == list(range(1, len(ledger) + 1))
    for name, column in rows.columns.items():
        assert np.array_equal(column, getattr(ledger, name)), name


def test_prices_and_quantities_keep_their_digits_and_money_eight_places() -> None:
    ledger = _ledger(1)
    for name, value in (("entry_price", 4.1e-9), ("exit_price", 2e-9 / 3), ("quantity", 1e8 / 3)):
        getattr(ledger, name)[0] = value
    for name in ("profit", "fees", "equity_after"):
        getattr(ledger, name)[0] = 1 / 3
    (entry,) = ledger_entries(decode_segments(dict(enumerate(encode_ledger(ledger)))))
    assert f"{entry.entry_price:f}" == "0.0000000041"
    assert f"{entry.exit_price:f}" == "0.000000000666666666667"
    assert f"{entry.quantity:f}" == "33333333.33333333"
    assert {str(entry.profit), str(entry.fees), str(entry.equity_after)} == {"0.33333333"}


def test_an_empty_ledger_has_an_empty_page() -> None:
    assert _numbers(_ledger(0), LedgerFilter(), first=10) == ([], False, False, [])


def test_the_first_page_needs_one_segment() -> None:
    assert list(window(page_request(first=20)).segments(100_000, LedgerFilter())) == [0]
    assert list(window(page_request(last=20)).segments(100_000, LedgerFilter())) == [99]


@given(
    trades=st.integers(0, 2 * SEGMENT_ROWS + 50),
    size=st.integers(1, 100),
    side=st.sampled_from([None, *Side]),
    reason=st.sampled_from([None, ExitReason.SIGNAL, ExitReason.STOP_LOSS]),
    place=st.integers(1, 2 * SEGMENT_ROWS + 60),
    backwards=st.booleans(),
)
def test_a_page_is_what_slicing_the_whole_list_gives(
    trades: int, size: int, side: Side | None, reason: ExitReason | None, place: int, backwards: bool
) -> None:
    ledger = _ledger(trades)
    chosen = LedgerFilter(side, reason)
    matching = [
        number
        for number in range(1, trades + 1)
        if side in (None, ledger.side_of(number - 1)) and reason in (None, ledger.exit_reason_of(number - 1))
    ]
    cursor = encode_cursor("ledger", [place])
    if backwards:
        inside = [number for number in matching if number < place]
        expected = inside[-size:]
        numbers, _, has_previous, cursors = _numbers(ledger, chosen, last=size, before=cursor)
        assert has_previous == (len(inside) > size)
    else:
        inside = [number for number in matching if number > place]
        expected = inside[:size]
        numbers, has_next, _, cursors = _numbers(ledger, chosen, first=size, after=cursor)
        assert has_next == (len(inside) > size)
    assert numbers == expected
    assert cursors == [encode_cursor("ledger", [number]) for number in expected]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        encode_cursor("ledger", []),
        encode_cursor("ledger", [0]),
        encode_cursor("other", [1]),
        encode_cursor("ledger", [1.5]),
    ],
)
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput):
        window(page_request(first=1, after=cursor))
