"""Flax Linen models built on the cells."""
