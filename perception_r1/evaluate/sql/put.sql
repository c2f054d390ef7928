INSERT OR IGNORE INTO responses (key, text, tokens, truncated) VALUES (?, ?, ?, ?)
