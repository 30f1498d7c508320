-- The tables of package account, in the subset that SQLite and PostgreSQL share.
-- Times are Unix milliseconds; 0 means never. Secrets are kept as SHA-256 (hex) or argon2id only.

CREATE TABLE account_user (
	name     TEXT PRIMARY KEY,
	admin    INTEGER NOT NULL,         -- 1: site administrator
	password TEXT NOT NULL,            -- argon2id PHC string; '' when the user has none
	created  BIGINT NOT NULL
);

CREATE TABLE organisation (
	name       TEXT PRIMARY KEY,
	created    BIGINT NOT NULL,
	created_by TEXT NOT NULL
);

CREATE TABLE organisation_member (
	organisation TEXT NOT NULL REFERENCES organisation (name),
	account      TEXT NOT NULL REFERENCES account_user (name),
	role         TEXT NOT NULL,        -- owner, maintainer, reader
	PRIMARY KEY (organisation, account)
);

CREATE TABLE namespace (
	ecosystem    TEXT NOT NULL,
	pattern      TEXT NOT NULL,        -- "@acme", "left-pad"; for OCI a path prefix "acme/team"
	organisation TEXT NOT NULL REFERENCES organisation (name),
	visibility   TEXT NOT NULL,        -- public, private
	created      BIGINT NOT NULL,
	created_by   TEXT NOT NULL,
	PRIMARY KEY (ecosystem, pattern)
);

-- Roles on one name, beside those that the owning organisation gives.
CREATE TABLE package_member (
	ecosystem TEXT NOT NULL,
	name      TEXT NOT NULL,
	account   TEXT NOT NULL REFERENCES account_user (name),
	role      TEXT NOT NULL,
	PRIMARY KEY (ecosystem, name, account)
);

CREATE TABLE access_token (
	id          TEXT PRIMARY KEY,      -- "tok_…", named in statements; never reused
	hash        TEXT NOT NULL UNIQUE,
	account     TEXT NOT NULL REFERENCES account_user (name),
	description TEXT NOT NULL,
	ecosystem   TEXT NOT NULL,         -- '' is every ecosystem
	names       TEXT NOT NULL,         -- glob patterns separated by a space; '' is every name
	permission  TEXT NOT NULL,
	networks    TEXT NOT NULL,         -- CIDRs separated by a space; '' is everywhere
	made_by     TEXT NOT NULL,         -- the credential that made it
	created     BIGINT NOT NULL,
	expires     BIGINT NOT NULL,
	last_used   BIGINT NOT NULL,
	revoked     BIGINT NOT NULL
);
CREATE INDEX access_token_account ON access_token (account);

CREATE TABLE login_session (
	code_hash  TEXT PRIMARY KEY,       -- what the browser holds
	poll_hash  TEXT NOT NULL UNIQUE,   -- what the waiting client holds
	account    TEXT NOT NULL,          -- '' until somebody has logged in
	credential TEXT NOT NULL,
	created    BIGINT NOT NULL
);

-- The server's own secrets that must not change between starts.
CREATE TABLE account_secret (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
);
