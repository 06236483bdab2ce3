"""Delivering what is in the outbox: each message once, as far as the protocols let us know."""

from collections.abc import Collection

import structlog

from gql_trader.accounts import password_changes, repository
from gql_trader.accounts.types import AccountMail
from gql_trader.accounts.types_external import NO_MAILBOX
from gql_trader.config import Settings
from gql_trader.infra import outbox
from gql_trader.infra.mail import Mail, MailNotSentError, MailRefusedError
from gql_trader.infra.outbox import Lane, OutboxMessage
from gql_trader.infra.unit_of_work import UnitOfWork, UnitOfWorkFactory
from gql_trader.notifications import expanding, mails
from gql_trader.notifications.types import LEASE_SECONDS, RETRY_SECONDS, STALE_RESET
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)


async def deliver_next(runtime: Runtime, lanes: Collection[Lane]) -> bool:
    """Deliver the oldest message of some lanes that is due; return False if there is none.

    No transaction stays open while another server is spoken to. Should this process die in between, the
    message is delivered by another one once its lease has ended, under the same id.
    """
    async with runtime.unit_of_work() as uow:
        claimed = await outbox.claim(uow, 1, LEASE_SECONDS, lanes)
    if not claimed:
        return False
    [message] = claimed
    log = _log.bind(message_id=str(message.id), kind=message.kind, attempt=message.attempt)
    try:
        if expanding.is_expanded(message.kind):
            async with runtime.unit_of_work() as uow:
                await expanding.expand(uow, message)
            return True
        sent = await _send(runtime, message)
    except MailRefusedError as error:
        log.error("mail_refused", reason=str(error))
        async with runtime.unit_of_work() as uow:
            await outbox.give_up(uow, message, str(error))
    except MailNotSentError as error:
        log.warning("mail_not_sent", reason=str(error))
        await _try_later(runtime.unit_of_work, message, str(error))
    except Exception as error:
        # One message that cannot be written must not keep the others waiting.
        log.exception("mail_failed")
        await _try_later(runtime.unit_of_work, message, type(error).__name__)
    else:
        async with runtime.unit_of_work() as uow:
            await outbox.delivered(uow, message)
        log.info("mail_sent" if sent else "mail_not_needed")
    return True


async def _send(runtime: Runtime, message: OutboxMessage) -> bool:
    """Hand a message over; return False if nobody needs it."""
    async with runtime.unit_of_work() as uow:
        mail = await compose(uow, runtime.settings, message)
    if mail is None:
        return False
    if runtime.mail is None:
        raise MailNotSentError("no mail server is set")
    await runtime.mail.send(mail)
    return True


async def compose(uow: UnitOfWork, settings: Settings, message: OutboxMessage) -> Mail | None:
    """Write the mail of a message; None if nobody needs it."""
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
        owner = await repository.user_by_login(uow.session, values["email"])
        if owner is None:
            return None
        values["email"] = owner.email
    if values["email"].endswith(f"@{NO_MAILBOX}"):
        return None
    subject, text = mails.write(kind, settings.public_address, values)
    return Mail(str(message.id), values["email"], subject, text, message.created_at)


async def _try_later(unit_of_work: UnitOfWorkFactory, message: OutboxMessage, reason: str) -> None:
    async with unit_of_work() as uow:
        if message.attempt > len(RETRY_SECONDS):
            _log.error("mail_given_up", message_id=str(message.id), kind=message.kind)
            await outbox.give_up(uow, message, reason)
        else:
            await outbox.retry(uow, message, RETRY_SECONDS[message.attempt - 1], reason)
