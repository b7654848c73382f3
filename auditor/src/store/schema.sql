CREATE TABLE directory (
    fingerprint TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    origin TEXT NOT NULL UNIQUE,
    descriptor BLOB NOT NULL,
    state BLOB NOT NULL,
    head_log BLOB NOT NULL,
    confirmed BLOB NOT NULL,
    confirmed_head_log BLOB NOT NULL,
    head BLOB,
    tree_head BLOB,
    refused TEXT,
    suspicion TEXT,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE recent (
    fingerprint TEXT NOT NULL,
    position INTEGER NOT NULL,
    vrf_output BLOB NOT NULL,
    PRIMARY KEY (fingerprint, vrf_output)
) WITHOUT ROWID;
CREATE INDEX recent_position ON recent (fingerprint, position);
CREATE TABLE replayed (
    fingerprint TEXT NOT NULL,
    size INTEGER NOT NULL,
    leaf BLOB NOT NULL,
    root BLOB NOT NULL,
    PRIMARY KEY (fingerprint, size)
) WITHOUT ROWID;
CREATE TABLE cosigned (
    role TEXT NOT NULL,
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note BLOB NOT NULL,
    PRIMARY KEY (role, origin)
) WITHOUT ROWID;
CREATE TABLE seen (
    number INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note BLOB NOT NULL,
    UNIQUE (origin, size, root)
);
CREATE TABLE evidence (
    id TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    json TEXT NOT NULL,
    source TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE alarm (
    number INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    at INTEGER NOT NULL,
    code TEXT NOT NULL,
    text TEXT NOT NULL,
    delivered INTEGER NOT NULL
);
CREATE TABLE lag (
    fingerprint TEXT NOT NULL,
    at INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    PRIMARY KEY (fingerprint, at)
) WITHOUT ROWID;
