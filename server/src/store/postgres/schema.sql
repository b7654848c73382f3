-- Plain SQL, for PostgreSQL and the databases that are compatible with it. `leaf`, `page`,
-- `log_entry` and `log_node` are only ever appended to, and pruned from the old end.
CREATE TABLE meta (key TEXT PRIMARY KEY, value BYTEA NOT NULL);
CREATE TABLE head (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    tree_size BIGINT NOT NULL, tip BYTEA NOT NULL);
CREATE TABLE signed_head (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    tree_size BIGINT NOT NULL, signature BYTEA NOT NULL);
CREATE TABLE published (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    tree_size BIGINT NOT NULL, signature BYTEA NOT NULL, checkpoint BYTEA NOT NULL);
CREATE TABLE auditor_head (one BIGINT PRIMARY KEY CHECK (one = 1), head BYTEA NOT NULL);
CREATE TABLE log_entry (
    position BIGINT PRIMARY KEY, entry BYTEA NOT NULL, prefix_root BIGINT,
    next_leaf BIGINT NOT NULL, removed BYTEA);
CREATE TABLE log_node (number BIGINT PRIMARY KEY, value BYTEA NOT NULL);
CREATE TABLE page (first BIGINT PRIMARY KEY, records BYTEA NOT NULL);
CREATE TABLE leaf (
    id BIGINT PRIMARY KEY, position BIGINT NOT NULL, leaf BYTEA NOT NULL,
    label BYTEA, version BIGINT, removed BIGINT,
    opening BYTEA, value BYTEA, signature BYTEA);
CREATE INDEX leaf_label ON leaf (label, id) WHERE label IS NOT NULL;
CREATE TABLE head_node (
    level BIGINT NOT NULL, number BIGINT NOT NULL, hash BYTEA NOT NULL,
    PRIMARY KEY (level, number));
CREATE TABLE promise (
    number BIGINT PRIMARY KEY, label BYTEA NOT NULL, version BIGINT NOT NULL,
    opening BYTEA NOT NULL, value BYTEA NOT NULL);
CREATE TABLE deleted (leaf BIGINT PRIMARY KEY, at BIGINT NOT NULL);
-- The sequencer that may write: whoever holds the greatest epoch, until another one takes over.
CREATE TABLE lease (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    epoch BIGINT NOT NULL, holder TEXT NOT NULL, until TIMESTAMPTZ NOT NULL);
INSERT INTO lease VALUES (1, 0, '', now());
CREATE TABLE schema_version (version BIGINT PRIMARY KEY);
INSERT INTO schema_version VALUES (2);
