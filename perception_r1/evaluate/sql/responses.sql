PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS responses (
    key BLOB PRIMARY KEY,
    text TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    truncated INTEGER NOT NULL
) WITHOUT ROWID;
