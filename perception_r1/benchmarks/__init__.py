"""Benchmarks: one file each, and one line of `table.py`, which no evaluation imports: a new one redoes no other."""
