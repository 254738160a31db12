"""The agent: one host's daemon, which joins core's decisions to the adapters that act on them."""
