"""A page and a JSON interface to one model, for this machine."""
