"""Candle files from the command line."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gql_trader.core.intervals import Interval

if TYPE_CHECKING:
    from gql_trader.config import Settings
    from gql_trader.market_data.types import AssetType, ImportReport

app = typer.Typer(help="Candle files: CSV, Parquet, Feather.", no_args_is_help=True)

E = TypeVar("E", bound=Enum)

Market = Annotated[str, typer.Option(help="The pair, as BTC/USD.")]
Exchange = Annotated[str, typer.Option(help="The venue, as coinbase.")]
IntervalName = Annotated[
    str, typer.Option(help=f"Length of one candle: {', '.join(each.name for each in Interval)}.")
]
Moment = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"], help="In UTC."),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where data is kept. Also GQL_TRADER_DATA_DIR.", show_default="per user"),
]


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="A .csv, .parquet or .feather file; columns are found by name.")
    ],
    market: Market,
    exchange: Exchange,
    interval: IntervalName,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Instead of refusing bad rows: drop rows without a usable time or price, candles that are "
            "not over yet and earlier rows of the same time, let high and low include all prices of a row, "
            "set a bad volume to 0; and take candles that are further apart than the interval.",
        ),
    ] = False,
    asset_type: Annotated[
        str | None,
        typer.Option(
            help="Type of the base asset if it is new.", show_default="FIAT for currencies, else CRYPTO"
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add a file's candles to a market: all of them or none; a second time changes nothing."""
    from gql_trader.cli.session import connected, load_settings
    from gql_trader.market_data.incoming.validation import RefusedRows
    from gql_trader.market_data.types import AssetType

    length = _member(Interval, interval, "--interval")
    kind = _member(AssetType, asset_type, "--asset-type") if asset_type else None
    with connected(load_settings(data_dir=data_dir)) as settings:
        try:
            report = asyncio.run(_import(settings, file, market, exchange, length, repair, kind))
        except RefusedRows as refusal:
            rows = "1 row is" if refusal.count == 1 else f"{refusal.count} rows are"
            typer.echo(f"{file}: nothing was imported, {rows} refused:", err=True)
            for problem in refusal.problems:
                typer.echo(f"  {problem}", err=True)
            if refusal.count > len(refusal.problems):
                typer.echo(f"  and {refusal.count - len(refusal.problems)} more", err=True)
            typer.echo("--repair drops or mends such rows.", err=True)
            raise typer.Exit(1) from None
    for note in report.notes:
        typer.echo(note)
    for what, count in report.repairs:
        typer.echo(f"{count} × {what}")
    series = report.series
    typer.echo(
        f"{report.market.name} {length.name}: {report.rows} candles read, {report.added} added, "
        f"{report.updated} updated; {series.count} in all, {series.gaps} missing, "
        f"content {series.content_hash[:12]}"
    )


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="The file to write; its ending tells the kind.")],
    market: Market,
    exchange: Exchange,
    interval: IntervalName,
    start: Moment = None,
    end: Moment = None,
    data_dir: DataDir = None,
) -> None:
    """Write a market's candles to a file, resampled if that interval is not stored."""
    from gql_trader.cli.session import connected, load_settings

    length = _member(Interval, interval, "--interval")
    with connected(load_settings(data_dir=data_dir)) as settings:
        count = asyncio.run(_export(settings, file, market, exchange, length, _utc(start), _utc(end)))
    typer.echo(f"{count} candles written to {file}")


async def _import(
    settings: "Settings",
    file: Path,
    market: str,
    exchange: str,
    interval: Interval,
    repair: bool,
    asset_type: "AssetType | None",
) -> "ImportReport":
    from gql_trader.market_data.incoming.importing import import_candles
    from gql_trader.runtime import open_runtime

    async with open_runtime(settings) as runtime, runtime.unit_of_work() as uow:
        with _progress(file.name, steps=3) as step:
            return await import_candles(
                uow,
                file,
                exchange=exchange,
                market=market,
                interval=interval,
                repaired=repair,
                asset_type=asset_type,
                progress=step,
            )


async def _export(
    settings: "Settings",
    file: Path,
    market: str,
    exchange: str,
    interval: Interval,
    start: datetime | None,
    end: datetime | None,
) -> int:
    from gql_trader.market_data.incoming.importing import export_candles
    from gql_trader.runtime import open_runtime

    async with open_runtime(settings) as runtime, runtime.unit_of_work() as uow:
        with _progress(file.name, steps=2) as step:
            return await export_candles(
                uow,
                runtime.arrays,
                file,
                exchange=exchange,
                market=market,
                interval=interval,
                start=start,
                end=end,
                progress=step,
            )


@contextmanager
def _progress(what: str, steps: int) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=steps + 1)

        def step(name: str) -> None:
            progress.update(task, advance=1, description=f"{name} {what}")

        yield step


def _member(kind: type[E], text: str, option: str) -> E:
    for member in kind:
        if text.upper() == member.name or text == member.value:
            return member
    names = ", ".join(member.name for member in kind)
    raise typer.BadParameter(f"{text!r} is not one of {names}", param_hint=option)


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
