-- Teams: some members of an organisation, with roles on names that the organisation owns.
CREATE TABLE team (
	organisation TEXT NOT NULL REFERENCES organisation (name),
	name         TEXT NOT NULL,
	description  TEXT NOT NULL,
	created      BIGINT NOT NULL,
	created_by   TEXT NOT NULL,
	PRIMARY KEY (organisation, name)
);

-- Only who is a member of the organisation has what the team has.
CREATE TABLE team_member (
	organisation TEXT NOT NULL,
	team         TEXT NOT NULL,
	account      TEXT NOT NULL REFERENCES account_user (name),
	PRIMARY KEY (organisation, team, account)
);

-- The name is a package's, or a namespace that covers it. It counts while the organisation owns the name.
CREATE TABLE team_grant (
	organisation TEXT NOT NULL,
	team         TEXT NOT NULL,
	ecosystem    TEXT NOT NULL,
	name         TEXT NOT NULL,
	role         TEXT NOT NULL,        -- maintainer, reader
	PRIMARY KEY (organisation, team, ecosystem, name)
);
CREATE INDEX team_grant_name ON team_grant (ecosystem, name);
