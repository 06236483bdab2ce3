"""A backtest as a page of HTML that needs nothing else: no network, no script, no file beside it."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from itertools import groupby
from math import isfinite, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gql_trader.backtests.report_charts import draw
from gql_trader.engine import sampling
from gql_trader.engine.monthly import MonthlyReturns, monthly_returns
from gql_trader.infra import json_codec

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_TRADES: Final = 5000
"""Trades that a report lists: a browser shows no longer table with ease."""

_TEMPLATES = Path(__file__).parent / "templates"
_ROWS = "<!--trades-->"
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_STRENGTHS: Final = (0.01, 0.03, 0.06, 0.10)
"""From which monthly return on, in either direction, a cell has the next stronger colour."""

_DASH = "–"


@dataclass(frozen=True, slots=True)
class ReportData:
    """What a report tells.

    Attributes
    ----------
    row
        The completed backtest, metrics included.
    equity, daily
        Columns ``time`` and ``equity``: a point per bar, and per UTC day.
    """

    strategy: str
    market: str
    quote: str
    row: Any
    equity: Mapping[str, Any]
    daily: Mapping[str, Any]


def report_policy() -> str:
    """Return the content security policy with which a browser shows a report: its own style and no more."""
    return "; ".join([*_policy(), "frame-ancestors 'none'", "sandbox"])


def render_report(data: ReportData) -> tuple[bytes, bytes]:
    """Return a report without the rows of its trades: what comes before and after them.

    Whatever is in it was escaped; the rows are those of `render_trades`.
    """
    row, capital = data.row, float(data.row.initial_capital)
    money = _money_places(capital)
    time, equity = data.equity["time"], data.equity["equity"]
    drawdown = -sampling.drawdown_at(equity, np.arange(len(equity)), capital)
    months = monthly_returns(data.daily["time"], data.daily["equity"], capital)
    page = _environment().get_template("report.html.j2")
    text = page.render(
        data=data,
        row=row,
        places=money,
        policy="; ".join(_policy()),
        equity=draw(time, equity, capital, _number),
        drawdown=draw(time, drawdown, 0.0, _depth, rows=3),
        years=_years(months),
        settings=_settings(row),
        metrics=[(name, getattr(row, column), form) for column, (name, form) in _METRICS.items()],
        listed=min(row.trades, MOST_TRADES),
    )
    head, _, tail = text.strip().partition(_ROWS)
    return head.encode(), tail.encode()


def render_trades(trades: Iterable[Any], capital: float) -> bytes:
    """Return the rows of some trades, which have the fields of a ledger entry of the API."""
    rows = _environment().get_template("report_trades.html.j2")
    return rows.render(trades=trades, places=_money_places(capital)).encode()


def _money_places(capital: float) -> int:
    return 2 if capital >= 100 else 8


def _depth(value: float, places: int) -> str:
    return _percent(value, max(0, places - 2))


def _policy() -> list[str]:
    source = (_TEMPLATES / "report.html.j2").read_text()
    style = _STYLE.search(source)
    assert style is not None, "the report has a style"
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    return [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    kind: str


def _years(months: MonthlyReturns) -> list[tuple[int, list[_Cell], _Cell]]:
    """Return each year with a cell for each of its months, and one for the whole year."""
    found = zip(months.year.tolist(), months.month.tolist(), months.value.tolist(), strict=True)
    table = []
    for year, rows in groupby(found, key=lambda each: each[0]):
        values = {month: value for _, month, value in rows}
        whole = prod(1.0 + value for value in values.values()) - 1.0
        cells = [_cell(values.get(month)) for month in range(1, 13)]
        table.append((year, cells, _cell(whole)))
    return table


def _cell(value: float | None) -> _Cell:
    if value is None:
        return _Cell("", "none")
    if not isfinite(value):
        return _Cell(_DASH, "none")
    # As it is shown: a cell that says 0.0 % is neither green nor red.
    if abs(value) < 0.0005:
        return _Cell("0.0 %", "flat")
    strength = 1 + sum(abs(value) >= bound for bound in _STRENGTHS)
    return _Cell(_signed_percent(value, 1), f"{'up' if value > 0 else 'down'}{strength}")


def _settings(row: Any) -> list[tuple[str, str]]:
    """Return what was set: the parameters of the strategy, then how signals became fills."""
    pairs = [*row.parameters.items(), *((_words(name), value) for name, value in row.execution.items())]
    return [(name, _shown(value)) for name, value in pairs if value is not None]


def _words(name: str) -> str:
    """Return the name of a field as words: ``takerFee`` becomes ``Taker fee``."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda match: f" {match[1].lower()}", name).capitalize()


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{_words(str(name))} {_shown(each)}" for name, each in value.items())
    return json_codec.dumps_text(value)


