"""Prefect tasks: read artifacts, call the library, write artifacts. No logic."""
