-- What an account was told, for its page; without the codes, which are no news.

CREATE TABLE account_history (
	id      INTEGER PRIMARY KEY,       -- in the order in which they were told
	account TEXT NOT NULL,
	kind    TEXT NOT NULL,
	data    TEXT NOT NULL,             -- JSON
	created BIGINT NOT NULL
);
CREATE INDEX account_history_account ON account_history (account, id);
