"""The library: the method itself, in pure Python. It knows no Prefect and no DuckDB."""
