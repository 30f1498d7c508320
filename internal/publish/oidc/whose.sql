-- Whose pipeline a publisher is pinned to, in lower case, so that all names which trust one are found without
-- reading those that trust another. '' where the provider has no such claim, and in rows that are older.
ALTER TABLE trusted_publisher ADD COLUMN whose TEXT NOT NULL DEFAULT '';
CREATE INDEX trusted_publisher_whose ON trusted_publisher (ecosystem, issuer, whose);
