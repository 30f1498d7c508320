-- How far recalls reach: beyond what they name, to what holds it; and what runs.

ALTER TABLE recall ADD COLUMN gates TEXT NOT NULL DEFAULT '';        -- ' pull run ', or '' for all of them
ALTER TABLE recall ADD COLUMN by_admin INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recall ADD COLUMN undo_by TEXT NOT NULL DEFAULT '';      -- account that asked to lift it

-- The files that a recall means: the one that it names, or those of the releases that it names.
CREATE TABLE recall_file (
    sha256  BLOB NOT NULL,
    subject TEXT NOT NULL,              -- as in recall
    named   INTEGER NOT NULL,           -- 1: the recall names the file itself
    PRIMARY KEY (sha256, subject)
) WITHOUT ROWID;
CREATE INDEX recall_file_subject ON recall_file (subject);

-- Those of them that say something: a file that the recall names, or one that no release ships but those
-- that a recall names.
CREATE VIEW recalled_file AS SELECT rf.sha256, rf.subject, rf.named FROM recall_file rf
    WHERE rf.named = 1 OR NOT EXISTS (SELECT 1 FROM file o JOIN release x ON x.artifact_id = o.artifact_id
        JOIN artifact xa ON xa.id = x.artifact_id WHERE o.sha256 = rf.sha256
        AND NOT EXISTS (SELECT 1 FROM recall y WHERE y.subject IN (x.purl, xa.digest)));

-- The artifacts that hold what a recall in force means: images, and archives with a file that it names.
-- It is decided when the recall is made, and when the contents of an artifact become known.
CREATE TABLE recall_reach (
    subject     TEXT NOT NULL,          -- as in recall
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    via         TEXT NOT NULL,          -- the purl, layer or file ("sha256:…") that is in it
    PRIMARY KEY (subject, artifact_id)
) WITHOUT ROWID;
CREATE INDEX recall_reach_artifact ON recall_reach (artifact_id);

-- In which workloads an image runs, summed up over nodes: a count a workload instead of a row a container.
CREATE TABLE running (
    image      TEXT NOT NULL,           -- manifest digest
    cluster    TEXT NOT NULL,
    namespace  TEXT NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    containers INTEGER NOT NULL,
    seq        INTEGER NOT NULL,        -- of the newest placement
    PRIMARY KEY (image, cluster, namespace, kind, name)
) WITHOUT ROWID;
INSERT INTO running (image, cluster, namespace, kind, name, containers, seq)
    SELECT image, cluster, namespace, kind, name, sum(running), max(seq) FROM placement GROUP BY 1, 2, 3, 4, 5;
