"""The embedded world: charts with known facts, and a tiny vision-language model that learns to read them in minutes."""
