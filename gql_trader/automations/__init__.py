"""What happens by the clock: strategies tried again and again over the latest candles."""
