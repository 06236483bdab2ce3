"""Trading settings, presets and preferences of users, and their hand-over to Freqtrade."""
