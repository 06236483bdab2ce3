"""Configurations of Freqtrade from the command line: out with secrets, and in."""

import asyncio
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gql_trader.cli.errors import CommandError

if TYPE_CHECKING:
    from gql_trader.config import Settings
    from gql_trader.settings.types import Changed, Ignored

app = typer.Typer(help="Configurations of Freqtrade.", no_args_is_help=True)

FILE_NAME = "config.json"
LARGEST_FILE = 256 * 1024

User = Annotated[str, typer.Option(help="Username or e-mail address.")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where data is kept. Also GQL_TRADER_DATA_DIR.", show_default="per user"),
]


@app.command()
def export(
    user: User,
    dir: Annotated[Path, typer.Option(help="Directory to put config.json into; made if there is none.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a config.json that is there.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Write a user's settings as a complete config.json, with secrets, readable by you alone."""
    from gql_trader.cli.session import connected, load_settings

    path = dir / FILE_NAME
    if path.exists() and not force:
        raise CommandError(f"{path} is there already: --force replaces it")
    with connected(load_settings(data_dir=data_dir)) as settings:
        config = asyncio.run(_config(settings, user))
    dir.mkdir(parents=True, exist_ok=True)
    _write(path, config, replace=force)
    typer.echo(f"wrote {path}, which has secrets: keep it to yourself")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A config.json; comments and trailing commas are allowed.")],
    user: User,
    preview: Annotated[
        bool, typer.Option("--preview", help="Tell what would change; change nothing.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Take a user's settings from a config.json, and list what could not be taken over.

    Live trading is never turned on this way: the user does that, with a code of the second factor.
    """
    from gql_trader.cli.session import connected, load_settings
    from gql_trader.infra.logging import configure_logging

    config = _read(file)
    with connected(load_settings(data_dir=data_dir)) as settings:
        configure_logging(settings.log_level)
        changed, ignored = asyncio.run(_import(settings, user, config, preview=preview))
    verb = "would change" if preview else "changed"
    for each in changed.differences:
        values = "a secret" if each.secret else f"{each.old!r} -> {each.new!r}"
        typer.echo(f"{verb} {'.'.join(each.path)}: {values}")
    if not changed.differences:
        typer.echo("nothing changes" if preview else "nothing changed")
    for part in ignored:
        typer.echo(f"not taken over: {'.'.join(part.path)}: {part.reason}")


def _read(file: Path) -> Any:
    import json5
    import orjson

    with file.open("rb") as opened:
        content = opened.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise CommandError(f"{file} is larger than {LARGEST_FILE // 1024} KiB: this is no configuration")
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        # As Freqtrade does, take comments and trailing commas too; that parser is much slower.
        try:
            return json5.loads(content.decode())
        except (ValueError, RecursionError) as error:
            raise CommandError(f"{file} is not JSON: {error}") from error


def _write(path: Path, config: dict[str, Any], *, replace: bool) -> None:
    import orjson

    content = orjson.dumps(config, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    # Made anew, for its owner alone from the first moment on; a name that appeared meanwhile stays.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


async def _config(settings: "Settings", login: str) -> dict[str, Any]:
    from gql_trader.accounts.administration import find_by_login
    from gql_trader.accounts.audit import record_event
    from gql_trader.accounts.types_credentials import AuditAction
    from gql_trader.runtime import open_runtime
    from gql_trader.settings import service
    from gql_trader.settings.freqtrade import to_config
    from gql_trader.settings.rules import SECRET_PATHS

    async with open_runtime(settings) as runtime, runtime.unit_of_work() as uow:
        user = await find_by_login(uow, login)
        record = await service.settings_of(uow, user.id)
        known = await service.secrets_of(uow, runtime.keys, user.id)
        record_event(
            uow,
            AuditAction.TRADING_SECRETS_EXPORTED,
            actor_id=None,
            target_id=user.id,
            fields=sorted(".".join(SECRET_PATHS[each]) for each in known),
        )
        return to_config(record.values, known)


async def _import(
    settings: "Settings", login: str, config: object, *, preview: bool
) -> "tuple[Changed, tuple[Ignored, ...]]":
    from gql_trader.accounts.administration import find_by_login
    from gql_trader.accounts.live_trading import LiveTrading
    from gql_trader.core.actor import Actor
    from gql_trader.runtime import open_runtime
    from gql_trader.settings import service
    from gql_trader.settings.attempts import attempted, names_given
    from gql_trader.settings.freqtrade_import import from_config

    imported = from_config(config, preview=preview)
    async with open_runtime(settings) as runtime:
        async with runtime.unit_of_work() as uow:
            user = await find_by_login(uow, login)
        actor, live = Actor(user.id, user.role), LiveTrading.of(settings)
        with attempted("freqtrade import", user.id, names_given(imported.change)) as attempt:
            async with runtime.unit_of_work() as uow:
                changed = await service.update_settings(
                    uow, runtime.keys, live, actor, imported.change, by_operator=True
                )
            names = [".".join(each.path) for each in changed.differences]
            attempt.came_to(names, preview=preview)
    return changed, imported.ignored
