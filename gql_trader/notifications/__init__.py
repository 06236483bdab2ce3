"""What users are told, and where: in the API, by mail, push, Telegram and webhooks; through an outbox."""
