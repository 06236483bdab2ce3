"""The only GraphQL plumbing: context, access, errors, limits, scalars, pagination, transport."""
