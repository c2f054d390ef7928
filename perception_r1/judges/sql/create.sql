CREATE TABLE IF NOT EXISTS verdicts (
    key TEXT NOT NULL,           -- digest of the judge and of the response's perception part
    facts TEXT NOT NULL,         -- JSON: {annotation: verdict or [verdict, evidence], ...}
    judge TEXT,                  -- null, as all that follows, where the matcher decided and no model
    model TEXT,
    prompt TEXT,
    latency_s REAL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    asked INTEGER                -- how many facts the request listed
);
CREATE INDEX IF NOT EXISTS verdicts_by_key ON verdicts (key);
