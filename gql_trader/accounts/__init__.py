"""Users: sign-up, login, roles, and who is asking."""
