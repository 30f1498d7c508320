-- What a token reaches: a name each, by a publisher of that name. Before there was this table a token had one
-- right, which its own row told.
CREATE TABLE workload_right (
	token        TEXT NOT NULL,         -- workload_token.id
	name         TEXT NOT NULL,
	publisher    TEXT NOT NULL,         -- "tp_…"
	organisation TEXT NOT NULL,         -- that owned the name then: the right ends with that
	label        TEXT NOT NULL,
	identity     TEXT NOT NULL,         -- evidence.WorkloadIdentity as JSON
	permission   TEXT NOT NULL,         -- stage, publish
	revoked      BIGINT NOT NULL,
	PRIMARY KEY (token, name)
);
CREATE INDEX workload_right_publisher ON workload_right (publisher);
INSERT INTO workload_right (token, name, publisher, organisation, label, identity, permission, revoked)
	SELECT id, name, publisher, organisation, label, identity, permission, revoked FROM workload_token;
