-- Second factors, the rules that ask for them, sessions and what an account is told.
-- What is guessable or can be turned into a secret is sealed with the server's key (see seal.go);
-- other secrets are kept as SHA-256.

CREATE TABLE account_totp (
	account   TEXT PRIMARY KEY REFERENCES account_user (name),
	secret    TEXT NOT NULL,           -- sealed
	confirmed BIGINT NOT NULL,         -- 0: not in force yet
	last_step BIGINT NOT NULL,         -- of the last code that was accepted: no older one is
	created   BIGINT NOT NULL
);

CREATE TABLE account_passkey (
	id         TEXT PRIMARY KEY,       -- "pky_…"
	account    TEXT NOT NULL REFERENCES account_user (name),
	label      TEXT NOT NULL,
	credential TEXT NOT NULL UNIQUE,   -- the credential id, base64url
	data       TEXT NOT NULL,          -- public key, flags and counter, as JSON
	created    BIGINT NOT NULL,
	last_used  BIGINT NOT NULL
);
CREATE INDEX account_passkey_account ON account_passkey (account);

CREATE TABLE account_handle (
	account TEXT PRIMARY KEY REFERENCES account_user (name),
	handle  TEXT NOT NULL UNIQUE       -- WebAuthn user handle, base64url: random, so that it names nobody
);

CREATE TABLE account_recovery_code (
	hash    TEXT PRIMARY KEY,
	account TEXT NOT NULL REFERENCES account_user (name),
	created BIGINT NOT NULL,
	used    BIGINT NOT NULL
);
CREATE INDEX account_recovery_code_account ON account_recovery_code (account);

CREATE TABLE mfa_rule (
	organisation TEXT NOT NULL,        -- '' for a rule on a name
	ecosystem    TEXT NOT NULL,        -- '' for a rule of an organisation
	kind         TEXT NOT NULL,        -- organisation, namespace, package
	name         TEXT NOT NULL,        -- pattern or package; '' for a rule of an organisation
	action       TEXT NOT NULL,        -- stage, publish, own, manage
	level        TEXT NOT NULL,        -- any, phishing-resistant
	automation   INTEGER NOT NULL,     -- 1: tokens with a bypass pass
	made_by      TEXT NOT NULL,
	created      BIGINT NOT NULL,
	PRIMARY KEY (organisation, ecosystem, kind, name, action)
);

CREATE TABLE step_up (
	code_hash  TEXT PRIMARY KEY,       -- what the browser holds
	poll_hash  TEXT NOT NULL UNIQUE,   -- what the waiting client holds
	account    TEXT NOT NULL,
	credential TEXT NOT NULL,          -- that asked, and that alone may use the proof
	address    TEXT NOT NULL,          -- its keyed hash
	level      TEXT NOT NULL,
	what       TEXT NOT NULL,
	created    BIGINT NOT NULL,
	factor     TEXT NOT NULL,          -- '' until somebody has completed it
	completed  BIGINT NOT NULL,
	proof_hash TEXT NOT NULL           -- '' until it was fetched
);
CREATE INDEX step_up_proof ON step_up (proof_hash);

CREATE TABLE account_session (
	id        TEXT PRIMARY KEY,        -- "ses_…", named in statements
	hash      TEXT NOT NULL UNIQUE,
	account   TEXT NOT NULL REFERENCES account_user (name),
	method    TEXT NOT NULL,           -- password, webauthn, sso
	factor    TEXT NOT NULL,           -- the strongest that was proven; '' for none
	proven    BIGINT NOT NULL,         -- when
	agent     TEXT NOT NULL,
	address   TEXT NOT NULL,           -- keyed hash
	created   BIGINT NOT NULL,
	last_used BIGINT NOT NULL
);
CREATE INDEX account_session_account ON account_session (account);

CREATE TABLE account_device (
	account TEXT NOT NULL REFERENCES account_user (name),
	device  TEXT NOT NULL,             -- keyed hash: "ses:" of network and browser, "net:" of a network with the right password
	seen    BIGINT NOT NULL,
	PRIMARY KEY (account, device)
);

CREATE TABLE account_email (
	account   TEXT PRIMARY KEY REFERENCES account_user (name),
	address   TEXT NOT NULL,           -- verified; '' for none
	pending   TEXT NOT NULL,           -- waits for its code
	code_hash TEXT NOT NULL,
	sent      BIGINT NOT NULL,
	verified  BIGINT NOT NULL
);

CREATE TABLE account_recovery (
	account   TEXT PRIMARY KEY REFERENCES account_user (name),
	code_hash TEXT NOT NULL UNIQUE,
	factors   INTEGER NOT NULL,        -- 1: the second factors go, too
	created   BIGINT NOT NULL,
	opens     BIGINT NOT NULL          -- 0 until the code was shown: then the end of the hold
);

CREATE TABLE account_freeze (
	account TEXT PRIMARY KEY REFERENCES account_user (name),
	until   BIGINT NOT NULL,
	reason  TEXT NOT NULL
);

CREATE TABLE account_notice (
	id      INTEGER PRIMARY KEY,
	kind    TEXT NOT NULL,
	account TEXT NOT NULL,
	address TEXT NOT NULL,
	data    TEXT NOT NULL,             -- JSON; may hold a code, so the row goes when it was sent
	created BIGINT NOT NULL
);

ALTER TABLE account_user ADD COLUMN password_set BIGINT NOT NULL DEFAULT 0;
ALTER TABLE access_token ADD COLUMN bypass INTEGER NOT NULL DEFAULT 0;
