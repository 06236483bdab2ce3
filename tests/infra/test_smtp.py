"""Handing mails to servers with STARTTLS or TLS, to ones that lie about it, and to ones that say nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from gql_trader.core.smtp import SmtpSecurity
from gql_trader.infra import mail as mail_module
from gql_trader.infra.mail import Mail, MailNotSentError, SmtpTransport
from tests.factories.certificates import server_certificate
from tests.factories.mail_server import MailServer

MAIL = Mail("key", "ada@example.com", "Subject", "Text\n", datetime(2026, 11, 22, tzinfo=UTC), "<p>Text</p>")


def _authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, found: object
) -> AuthResult:
    good = LoginPassword(b"user", b"password")
    return AuthResult(success=found == good, handled=False)


@asynccontextmanager
async def secured_server(security: SmtpSecurity, tls: ssl.SSLContext | None) -> AsyncIterator[MailServer]:
    """Run a mail server that takes mails only over TLS from who logs in; or, without TLS, from anybody."""
    kept = MailServer()
    starttls = tls if security is SmtpSecurity.STARTTLS else None
    listening = await asyncio.get_running_loop().create_server(
        lambda: SMTP(
            kept,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=_authenticate if tls else None,
            auth_required=tls is not None,
            auth_require_tls=starttls is not None,
        ),
        "127.0.0.1",
        0,
        ssl=tls if security is SmtpSecurity.TLS else None,
    )
    kept.port = listening.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        listening.close()


def transport(port: int, security: SmtpSecurity, password: str | None = "password") -> SmtpTransport:
    return SmtpTransport(
        host="localhost",
        port=port,
        sender="gql_trader <trader@trader.example>",
        security=security,
        username="user" if password else None,
        password=password,
        seconds=2.0,
    )


# aiosmtpd does not know that the connection is encrypted from its start.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
async def test_a_mail_is_handed_over_encrypted_after_logging_in(
    security: SmtpSecurity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with secured_server(security, server_certificate(tmp_path, "localhost")) as server:
        # Nobody vouches for the server.
        with pytest.raises(MailNotSentError, match="certificate"):
            await transport(server.port, security).send(MAIL)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        with pytest.raises(MailNotSentError, match="535"):
            await transport(server.port, security, "wrong").send(MAIL)
        assert server.mails == []
        await transport(server.port, security).send(MAIL)
        [mail] = server.mails
        assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
async def test_a_server_without_encryption_gets_nothing(security: SmtpSecurity) -> None:
    async with secured_server(SmtpSecurity.NONE, None) as server:
        with pytest.raises(MailNotSentError):
            await transport(server.port, security).send(MAIL)
        assert server.mails == []


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    silent = SmtpTransport(
        "127.0.0.1",
        server.sockets[0].getsockname()[1],
        "trader@trader.example",
        SmtpSecurity.NONE,
        seconds=0.2,
    )
    try:
        with pytest.raises(MailNotSentError, match="imed out"):
            await silent.send(MAIL)
    finally:
        server.close()


async def test_a_server_that_answers_every_step_slowly_is_left_in_time() -> None:
    """Each answer comes soon enough, but the whole would take for ever."""
    steps: list[bytes] = []

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 slow\r\n")
        try:
            while line := await reader.readline():
                steps.append(line)
                # Lines of an answer that does not end; each is an answer within the time for one.
                while not reader.at_eof():
                    writer.write(b"250-more\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    slow = replace(transport(port, SmtpSecurity.NONE, None), seconds=60.0, whole_seconds=0.3)
    try:
        async with asyncio.timeout(60):
            with pytest.raises(MailNotSentError, match="TimeoutError"):
                await slow.send(MAIL)
        assert len(steps) == 1
    finally:
        server.close()


async def test_a_mail_that_was_taken_is_sent_however_the_server_takes_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Rude(SMTP):
        async def smtp_QUIT(self, _argument: str) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(mail_module, "_QUIT_SECONDS", 0.1)
    kept = MailServer()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Rude(kept), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(60):
            await transport(port, SmtpSecurity.NONE, None).send(MAIL)
        assert [each["To"] for each in kept.mails] == [MAIL.to]
    finally:
        listening.close()
