"""How often credentials may be tried, and by whom that is counted.

Addresses are those of `Client.network`. Numbers that users meet are in docs/security.md.
"""

from typing import Any

from gql_trader.accounts.service import normalize_email
from gql_trader.core.errors import InvalidInput
from gql_trader.gql.context import Context
from gql_trader.gql.limiting import Limited, Rule, by_address, by_viewer
from gql_trader.infra.rate_limits import Policy

_QUARTER = 15 * 60
_HOUR = 60 * 60


def _login(_context: Context, given: Any) -> str:
    # By what is typed, whether or not there is such an account. Did the name and the address of an account
    # share one count, it would tell whose address belongs to which name, and which are registered at all.
    return str(given.login).strip().lower()


def _email(_context: Context, given: Any) -> str:
    # By mailbox, not by spelling: full-width letters and other dots are other texts for one address.
    try:
        return normalize_email(given.email).lower()
    except InvalidInput:
        return str(given.email).strip().lower()


LOGIN = Limited(
    by_address(Policy("login_address", 5, _QUARTER, penalty=60)),
    Rule(Policy("login_account", 5, _QUARTER, penalty=60), _login),
    failures=True,
    attempts=[by_address(Policy("login_attempts", 60, _QUARTER))],
)
SIGNUP = Limited(
    by_address(Policy("signup_address", 30, _HOUR)), Rule(Policy("signup_email", 5, _HOUR), _email)
)
REFRESH = Limited(
    by_address(Policy("refresh_address", 20, _QUARTER, penalty=60)),
    failures=True,
    attempts=[by_address(Policy("refresh_attempts", 300, _QUARTER))],
)
PASSWORD_RESET_REQUEST = Limited(
    by_address(Policy("forgot_address", 5, 60)), Rule(Policy("forgot_email", 3, _HOUR), _email)
)
PASSWORD_RESET = Limited(by_address(Policy("reset_address", 10, _QUARTER, penalty=60)), failures=True)
_CREDENTIAL_CHECK = by_viewer(Policy("credential_check", 5, _QUARTER, penalty=60))
CREDENTIAL_CHECK = Limited(_CREDENTIAL_CHECK, failures=True)
"""For what asks a signed-in user for a password or a code once more."""
API_TOKEN = Limited(by_viewer(Policy("api_token", 20, _HOUR)))
LIVE_TRADING_CODE = Limited(_CREDENTIAL_CHECK, failures=True, when=lambda given: bool(given.totp_code))
"""For what takes a code if it enables live trading, and is not limited otherwise."""
