"""Live bots: what strategies do with an account at an exchange."""
