"""Several replies to one question, side by side."""
