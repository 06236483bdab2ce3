"""Assets, markets and their candles: the store, imports, resampling and demo prices."""
