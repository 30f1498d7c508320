-- A version may consist of several files, each a row of its own, and may come from elsewhere.
CREATE TABLE release_file (
    id            INTEGER PRIMARY KEY,
    package_id    INTEGER NOT NULL REFERENCES package (id),
    version       TEXT NOT NULL,
    file          TEXT NOT NULL,        -- its name, or '' where a version is one artifact
    purl          TEXT NOT NULL,
    artifact_id   INTEGER NOT NULL REFERENCES artifact (id),
    metadata      TEXT NOT NULL,        -- blob digest of the ecosystem's description, or ''
    subject       TEXT NOT NULL,        -- OCI subject digest, or ''
    artifact_type TEXT NOT NULL,
    state         TEXT NOT NULL,        -- active, held, withdrawn
    recalled      TEXT NOT NULL,        -- reason, or '' when not recalled
    deprecated    TEXT NOT NULL,
    unlisted      TEXT NOT NULL,        -- why it is not proposed, or ''
    published     TEXT NOT NULL,        -- where it came from elsewhere: there
    publisher     TEXT NOT NULL,        -- account; '' where it came from elsewhere
    origin        TEXT NOT NULL,        -- address that it was fetched from, or '' when it was published here
    mirrored      INTEGER NOT NULL,     -- 1 when it came from elsewhere
    seq           INTEGER NOT NULL,     -- the publication statement
    UNIQUE (package_id, version, file, mirrored)
);
INSERT INTO release_file SELECT id, package_id, version, '', purl, artifact_id, metadata, subject, artifact_type, state, recalled,
    deprecated, '', published, publisher, '', 0, seq FROM release;
DROP VIEW recalled_file;
DROP TABLE release;
ALTER TABLE release_file RENAME TO release;
CREATE INDEX release_purl ON release (purl);
CREATE INDEX release_artifact ON release (artifact_id);
CREATE INDEX release_publisher ON release (publisher);
CREATE INDEX release_subject ON release (subject) WHERE subject <> '';
CREATE INDEX release_held ON release (seq) WHERE state = 'held';
CREATE INDEX release_newest ON release (package_id, seq);
CREATE VIEW recalled_file AS SELECT rf.sha256, rf.subject, rf.named FROM recall_file rf
    WHERE rf.named = 1 OR NOT EXISTS (SELECT 1 FROM file o JOIN release x ON x.artifact_id = o.artifact_id
        JOIN artifact xa ON xa.id = x.artifact_id WHERE o.sha256 = rf.sha256
        AND NOT EXISTS (SELECT 1 FROM recall y WHERE y.subject IN (x.purl, xa.digest)));
