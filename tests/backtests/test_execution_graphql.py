"""Execution specs through GraphQL: what may be asked for, and what is shown of it afterwards."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from gql_trader.app import create_app
from gql_trader.backtests.jobs import run_backtest
from gql_trader.backtests.ledger import COLUMNS
from gql_trader.backtests.models import BacktestRow, LedgerSegmentRow
from gql_trader.config import Settings
from gql_trader.gql.relay import encode_id, parse_id
from gql_trader.infra.column_codec import decode_columns, encode_columns
from gql_trader.market_data.models import MarketRow
from tests.factories.actors import make_access_token
from tests.factories.backtests import Desk
from tests.graphql_client import GraphQLClient, graphql_client

RUN = """
mutation($input: RunBacktestInput!) {
  runBacktest(input: $input) { backtest { id contentHash } cached errors { code message path } }
}
"""
SHOW = """
query($id: ID!) {
  backtest(id: $id) {
    engineVersion
    execution {
      sizing { equityFraction riskFraction } stopLoss trailingStop trailingActivation minimalRoi
      leverage maintenanceMargin fundingRatePerDay
      maxDailyLoss dailyTarget maxDailyTrades cooldownBars amountPrecision minAmount minNotional
    }
    metrics { trades fundingPaid finalEquity }
    ledger(first: 100) { nodes { quantity profit funding fees exitReason } }
  }
}
"""
EVERYTHING = {
    "sizing": {"riskFraction": 0.02},
    "leverage": 3,
    "maintenanceMargin": 0.01,
    "stopLoss": 0.05,
    "trailingStop": 0.03,
    "trailingActivation": 0.02,
    "minimalRoi": {"0": 0.2, "600": 0.05, "1200": 0.01},
    "maxDailyLoss": 0.1,
    "dailyTarget": 0.2,
    "maxDailyTrades": 4,
    "cooldownBars": 2,
    "fundingRatePerDay": 0.001,
}


@dataclass
class Trader:
    """A signed-in trader with candles of BTC/USD."""

    desk: Desk
    client: GraphQLClient

    async def run(self, execution: dict[str, Any]) -> dict[str, Any]:
        """Request a backtest and return the payload."""
        values = {
            "strategyId": encode_id("Strategy", self.desk.strategy_id),
            "market": "BTC/USD",
            "interval": "H1",
            "execution": execution,
        }
        return (await self.client.execute(RUN, {"input": values})).data["runBacktest"]  # type: ignore[no-any-return]

    async def complete(self, execution: dict[str, Any]) -> str:
        """Run a backtest and return its id."""
        payload = await self.run(execution)
        assert payload["errors"] == []
        identifier = str(payload["backtest"]["id"])
        await run_backtest({"runtime": self.desk.runtime}, str(parse_id(identifier)[1]))
        return identifier

    async def show(self, identifier: str) -> dict[str, Any]:
        """Return what GraphQL shows of a backtest."""
        return (await self.client.execute(SHOW, {"id": identifier})).data["backtest"]  # type: ignore[no-any-return]


@pytest.fixture
async def trader(desk: Desk, settings: Settings) -> AsyncIterator[Trader]:
    token = await make_access_token(desk.runtime, desk.trader)
    async with graphql_client(create_app(settings, desk.runtime)) as client:
        yield Trader(desk, client.signed_in(token))


async def test_all_that_was_asked_for_is_run_and_shown_with_the_markets_steps(trader: Trader) -> None:
    async with trader.desk.runtime.unit_of_work() as uow:
        await uow.session.execute(update(MarketRow).values(amount_precision=3, min_amount=Decimal("0.002")))
    shown = await trader.show(await trader.complete(EVERYTHING))
    assert shown["execution"] == EVERYTHING | {
        "sizing": {"equityFraction": None, "riskFraction": 0.02},
        "amountPrecision": 3,
        "minAmount": "0.002",
        "minNotional": None,
    }
    trades = shown["ledger"]["nodes"]
    assert len(trades) == shown["metrics"]["trades"] > 5
    quantities = [Decimal(trade["quantity"]) for trade in trades]
    assert all(quantity == round(quantity, 3) for quantity in quantities)
    assert all(Decimal(trade["funding"]) > 0 for trade in trades)
    assert {trade["exitReason"] for trade in trades} & {"ROI"}
    paid = sum(Decimal(trade["funding"]) for trade in trades)
    assert float(shown["metrics"]["fundingPaid"]) == pytest.approx(float(paid), abs=1e-6)
    profits = sum(Decimal(trade["profit"]) for trade in trades)
    assert float(shown["metrics"]["finalEquity"]) == pytest.approx(10_000 + float(profits), abs=1e-6)


async def test_a_market_that_trades_in_larger_steps_is_another_backtest(trader: Trader) -> None:
    await trader.complete({"leverage": 2})
    assert (await trader.run({"leverage": 2}))["cached"] is True
    async with trader.desk.runtime.unit_of_work() as uow:
        await uow.session.execute(update(MarketRow).values(amount_precision=2))
    assert (await trader.run({"leverage": 2}))["cached"] is False


async def test_null_means_the_default(trader: Trader) -> None:
    plain = await trader.run({})
    nulls = dict.fromkeys(EVERYTHING) | {"makerFee": None}
    again = await trader.run(nulls)
    assert again["errors"] == []
    assert again["backtest"]["contentHash"] == plain["backtest"]["contentHash"]


async def test_what_cannot_be_run_is_refused_by_its_path(trader: Trader) -> None:
    refused: list[tuple[dict[str, Any], list[str]]] = [
        ({"leverage": 0.5}, ["execution", "leverage"]),
        ({"leverage": 20, "maintenanceMargin": 0.05}, ["execution", "maintenanceMargin"]),
        ({"sizing": {"riskFraction": 0.01}}, ["execution", "sizing", "riskFraction"]),
        ({"trailingActivation": 0.1}, ["execution", "trailingActivation"]),
        ({"minimalRoi": {"soon": 0.1}}, ["execution", "minimalRoi", "soon"]),
        ({"minimalRoi": [0.1]}, ["execution", "minimalRoi"]),
        ({"minimalRoi": {"10": -1}}, ["execution", "minimalRoi", "10"]),
        ({"maxDailyLoss": 2}, ["execution", "maxDailyLoss"]),
        ({"maxDailyTrades": 0}, ["execution", "maxDailyTrades"]),
        ({"cooldownBars": -1}, ["execution", "cooldownBars"]),
        ({"fundingRatePerDay": 1}, ["execution", "fundingRatePerDay"]),
    ]
    for execution, path in refused:
        payload = await trader.run(execution)
        assert payload["backtest"] is None
        assert [(error["code"], error["path"]) for error in payload["errors"]] == [("INVALID_INPUT", path)]


async def test_a_run_of_the_first_engine_is_still_shown(trader: Trader) -> None:
    identifier = await trader.complete({"stopLoss": 0.05})
    key = parse_id(identifier)[1]
    async with trader.desk.runtime.unit_of_work() as uow:
        row = await trader.desk.row(key)
        execution = {name: value for name, value in dict(row.execution).items() if name != "amountPrecision"}
        segment = await uow.session.get(LedgerSegmentRow, (key, 0))
        assert segment is not None
        columns = decode_columns(segment.data)
        segment.data = encode_columns({name: columns[name] for name in COLUMNS if name != "funding"})
        await uow.session.execute(
            update(BacktestRow)
            .where(BacktestRow.id == key)
            .values(execution=execution, engine_version="1", funding_paid=Decimal(0))
        )
    shown = await trader.show(identifier)
    assert shown["engineVersion"] == "1"
    assert shown["execution"]["stopLoss"] == 0.05
    assert shown["execution"]["leverage"] == 1.0
    assert shown["execution"]["amountPrecision"] is None
    assert shown["metrics"]["fundingPaid"] == "0"
    assert {trade["funding"] for trade in shown["ledger"]["nodes"]} == {"0"}
    assert np.isfinite([float(trade["profit"]) for trade in shown["ledger"]["nodes"]]).all()
