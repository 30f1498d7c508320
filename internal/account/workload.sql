-- Tokens of pipelines that proved themselves by a trusted publisher. They live for minutes; a row is only
-- needed until then, because what was done with one is on the record.
CREATE TABLE workload_token (
	id           TEXT PRIMARY KEY,      -- "wlt_…", named in statements; never reused
	hash         TEXT NOT NULL UNIQUE,
	publisher    TEXT NOT NULL,         -- "tp_…"
	organisation TEXT NOT NULL,         -- that owned the name then: the token ends with that
	label        TEXT NOT NULL,
	identity     TEXT NOT NULL,         -- evidence.WorkloadIdentity as JSON
	ecosystem    TEXT NOT NULL,
	name         TEXT NOT NULL,
	permission   TEXT NOT NULL,         -- stage, publish
	digests      TEXT NOT NULL,         -- what it may publish, separated by a space; '' is anything
	single       INTEGER NOT NULL,      -- 1: one artifact
	spent        TEXT NOT NULL,         -- that artifact; '' until then
	created      BIGINT NOT NULL,
	expires      BIGINT NOT NULL,
	revoked      BIGINT NOT NULL
);
CREATE INDEX workload_token_publisher ON workload_token (publisher);
CREATE INDEX workload_token_expires ON workload_token (expires);
