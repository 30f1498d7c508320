-- Trusted publishers, in the subset that SQLite and PostgreSQL share. Times are Unix milliseconds; 0 means never.

-- Issuers that a site administrator registered, beside the public ones that the program knows.
CREATE TABLE trusted_issuer (
	url        TEXT PRIMARY KEY,       -- exactly as tokens say it
	provider   TEXT NOT NULL,
	standard   INTEGER NOT NULL,       -- 1: meant where a publisher names no issuer
	internal   INTEGER NOT NULL,       -- 1: may be at an address inside the network
	ca         TEXT NOT NULL,          -- PEM of who signs its certificate; '' is the machine's roots
	keys       TEXT NOT NULL,          -- its JWKS, when it cannot be fetched; '' otherwise
	created    BIGINT NOT NULL,
	created_by TEXT NOT NULL
);

CREATE TABLE trusted_publisher (
	id           TEXT PRIMARY KEY,     -- "tp_…", named in statements; never reused
	ecosystem    TEXT NOT NULL,
	name         TEXT NOT NULL,
	provider     TEXT NOT NULL,
	issuer       TEXT NOT NULL,
	claims       TEXT NOT NULL,        -- JSON
	learnt       TEXT NOT NULL,        -- JSON
	policy       TEXT NOT NULL,        -- JSON
	permission   TEXT NOT NULL,        -- stage, publish
	organisation TEXT NOT NULL,        -- that owned the name, or that shall
	pending      INTEGER NOT NULL,     -- 1: the first token claims the name
	created      BIGINT NOT NULL,
	created_by   TEXT NOT NULL,
	last_used    BIGINT NOT NULL,
	removed      BIGINT NOT NULL       -- kept, so that removing does not reset how many were registered
);
CREATE INDEX trusted_publisher_name ON trusted_publisher (ecosystem, name);
CREATE INDEX trusted_publisher_issuer ON trusted_publisher (issuer);
CREATE INDEX trusted_publisher_creator ON trusted_publisher (created_by, pending, created);

-- Tokens that were exchanged. The primary key is what makes an exchange happen once.
CREATE TABLE exchanged_token (
	issuer     TEXT NOT NULL,
	id         TEXT NOT NULL,          -- SHA-256 of its jti or, without one, of what was signed
	ecosystem  TEXT NOT NULL,
	name       TEXT NOT NULL,
	credential TEXT NOT NULL,          -- "workload:wlt_…" that it was exchanged for
	address    TEXT NOT NULL,          -- keyed hash of where it came from
	until      BIGINT NOT NULL,        -- the row goes after this
	PRIMARY KEY (issuer, id)
);
CREATE INDEX exchanged_token_until ON exchanged_token (until);
