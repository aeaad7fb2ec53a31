"""From review texts to batches: sources, splits, tokenizer, batches (NumPy only)."""
