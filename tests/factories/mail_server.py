"""A mail server that keeps what it is given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


class MailServer:
    """Speaks SMTP on a port of its own.

    Attributes
    ----------
    port
        Where it listens.
    mails
        What was delivered, in order.
    refusals
        Addresses for which mail is refused, and the reply.
    """

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[EmailMessage] = []
        self.refusals: dict[str, str] = {}
        self._arrived = asyncio.Event()

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """Accept a recipient or not."""
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Keep a mail."""
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self._arrived.set()
        return "250 OK"

    async def next(self, seconds: float = 10.0) -> EmailMessage:
        """Wait for a mail and take it out."""
        async with asyncio.timeout(seconds):
            while not self.mails:
                self._arrived.clear()
                await self._arrived.wait()
        return self.mails.pop(0)


def text_of(mail: EmailMessage) -> str:
    """Return the plain text of a mail."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """Run a mail server on a free port."""
    kept = MailServer()
    listening = await asyncio.get_running_loop().create_server(
        lambda: SMTP(kept, enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    kept.port = listening.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        listening.close()
        await listening.wait_closed()
