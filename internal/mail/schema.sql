-- The outbox, in the subset that SQLite and PostgreSQL share. Times are Unix milliseconds.
-- A row is deleted once the server has taken the message: texts may hold codes that open an account.

CREATE TABLE mail_outbox (
	id        TEXT PRIMARY KEY,   -- what caused it; the same cause is sent once
	recipient TEXT NOT NULL,
	subject   TEXT NOT NULL,
	body      TEXT NOT NULL,
	created   BIGINT NOT NULL,
	attempts  INTEGER NOT NULL,
	due       BIGINT NOT NULL     -- not before
);
CREATE INDEX mail_outbox_due ON mail_outbox (due);
