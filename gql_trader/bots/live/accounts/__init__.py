"""Regular looks at the contracts of live accounts, and what is concluded from them."""
