"""What administrators and users are told of accounts, through the outbox."""

from gql_trader.accounts.models import UserRow
from gql_trader.accounts.types import AccountNotice, UserStatus
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


def approved(uow: UnitOfWork, user: UserRow) -> None:
    """Tell a user that the account can be used now."""
    outbox.tell(uow, user.id, "ACCOUNT_APPROVED", {"username": user.username})
