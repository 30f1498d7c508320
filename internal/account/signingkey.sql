-- The public keys that a namespace's files are signed with.
CREATE TABLE namespace_key (
	ecosystem   TEXT NOT NULL,
	pattern     TEXT NOT NULL,
	fingerprint TEXT NOT NULL,         -- of an OpenPGP key, hex, upper case
	identity    TEXT NOT NULL,         -- its user id, as the key itself says
	public      TEXT NOT NULL,         -- armored
	added_by    TEXT NOT NULL,         -- account
	added       BIGINT NOT NULL,
	PRIMARY KEY (ecosystem, pattern, fingerprint)
);
