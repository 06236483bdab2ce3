"""Everything that touches the outside: whoever needs one of these things gets it here and nowhere else.

- PostgreSQL: `database`, `unit_of_work`, `keyset` pages, `bulk` writes, `runs` and `leases` of jobs;
- Redis: `job_queue` and `worker`, `event_streams`, `rate_limits`, `cost_budget`;
- leaving the house: `outbox`, `mail`, `push`, `telegram`, `public_http`, `exchange` (ccxt);
- secrets: `key_ring` and `reencryption`, `passwords`, `tokens`, `one_time_passwords`, `signed_links`;
- columns of numbers: `column_codec`, `array_cache`, `exact_columns`, `parquet`;
- `embedded`: PostgreSQL and Valkey as child processes.
"""
