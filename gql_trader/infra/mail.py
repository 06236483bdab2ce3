"""Mail: what one is, and how it leaves the house."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Protocol

import aiosmtplib
import structlog

from gql_trader.core.smtp import SmtpSecurity
from gql_trader.infra.delivery import NotDeliveredError, RefusedError

_log = structlog.get_logger(__name__)

_SECONDS = 30.0
_WHOLE_SECONDS = 45.0
_QUIT_SECONDS = 2.0
# Replies from here on are final (RFC 5321, section 4.2.1); what is below is worth another attempt.
_PERMANENT = 500
# 530 to 538 are about logging in: wrong settings, which the operator will put right.
_ABOUT_LOGIN = range(530, 539)
_ENHANCED_CODE = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")


class MailNotSentError(NotDeliveredError):
    """The mail was not taken over; trying again may help."""


class MailRefusedError(RefusedError):
    """The server refuses this mail for good."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail.

    Attributes
    ----------
    html
        The same as HTML, for those who read that; None: there is only text.
    key
        Makes its Message-ID: a mail that is sent again, because nobody knows whether it was, keeps it,
        so that mail programs show one.
    """

    key: str
    to: str
    subject: str
    text: str
    date: datetime
    html: str | None = None


class MailTransport(Protocol):
    """Takes mails."""

    async def send(self, mail: Mail) -> None:
        """Hand a mail over.

        Raises
        ------
        MailNotSentError
            If that failed for now.
        MailRefusedError
            If it will always fail.
        """


@dataclass(frozen=True)
class SmtpTransport:
    """Sends over SMTP; a connection for each mail.

    Parameters
    ----------
    sender
        The address in From, which may have a name: ``gql_trader <trader@example.com>``.
    seconds
        How long the server may take for each answer.
    whole_seconds
        How long it may take for a mail, from the connection to the answer that it is taken over.
    """

    host: str
    port: int
    sender: str
    security: SmtpSecurity = SmtpSecurity.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    seconds: float = _SECONDS
    whole_seconds: float = _WHOLE_SECONDS

    async def send(self, mail: Mail) -> None:
        """Hand a mail over."""
        client = self._client()
        try:
            async with asyncio.timeout(self.whole_seconds):
                await client.connect()
                await client.send_message(self._message(mail))
            # It is taken over: whatever comes of taking leave, it is not sent again.
            with suppress(aiosmtplib.SMTPException, OSError):
                async with asyncio.timeout(_QUIT_SECONDS):
                    await client.quit()
        except aiosmtplib.SMTPRecipientsRefused as error:
            worst = max(error.recipients, key=lambda recipient: recipient.code)
            raise _failure(worst) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _failure(error) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailNotSentError(f"{type(error).__name__}: {error}") from error
        finally:
            client.close()

    async def check(self) -> None:
        """Connect, and log in if that is configured; raise MailNotSentError if it fails."""
        try:
            async with self._client() as client:
                await client.noop()
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailNotSentError(f"{self.host}:{self.port}: {error}") from error

    def _client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            use_tls=self.security is SmtpSecurity.TLS,
            start_tls=self.security is SmtpSecurity.STARTTLS,
            timeout=self.seconds,
        )

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(mail.date)
        domain = self.sender.rstrip(">").rpartition("@")[2]
        message["Message-ID"] = f"<{mail.key}@{domain}>"
        # Nobody's holiday notice shall answer (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        if mail.html is not None:
            message.add_alternative(mail.html, subtype="html")
        return message


class LoggedMail:
    """Shows mails in the log: for a developer's machine without a mail server, and nowhere else."""

    async def send(self, mail: Mail) -> None:
        """Show a mail."""
        _log.info("mail_shown", to=mail.to, subject=mail.subject, text=mail.text)


def _failure(reply: aiosmtplib.SMTPResponseException) -> MailNotSentError | MailRefusedError:
    # Of the reply's text no more than the enhanced code (RFC 3463): servers repeat the address in it, and
    # what is said here is logged.
    enhanced = _ENHANCED_CODE.match(reply.message)
    reason = f"SMTP {reply.code}{f' {enhanced[0]}' if enhanced else ''}"
    permanent = reply.code >= _PERMANENT and reply.code not in _ABOUT_LOGIN
    return MailRefusedError(reason) if permanent else MailNotSentError(reason)
