"""What administrators and users are told of accounts, through the outbox."""

from gql_trader.accounts.models import UserRow
from gql_trader.accounts.models_credentials import ApiTokenRow
from gql_trader.accounts.types import AccountMail, AccountNotice, UserStatus
from gql_trader.infra import outbox
from gql_trader.infra.outbox import Lane
from gql_trader.infra.unit_of_work import UnitOfWork


def signed_up(uow: UnitOfWork, username: str, status: UserStatus) -> None:
    """Tell the administrators if a new account waits for them.

    Whether there is such an account is found out by whoever delivers this, not by the request: signing up
    must do the same whether the e-mail address was registered already or not.
    """
    if status is UserStatus.PENDING:
        outbox.send(uow, AccountNotice.SIGNUP_PENDING, {"username": username}, Lane.NOTICES)


def api_token_created(uow: UnitOfWork, user: UserRow, token: ApiTokenRow) -> None:
    """Tell a user of a new API token: it may be a stranger with their session who has made it."""
    values = {
        "email": user.email,
        "username": user.username,
        # On one line: whoever makes the token must not be able to write paragraphs of this mail.
        "label": " ".join(token.label.split()),
        "prefix": token.prefix,
        "scopes": ", ".join(token.scopes),
    }
    outbox.send(uow, AccountMail.API_TOKEN_CREATED, values)


def approved(uow: UnitOfWork, user: UserRow) -> None:
    """Tell a user that the account can be used now."""
    outbox.tell(uow, user.id, "ACCOUNT_APPROVED", {"username": user.username})
