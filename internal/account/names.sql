-- Proofs of namespaces that are domains, and namespaces on their way to another organisation.
CREATE TABLE namespace_proof (
	ecosystem TEXT NOT NULL,
	pattern   TEXT NOT NULL,
	challenge TEXT NOT NULL,           -- what the TXT record must say; not a secret
	valid     INTEGER NOT NULL,        -- 1: may be published to
	vouched   TEXT NOT NULL,           -- the site administrator who took the proof's place; ''
	proven    BIGINT NOT NULL,         -- when the record was last seen
	checked   BIGINT NOT NULL,         -- when it was last looked for, and the name server answered
	missing   BIGINT NOT NULL,         -- since when it is not there; 0 while it is
	PRIMARY KEY (ecosystem, pattern)
);

CREATE TABLE namespace_transfer (
	ecosystem    TEXT NOT NULL,
	pattern      TEXT NOT NULL,
	organisation TEXT NOT NULL,        -- that shall own it
	asked_by     TEXT NOT NULL,        -- account
	asked        BIGINT NOT NULL,
	PRIMARY KEY (ecosystem, pattern)
);
