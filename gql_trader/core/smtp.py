"""How a connection to a mail server is protected: a setting, and what the transport does."""

from enum import StrEnum


class SmtpSecurity(StrEnum):
    """Encrypted after a plain greeting (port 587), from the start (port 465), or not at all."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"
