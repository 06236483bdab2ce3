"""Mails: who gets which letter, and handing it over."""

from uuid import UUID

from gql_trader.accounts import password_changes
from gql_trader.accounts import repository as accounts
from gql_trader.accounts.types import AccountMail
from gql_trader.accounts.types_external import NO_MAILBOX
from gql_trader.config import Settings
from gql_trader.infra.mail import Mail, MailNotSentError
from gql_trader.infra.outbox import OutboxMessage
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications import mails, repository
from gql_trader.notifications.mails import Letter
from gql_trader.notifications.types import STALE_RESET, DeliveryKind
from gql_trader.runtime import Runtime


async def send(runtime: Runtime, message: OutboxMessage) -> bool:
    """Hand a mail over; return False if nobody needs it.

    Raises
    ------
    MailNotSentError, MailRefusedError
        If the mail server did not take it.
    """
    async with runtime.unit_of_work() as uow:
        composed = await compose(uow, runtime.settings, message)
    if composed is None or composed[0].endswith(f"@{NO_MAILBOX}"):
        return False
    if runtime.mail is None:
        raise MailNotSentError("no mail server is set")
    address, letter = composed
    mail = Mail(
        str(message.id), address, letter.subject, letter.text(), message.created_at, html=letter.html()
    )
    await runtime.mail.send(mail)
    return True


async def compose(uow: UnitOfWork, settings: Settings, message: OutboxMessage) -> tuple[str, Letter] | None:
    """Return the address and the letter of a message; None if nobody needs it."""
    if message.kind == DeliveryKind.EMAIL:
        return await _notification(uow, settings, message)
    kind = AccountMail(message.kind)
    values = dict(message.payload)
    if kind is AccountMail.PASSWORD_RESET_REQUESTED:
        if uow.clock.now() - message.created_at > STALE_RESET:
            return None
        # Made here and not kept: only its hash is, and whoever reads the outbox finds no token.
        issued = await password_changes.issue_reset_token(uow, values["email"])
        if issued is None:
            return None
        user, token = issued
        # After "#": browsers send that to no server, so that it is in nobody's log.
        values |= {"email": user.email, "username": user.username}
        if token is None:
            kind = AccountMail.PASSWORD_RESET_ELSEWHERE
        else:
            values["link"] = f"{settings.password_reset_page}#token={token}"
    if kind is AccountMail.SIGNED_UP_AGAIN:
        # To the address as its owner writes it, not as somebody else has.
        owner = await accounts.user_by_login(uow.session, values["email"])
        if owner is None:
            return None
        values["email"] = owner.email
    return values["email"], mails.account_letter(kind, settings.public_address, values)


async def _notification(
    uow: UnitOfWork, settings: Settings, message: OutboxMessage
) -> tuple[str, Letter] | None:
    assert message.user_id is not None
    user = await accounts.user_by_id(uow.session, message.user_id)
    key = UUID(message.payload["notification_id"])
    found = await repository.deliverable(uow.session, message.user_id, key)
    if user is None or found is None:
        return None
    letter = mails.notification_letter(settings.public_address, user.username, found.title, found.body)
    return user.email, letter
