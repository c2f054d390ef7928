CREATE TABLE IF NOT EXISTS verdicts (
    key TEXT NOT NULL,           -- digest of the judge and of the response's perception part
    facts TEXT NOT NULL,         -- JSON: [[annotation, verdict, who decided, evidence], ...]
    judge TEXT,                  -- the rest is null where the matcher decided
    model TEXT,
    prompt TEXT,
    latency_s REAL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    asked INTEGER                -- how many facts the request listed
);
CREATE INDEX IF NOT EXISTS verdicts_by_key ON verdicts (key);
