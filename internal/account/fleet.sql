-- Fleet members: agents and admission controllers. Their secrets open the Fleet service and nothing else.
CREATE TABLE enrolment (
	id      TEXT PRIMARY KEY,          -- "flt_…"; never reused
	hash    TEXT NOT NULL UNIQUE,
	kind    TEXT NOT NULL,             -- agent, admission
	cluster TEXT NOT NULL,             -- '' for an agent outside of any
	name    TEXT NOT NULL,             -- the node; an admission controller is called like its cluster
	made_by TEXT NOT NULL,             -- account
	created BIGINT NOT NULL,
	seen    BIGINT NOT NULL,
	revoked BIGINT NOT NULL
);
CREATE UNIQUE INDEX enrolment_name ON enrolment (kind, cluster, name) WHERE revoked = 0;
