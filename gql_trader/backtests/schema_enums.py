"""Enums of the backtest domain as GraphQL enums; whoever uses one in a type imports it from here."""

from gql_trader.backtests.comparison import ResultPart
from gql_trader.backtests.types import BacktestOrderField, RunStatus
from gql_trader.engine.execution import Direction, ExitReason, FillModel, Side
from gql_trader.engine.lookahead import SignalKind
from gql_trader.gql.enums import register_enum

__all__ = [
    "BacktestOrderField",
    "Direction",
    "ExitReason",
    "FillModel",
    "ResultPart",
    "RunStatus",
    "Side",
    "SignalKind",
]

register_enum(
    FillModel,
    "When a signal fills. A signal is known at the close of its bar.",
    {"NEXT_OPEN": "At the open of the next bar.", "CLOSE": "At the close of the signal's own bar."},
)
register_enum(
    Direction,
    "Which positions a run may open.",
    {
        "LONG": "Long positions only.",
        "SHORT": "Short positions only.",
        "BOTH": "Long and short; an opposite signal reverses the position.",
    },
)
register_enum(
    Side,
    "Direction of a position.",
    {"LONG": "Gains when the price rises.", "SHORT": "Gains when the price falls."},
)
register_enum(
    ExitReason,
    "Why a position was closed.",
    {
        "SIGNAL": "The strategy's exit rule, or a reversal.",
        "STOP_LOSS": "The price reached the stop-loss level.",
        "TAKE_PROFIT": "The price reached the take-profit level.",
        "TRAILING_STOP": "The price fell back to the trailing stop.",
        "ROI": "The return table's target for the position's age was reached.",
        "LIQUIDATION": "The margin was used up.",
        "DAILY_LIMIT": "A daily guard closed the position.",
        "MAX_DRAWDOWN": "Equity had fallen from its peak as far as it may.",
        "END_OF_DATA": "The position was open at the last bar and closed at its close.",
    },
)
register_enum(
    BacktestOrderField,
    "What backtests are ordered by; backtests without a value come last in either direction.",
    {
        "CREATED_AT": "When it was requested.",
        "TOTAL_RETURN": "Final over initial equity, less one.",
        "CAGR": "Compound annual growth rate.",
        "SHARPE_RATIO": "Sharpe ratio of daily returns, annualised.",
        "SORTINO_RATIO": "Sortino ratio of daily returns, annualised.",
        "CALMAR_RATIO": "CAGR over maximum drawdown.",
        "MAX_DRAWDOWN": "Largest fall from a peak of equity; ASC puts the calmest first.",
        "WIN_RATE": "Share of trades with a profit.",
        "PROFIT_FACTOR": "Profits over losses.",
        "TRADES": "Number of closed trades.",
    },
)
register_enum(
    ResultPart,
    "A part of a backtest's result.",
    {
        "EQUITY": "Equity at every bar's close.",
        "DAILY": "Equity and return of every day.",
        "LEDGER": "The trades.",
        "METRICS": "The figures.",
    },
)
register_enum(
    SignalKind,
    "What a strategy says at the close of a bar.",
    {
        "ENTRY_LONG": "Open a long position.",
        "EXIT_LONG": "Close a long position.",
        "ENTRY_SHORT": "Open a short position.",
        "EXIT_SHORT": "Close a short position.",
    },
)
