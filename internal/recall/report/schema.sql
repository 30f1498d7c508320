-- The tables of package report, in the subset that SQLite and PostgreSQL share. Times are Unix milliseconds.

CREATE TABLE malware_report (
	id        TEXT PRIMARY KEY,        -- "rep_…"
	purl      TEXT NOT NULL,           -- of a version, or of a name
	ecosystem TEXT NOT NULL,
	name      TEXT NOT NULL,
	version   TEXT NOT NULL,           -- '' is the whole name
	reason    TEXT NOT NULL,
	account   TEXT NOT NULL,           -- who reports
	weight    INTEGER NOT NULL,        -- when it was made
	created   BIGINT NOT NULL,
	state     TEXT NOT NULL,           -- open, upheld, unfounded
	closed    BIGINT NOT NULL,         -- 0: open
	closed_by TEXT NOT NULL,
	note      TEXT NOT NULL
);
CREATE INDEX malware_report_open ON malware_report (state, created);
CREATE INDEX malware_report_account ON malware_report (account, created);
