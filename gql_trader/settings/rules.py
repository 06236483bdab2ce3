"""What trading settings may be: the rules of Freqtrade's own schema, and those across fields."""

import re
from collections.abc import Iterable, Iterator, Mapping

from gql_trader.core.actor import Actor
from gql_trader.core.errors import DomainError, Forbidden, InvalidInput
from gql_trader.settings.fields import BY_NAME
from gql_trader.settings.types import Secret, SettingsChange, TradingMode, TradingSettings

SECRET_PATHS: Mapping[Secret, tuple[str, ...]] = {
    Secret.EXCHANGE_KEY: ("exchange", "key"),
    Secret.EXCHANGE_SECRET: ("exchange", "secret"),
    Secret.EXCHANGE_PASSWORD: ("exchange", "password"),
    Secret.TELEGRAM_TOKEN: ("telegram", "token"),
}
LONGEST_SECRET = 4096
"""Keys of some exchanges are PEM texts."""

LONGEST_KEY = 512

_LINES = f"This is 1 to {LONGEST_SECRET} printable characters, without spaces around them."
_EXPECTED: Mapping[Secret, str] = {
    Secret.EXCHANGE_KEY: f"A key has 1 to {LONGEST_KEY} ASCII characters and no spaces.",
    Secret.EXCHANGE_SECRET: _LINES,
    Secret.EXCHANGE_PASSWORD: _LINES,
    Secret.TELEGRAM_TOKEN: "This is no token as Telegram's BotFather gives them, such as 123456:ABC-DEF.",
}
_WORD = re.compile(r"[!-~]+", re.ASCII)
_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,200}", re.ASCII)


def check_change(change: SettingsChange) -> list[DomainError]:
    """Return what is wrong with the values of a change, each by itself."""
    problems = list(change.problems)
    for name, value in change.values.items():
        message = BY_NAME[name].check(value)
        if message is not None:
            problems.append(InvalidInput(message, BY_NAME[name].path))
    for secret, text in change.secrets.items():
        if text is not None and not _is_secret(secret, text):
            # Never with the text: it may be a good secret with a slip of the hand.
            problems.append(InvalidInput(_EXPECTED[secret], SECRET_PATHS[secret]))
    return problems


def check_together(values: TradingSettings, secrets: frozenset[Secret]) -> list[DomainError]:
    """Return what is wrong with settings whose fields are good each by itself."""
    return [InvalidInput(message, path) for message, path in _together(values, secrets)]


def check_login(
    actor: Actor, before: TradingSettings, after: TradingSettings, secrets: Iterable[Secret]
) -> list[DomainError]:
    """Return what takes a login session, where there is none: secrets, and where messages go."""
    if actor.scopes is None:
        return []
    paths = [SECRET_PATHS[each] for each in secrets]
    if before.telegram_chat_id != after.telegram_chat_id:
        paths.append(BY_NAME["telegram_chat_id"].path)
    return [Forbidden("This takes a login session; no API token changes it.", path) for path in paths]


def _together(values: TradingSettings, secrets: frozenset[Secret]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if values.max_open_trades == -1 and values.stake_amount is None:
        yield "maxOpenTrades and stakeAmount cannot both be unlimited.", ("maxOpenTrades",)
    if not values.pair_whitelist:
        yield "At least one pair is needed: pairs are those of this list.", ("exchange", "pairWhitelist")
    if values.trading_mode is not TradingMode.SPOT and values.margin_mode is None:
        yield f"{values.trading_mode.value} needs a margin mode, CROSS or ISOLATED.", ("marginMode",)
    if values.trailing_stop:
        yield from _trailing(values)
    if values.telegram_enabled:
        if Secret.TELEGRAM_TOKEN not in secrets:
            yield "Telegram needs the bot's token.", ("telegram", "token")
        if values.telegram_chat_id is None:
            yield "Telegram needs the id of a chat.", ("telegram", "chatId")


def _trailing(values: TradingSettings) -> Iterator[tuple[str, tuple[str, ...]]]:
    positive, offset = values.trailing_stop_positive, values.trailing_stop_positive_offset
    if positive == 0:
        yield "With trailingStop, this is above 0, or none.", ("trailingStopPositive",)
    if positive and 0 < offset <= positive:
        yield (
            f"This is above trailingStopPositive, which is {positive}; got {offset}.",
            ("trailingStopPositiveOffset",),
        )
    if values.trailing_only_offset_is_reached and not positive:
        yield "This needs trailingStopPositive.", ("trailingOnlyOffsetIsReached",)


def _is_secret(secret: Secret, text: str) -> bool:
    if secret is Secret.TELEGRAM_TOKEN:
        return _TOKEN.fullmatch(text) is not None
    if secret is Secret.EXCHANGE_KEY:
        return len(text) <= LONGEST_KEY and _WORD.fullmatch(text) is not None
    lines = text.splitlines()
    return 0 < len(text) <= LONGEST_SECRET and text.strip() == text and all(map(str.isprintable, lines))
