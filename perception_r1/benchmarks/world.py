"""The embedded world's held-out charts."""
