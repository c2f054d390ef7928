SELECT key, judge, model, prompt, latency_s, prompt_tokens, completion_tokens, asked, facts
FROM verdicts
WHERE key IN (SELECT value FROM json_each(?))