def _number(value: float | Decimal, places: int, sign: str = "") -> str:
    """Return a number with narrow blanks between thousands and a real minus sign."""
    return f"{value:{sign},.{places}f}".replace(",", "\u202f").replace("-", "\u2212")


def _price(value: Decimal) -> str:
    text = f"{value:f}"
    whole, _, rest = text.partition(".")
    rest = rest.rstrip("0")
    return _number(Decimal(whole), 0) + (f".{rest}" if rest else "")


def _percent(value: float, places: int = 2) -> str:
    return f"{_number(value * 100, places)}\u202f%"


def _signed_percent(value: float, places: int = 2) -> str:
    return f"{_number(value * 100, places, '+')}\u202f%"


def _metric(value: float | int | Decimal | None, form: str, places: int) -> str:
    if value is None:
        return _DASH
    return str(_FORMS[form](value, places))


_FORMS: Final[Mapping[str, Any]] = {
    "fraction": lambda value, _places: _percent(value),
    "change": lambda value, _places: _signed_percent(value),
    "ratio": lambda value, _places: _number(value, 2),
    "count": lambda value, _places: _number(value, 0),
    "money": _number,
    "days": lambda value, _places: f"{_number(value, 1)} d",
    "hours": lambda value, _places: f"{_number(value, 1)} h",
}


_METRICS: Final[Mapping[str, tuple[str, str]]] = {
    "total_return": ("Total return", "change"),
    "cagr": ("Compound annual growth rate", "change"),
    "annual_volatility": ("Annual volatility", "fraction"),
    "sharpe_ratio": ("Sharpe ratio", "ratio"),
    "sortino_ratio": ("Sortino ratio", "ratio"),
    "calmar_ratio": ("Calmar ratio", "ratio"),
    "omega_ratio": ("Omega ratio", "ratio"),
    "max_drawdown": ("Maximum drawdown", "fraction"),
    "max_drawdown_duration_days": ("Longest drawdown", "days"),
    "ulcer_index": ("Ulcer index", "fraction"),
    "value_at_risk_95": ("Value at risk, 95 %, a day", "fraction"),
    "expected_shortfall_95": ("Expected shortfall, 95 %, a day", "fraction"),
    "trades": ("Trades", "count"),
    "win_rate": ("Win rate", "fraction"),
    "profit_factor": ("Profit factor", "ratio"),
    "expectancy": ("Mean profit of a trade", "money"),
    "payoff_ratio": ("Payoff ratio", "ratio"),
    "sqn": ("System quality number", "ratio"),
    "kelly": ("Kelly fraction", "fraction"),
    "avg_trade_return": ("Mean return of a trade", "change"),
    "best_trade": ("Best trade", "change"),
    "worst_trade": ("Worst trade", "change"),
    "avg_trade_duration_hours": ("Mean time in a trade", "hours"),
    "max_consecutive_wins": ("Longest series of winners", "count"),
    "max_consecutive_losses": ("Longest series of losers", "count"),
    "exposure": ("Share of bars in the market", "fraction"),
    "turnover": ("Turnover, in mean equities", "ratio"),
    "fees_paid": ("Fees paid", "money"),
    "funding_paid": ("Funding paid", "money"),
    "final_equity": ("Final equity", "money"),
    "buy_and_hold_return": ("Buy and hold", "change"),
    "alpha": ("Alpha, a year", "change"),
    "beta": ("Beta", "ratio"),
}
"""What each column of metrics is called, and how it is written."""


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


@cache
def _environment() -> "Environment":
    # When the first report is asked for: the API starts sooner without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "money": _number,
        "price": _price,
        "signed_percent": _signed_percent,
        "metric": _metric,
        "when": _when,
    }
    return environment
