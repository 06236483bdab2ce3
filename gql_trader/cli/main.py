"""The commands and their options; what they do is in the modules beside this one."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gql_trader.cli import candles, freqtrade
from gql_trader.core.actor import Role

app = typer.Typer(
    help="A self-hosted, multi-user GraphQL API server for trading strategies, backtests and bots.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
users = typer.Typer(help="Accounts.", no_args_is_help=True)
keys = typer.Typer(help="Keys that encrypt secrets at rest.", no_args_is_help=True)
schema = typer.Typer(help="The GraphQL schema.", no_args_is_help=True)
app.add_typer(users, name="users")
app.add_typer(keys, name="keys")
app.add_typer(schema, name="schema")
app.add_typer(candles.app, name="candles")
app.add_typer(freqtrade.app, name="freqtrade")

DataDir = Annotated[
    Path | None,
    typer.Option(help="Where data is kept. Also GQL_TRADER_DATA_DIR.", show_default="per user"),
]
Host = Annotated[str | None, typer.Option(help="Address to listen on. Also HOST.", show_default="127.0.0.1")]
Port = Annotated[
    int | None,
    typer.Option(help="Port to listen on; 0 takes a free one. Also PORT.", show_default="8000"),
]


@app.command()
def up(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes. Also WORKERS.", show_default="1")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Create a demo user and demo data.")] = True,
) -> None:
    """Start everything: PostgreSQL, Valkey, migrations, the API and its workers. Ctrl-C stops it."""
    from gql_trader.cli.session import load_settings
    from gql_trader.cli.up import run

    run(load_settings(host=host, port=port, data_dir=data_dir, workers=workers), demo=demo)


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    seed: Annotated[bool, typer.Option("--seed", hidden=True)] = False,
    demo: Annotated[bool, typer.Option("--demo", hidden=True)] = False,
    listen_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    start_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Start the API alone, on DATABASE_URL and REDIS_URL or beside a running `up`."""
    from gql_trader.cli import migrate
    from gql_trader.cli.serve import run
    from gql_trader.cli.session import connected, load_settings

    with connected(load_settings(host=host, port=port, data_dir=data_dir), start=False) as settings:
        if listen_fd is None:  # else a launcher migrates
            migrate.require(settings)
        run(settings, seed=seed, demo=demo, listen_fd=listen_fd, start_fd=start_fd)


@app.command()
def worker(
    queue: Annotated[
        list[str] | None, typer.Option(help="Work on this queue only; may be repeated.", show_default="all")
    ] = None,
    data_dir: DataDir = None,
    ready_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Start a worker alone, on DATABASE_URL and REDIS_URL or beside a running `up`."""
    from gql_trader.cli import migrate
    from gql_trader.cli.session import connected, load_settings
    from gql_trader.cli.worker import run

    with connected(load_settings(data_dir=data_dir), start=False) as settings:
        if ready_fd is None:  # else a launcher has migrated
            migrate.require(settings)
        run(settings, queue, ready_fd=ready_fd)


@app.command("migrate")
def migrate_(
    data_dir: DataDir = None,
    demo: Annotated[bool, typer.Option("--demo", help="Create the demo user and demo data too.")] = False,
    tables_only: Annotated[bool, typer.Option("--tables-only", help="Leave the rows as they are.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Then exit with 1 if tables and models differ; for developers.")
    ] = False,
    start_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Bring the database's tables and built-in strategies up to date."""
    from gql_trader.cli import migrate
    from gql_trader.cli.session import connected, load_settings

    with connected(load_settings(data_dir=data_dir), migrated=False) as settings:
        migrate.tables(settings, start_fd=start_fd)
        if check:
            migrate.check(settings)
        elif not tables_only:
            migrate.seeds(settings, demo=demo)


@app.command()
def doctor(data_dir: DataDir = None) -> None:
    """Check configuration, database, migrations, Redis and workers; exit with 1 if something is wrong."""
    from gql_trader.cli.doctor import run

    raise typer.Exit(run(data_dir))


@users.command("create")
def users_create(
    username: Annotated[str, typer.Option(help="Name to log in with.")],
    email: Annotated[str, typer.Option(help="E-mail address.")],
    role: Annotated[Role, typer.Option(help="What the user may do.", case_sensitive=False)] = Role.TRADER,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Create an active account."""
    from gql_trader.cli.session import connected, load_settings
    from gql_trader.cli.users import create

    password = (
        sys.stdin.readline().rstrip("\r\n")
        if password_stdin
        else typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    with connected(load_settings(data_dir=data_dir)) as settings:
        create(settings, username, email, password, role)


@users.command("approve")
def users_approve(
    login: Annotated[str, typer.Argument(help="Username or e-mail address.")],
    data_dir: DataDir = None,
) -> None:
    """Let a user in who signed up and waits for approval."""
    from gql_trader.cli.session import connected, load_settings
    from gql_trader.cli.users import approve

    with connected(load_settings(data_dir=data_dir)) as settings:
        approve(settings, login)


@keys.command("new")
def keys_new() -> None:
    """Print a new entry for ENCRYPTION_KEYS; append it to those that are there, separated by a comma."""
    from gql_trader.cli import keys
    from gql_trader.cli.session import load_settings

    keys.new(load_settings())


@keys.command("rotate")
def keys_rotate(data_dir: DataDir = None) -> None:
    """Encrypt every secret anew with the newest key; a generated key ring gets a new key first.

    Where ENCRYPTION_KEYS is set: append what `gql-trader keys new` prints, restart the API and the workers,
    then run this. Safe to interrupt and to run again.
    """
    from gql_trader.cli import keys
    from gql_trader.cli.session import connected, load_settings

    with connected(load_settings(data_dir=data_dir)) as settings:
        raise typer.Exit(keys.rotate(settings))


@schema.command("export")
def schema_export(
    output: Annotated[Path, typer.Option(help="File to write.")] = Path("schema.graphql"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if the file is not up to date.")
    ] = False,
) -> None:
    """Write the schema as SDL."""
    from gql_trader.cli.schema import export

    raise typer.Exit(export(output, check=check))


def main() -> None:
    """Run the command line; foreseeable errors end it with one sentence and exit code 1."""
    from gql_trader.cli.errors import explained

    with explained():
        app(prog_name="gql-trader")


if __name__ == "__main__":
    main()
