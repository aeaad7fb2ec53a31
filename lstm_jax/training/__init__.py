"""Configuration, state, pure steps, and the one loop that puts them together."""
