"""Everything that touches the outside: database, queue, streams, embedded servers, cryptography."""
