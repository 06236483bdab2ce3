"""The backtest engine: arrays and a frozen spec in, arrays out. Pure, deterministic, no I/O."""
