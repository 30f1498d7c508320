-- Who may sign in by an identity provider. An identity is the provider's issuer and its subject: an
-- address or a name can be given to somebody else.

CREATE TABLE account_identity (
	id      TEXT PRIMARY KEY,          -- "idn_…"
	issuer  TEXT NOT NULL,
	subject TEXT NOT NULL,
	account TEXT NOT NULL REFERENCES account_user (name),
	label   TEXT NOT NULL,             -- what the provider is called
	created BIGINT NOT NULL,
	UNIQUE (issuer, subject)
);
CREATE INDEX account_identity_account ON account_identity (account);

-- Roles that come from a provider's groups: the next sign-in may take them away again.
CREATE TABLE account_identity_role (
	account      TEXT NOT NULL REFERENCES account_user (name),
	organisation TEXT NOT NULL REFERENCES organisation (name),
	issuer       TEXT NOT NULL,
	role         TEXT NOT NULL,
	PRIMARY KEY (account, organisation)
);
