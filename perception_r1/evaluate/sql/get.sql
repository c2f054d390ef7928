SELECT text, tokens, truncated FROM responses WHERE key = ?
