-- Projections of what the admit and run gates see, and of the statements that people make about policies.

-- Every recall and lifting, so that a decision can be recomputed at an older head. Table recall holds what is in force.
CREATE TABLE recall_event (
    seq     INTEGER NOT NULL,
    subject TEXT NOT NULL,              -- a purl or a digest
    lifted  INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    account TEXT NOT NULL,
    at      TEXT NOT NULL,
    PRIMARY KEY (seq, subject)
) WITHOUT ROWID;
CREATE INDEX recall_event_subject ON recall_event (subject, seq);

INSERT INTO recall_event (seq, subject, lifted, reason, account, at) SELECT seq, subject, 0, reason, account, at FROM recall;

-- When it was said what is inside an artifact: a record can be read as it was at an older head.
CREATE TABLE described (
    artifact_id INTEGER NOT NULL REFERENCES artifact (id),
    seq         INTEGER NOT NULL,       -- of the contents statement
    PRIMARY KEY (artifact_id, seq)
) WITHOUT ROWID;
INSERT INTO described (artifact_id, seq) SELECT DISTINCT a.id, s.seq
    FROM statement s, json_each(CAST(s.body AS TEXT), '$.subject') x
    JOIN artifact a ON a.digest = 'sha256:' || json_extract(x.value, '$.digest.sha256')
    WHERE s.predicate_type = 'https://hullmark.dev/contents/v1' AND x.key = 0;

-- The highest layer of each image: which images another one may be built on.
CREATE TABLE image_top (
    layer_id INTEGER NOT NULL REFERENCES artifact (id),
    position INTEGER NOT NULL,
    image_id INTEGER NOT NULL UNIQUE REFERENCES artifact (id),
    PRIMARY KEY (layer_id, position, image_id)
) WITHOUT ROWID;
INSERT INTO image_top (layer_id, position, image_id) SELECT l.layer_id, l.position, l.image_id FROM image_layer l
    WHERE l.position = (SELECT max(position) FROM image_layer WHERE image_id = l.image_id);

-- What was proved about a subject, which advisories match it, and what could not be seen of it.
CREATE TABLE verification (
    subject  TEXT NOT NULL,             -- a purl or a digest
    seq      INTEGER NOT NULL,
    proof    TEXT NOT NULL,
    identity TEXT NOT NULL,
    verdict  TEXT NOT NULL,             -- holds, fails
    PRIMARY KEY (subject, seq)
) WITHOUT ROWID;
CREATE TABLE finding (
    subject    TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    source     TEXT NOT NULL,
    advisories TEXT NOT NULL,           -- space-separated; '' when none matches any more
    PRIMARY KEY (subject, seq)
) WITHOUT ROWID;
CREATE TABLE gap (
    subject TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    what    TEXT NOT NULL,
    reason  TEXT NOT NULL,
    PRIMARY KEY (subject, seq)
) WITHOUT ROWID;

-- Who has carried a recall out, and when. A receiver is a gate of the server, an admission controller or an agent.
CREATE TABLE receipt (
    recall_seq INTEGER NOT NULL,        -- the recall statement
    receiver   TEXT NOT NULL,           -- "server/publish", "admission/prod", "agent/node-7"
    gate       TEXT NOT NULL,
    outcome    TEXT NOT NULL,           -- what the receiver did: "enforced", "observed", "nothing here"
    stopped    INTEGER NOT NULL,        -- processes or requests stopped
    at         TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (recall_seq, receiver)
) WITHOUT ROWID;

CREATE TABLE approval (
    seq     INTEGER PRIMARY KEY REFERENCES statement (seq),
    purl    TEXT NOT NULL,
    account TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      TEXT NOT NULL
);
CREATE INDEX approval_purl ON approval (purl, seq);
CREATE INDEX release_held ON release (seq) WHERE state = 'held';

-- The policy sets that were in force, newest last; the document is a blob.
CREATE TABLE policy_set (
    seq      INTEGER PRIMARY KEY REFERENCES statement (seq),
    revision TEXT NOT NULL,             -- digest of the document
    account  TEXT NOT NULL,
    at       TEXT NOT NULL
);

CREATE TABLE exception (
    id        INTEGER PRIMARY KEY,      -- seq of the request; "exception #12"
    policy    TEXT NOT NULL,
    scope     TEXT NOT NULL,            -- JSON, ExceptionScope
    reason    TEXT NOT NULL,
    ticket    TEXT NOT NULL,
    requester TEXT NOT NULL,
    expires   TEXT NOT NULL,
    requested TEXT NOT NULL,
    approver  TEXT NOT NULL,            -- '' until approved
    approved_seq INTEGER NOT NULL,      -- 0 until approved
    revoked_seq  INTEGER NOT NULL       -- 0 while not revoked
);
-- Which decisions were made under an exception, and for what.
CREATE TABLE exception_use (
    exception_id INTEGER NOT NULL,
    seq          INTEGER NOT NULL,      -- of the decision
    count        INTEGER NOT NULL,
    cluster      TEXT NOT NULL,
    namespace    TEXT NOT NULL,
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    images       TEXT NOT NULL,         -- digests, space-separated
    at           TEXT NOT NULL,
    PRIMARY KEY (exception_id, seq)
) WITHOUT ROWID;

-- Decisions by the id that the gate gave them when it answered: an admission review's uid.
CREATE TABLE decision_id (
    id  TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;

-- Where images run, as agents saw it. A container that stopped keeps its row with running = 0.
CREATE TABLE placement (
    image     TEXT NOT NULL,            -- manifest digest
    cluster   TEXT NOT NULL,
    node      TEXT NOT NULL,
    container TEXT NOT NULL,            -- runtime's id
    namespace TEXT NOT NULL,
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    pod       TEXT NOT NULL,
    running   INTEGER NOT NULL,
    first     TEXT NOT NULL,
    last      TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (image, cluster, node, container)
) WITHOUT ROWID;

-- What components were seen doing, one row a (component, fact, image, workload).
CREATE TABLE behaviour (
    component TEXT NOT NULL,            -- purl, or "file:" and its SHA-256 where no component is known
    fact      TEXT NOT NULL,            -- "loaded", "executed"
    image     TEXT NOT NULL,
    cluster   TEXT NOT NULL,
    namespace TEXT NOT NULL,
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    node      TEXT NOT NULL,
    first     TEXT NOT NULL,
    last      TEXT NOT NULL,
    count     INTEGER NOT NULL,
    seq       INTEGER NOT NULL,         -- of the newest statement
    PRIMARY KEY (component, fact, image, cluster, namespace, kind, name, node)
) WITHOUT ROWID;
CREATE INDEX behaviour_image ON behaviour (image);
