"""Live trading: what is sent to exchanges, and what is known of the accounts there.

- `checks`: what has to be true before an order is sent, for each reason not to send it a module;
- `orders`: the states of an order, and the only code that sends one;
- `sessions`: what a session trades with; `stopping`: how one by hand ends;
- `exits`: closing a position, whose stop stays until that can be done;
- `bots`: what strategies do, at the closes of bars and between them;
- `accounts`: regular looks at contracts: funding, and what is not there any more.
"""
