"""The only GraphQL plumbing: whatever is the same for every domain.

- transports: `http` (`http_request`, `negotiation`, `event_stream`), `websocket`, and `api` behind them all;
- executing: `schema_builder`, `documents`, `fast_execution`, `columns`, `context`, `node`;
- access: `permissions`, `scopes`, `authentication`, `browser_session`, `revocation`, `origins`;
- bounds: `limits` of documents, `cost` of operations, `limiting` of mutations;
- what domains write their schemas with: `relay`, `pagination`, `mutations`, `scalars`, `enums`, `sorting`;
- errors: `errors` as clients see them, `masking` of bugs;
- pages and files: `page`, `graphiql`, `reset_password`, `downloads`, `csv_export`.

`audit` has the rules that the tests hold the whole schema to.
"""
