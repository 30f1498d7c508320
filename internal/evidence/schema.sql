-- The record. Append only; nothing here is ever updated.
CREATE TABLE statement (
    seq            INTEGER PRIMARY KEY, -- place in the record = leaf index in the log, from 0
    at             TEXT NOT NULL,       -- RFC 3339, UTC
    predicate_type TEXT NOT NULL,
    body           BLOB NOT NULL,       -- the log entry
    leaf           BLOB NOT NULL        -- RFC 6962 leaf hash of body, 32 bytes
);
CREATE TABLE statement_subject (
    subject BIGINT NOT NULL,            -- SubjectKey of a purl or "algorithm:hex"
    seq     INTEGER NOT NULL REFERENCES statement (seq),
    PRIMARY KEY (subject, seq)
) WITHOUT ROWID;

-- Projections. Everything below is derived from statements; ids are given in statement order, so
-- a rebuild gives the same ones.

-- Anything that has a digest: package archive, manifest, layer (by diffID).
CREATE TABLE artifact (
    id         INTEGER PRIMARY KEY,
    digest     TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,           -- package, manifest, layer
    media_type TEXT NOT NULL,
    size       INTEGER NOT NULL,        -- bytes
    incomplete TEXT NOT NULL,           -- why its contents are not fully known; '' when they are
    platform   TEXT NOT NULL DEFAULT ''
);

-- A name in an ecosystem. revision is the last statement that changed what it offers.
CREATE TABLE package (
    id        INTEGER PRIMARY KEY,
    ecosystem TEXT NOT NULL,
    name      TEXT NOT NULL,
    created   TEXT NOT NULL,
    modified  TEXT NOT NULL,
    revision  INTEGER NOT NULL,
    UNIQUE (ecosystem, name)
);

-- A version of a package: for OCI the version is the manifest digest.
CREATE TABLE release (
    id            INTEGER PRIMARY KEY,
    package_id    INTEGER NOT NULL REFERENCES package (id),
    version       TEXT NOT NULL,
    purl          TEXT NOT NULL,
    artifact_id   INTEGER NOT NULL REFERENCES artifact (id),
    metadata      TEXT NOT NULL,        -- blob digest of the ecosystem's description, or ''
    subject       TEXT NOT NULL,        -- OCI subject digest, or ''
    artifact_type TEXT NOT NULL,
    state         TEXT NOT NULL,        -- active, held, withdrawn
    recalled      TEXT NOT NULL,        -- reason, or '' when not recalled
    deprecated    TEXT NOT NULL,
    published     TEXT NOT NULL,
    publisher     TEXT NOT NULL,        -- account
    seq           INTEGER NOT NULL,     -- the publication statement
    UNIQUE (package_id, version)
);
CREATE INDEX release_purl ON release (purl);
CREATE INDEX release_artifact ON release (artifact_id);
CREATE INDEX release_publisher ON release (publisher);
CREATE INDEX release_subject ON release (subject) WHERE subject <> '';

CREATE TABLE tag (
    package_id INTEGER NOT NULL REFERENCES package (id),
    tag        TEXT NOT NULL,
    version    TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (package_id, tag)
) WITHOUT ROWID;
CREATE INDEX tag_version ON tag (package_id, version);

CREATE TABLE publication (
    seq          INTEGER PRIMARY KEY REFERENCES statement (seq),
    package_id   INTEGER NOT NULL REFERENCES package (id),
    event        TEXT NOT NULL,
    version      TEXT NOT NULL,
    tags         TEXT NOT NULL,         -- JSON array
    account      TEXT NOT NULL,
    credential   TEXT NOT NULL,
    method       TEXT NOT NULL,
    address_hash TEXT NOT NULL,
    assurance    TEXT NOT NULL,
    at           TEXT NOT NULL
);
CREATE INDEX publication_account ON publication (account);
CREATE INDEX publication_release ON publication (package_id, version);

-- A layer that was read. Its artifact's digest is the diffID.
CREATE TABLE layer (
    artifact_id INTEGER PRIMARY KEY REFERENCES artifact (id),
    analyser    TEXT NOT NULL,
    inventory   TEXT NOT NULL,          -- blob digest
    components  INTEGER NOT NULL,
    files       INTEGER NOT NULL
);
-- The compressed forms in which a layer was pushed.
CREATE TABLE layer_blob (
    blob     TEXT PRIMARY KEY,          -- digest
    layer_id INTEGER NOT NULL REFERENCES artifact (id)
) WITHOUT ROWID;
CREATE TABLE image_layer (
    image_id   INTEGER NOT NULL REFERENCES artifact (id),
    position   INTEGER NOT NULL,        -- lowest is 0
    layer_id   INTEGER NOT NULL REFERENCES artifact (id),
    blob       TEXT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (image_id, position)
) WITHOUT ROWID;
CREATE INDEX image_layer_layer ON image_layer (layer_id);

-- The manifests that an index lists: one image a platform, as a rule.
CREATE TABLE index_manifest (
    index_id    INTEGER NOT NULL REFERENCES artifact (id),
    position    INTEGER NOT NULL,
    manifest_id INTEGER NOT NULL REFERENCES artifact (id),
    PRIMARY KEY (index_id, position)
) WITHOUT ROWID;
CREATE INDEX index_manifest_manifest ON index_manifest (manifest_id);

CREATE TABLE component (
    id   INTEGER PRIMARY KEY,
    purl TEXT NOT NULL UNIQUE
);
CREATE TABLE artifact_component (
    component_id INTEGER NOT NULL REFERENCES component (id),
    artifact_id  INTEGER NOT NULL REFERENCES artifact (id),
    path         TEXT NOT NULL,
    source       TEXT NOT NULL,
    PRIMARY KEY (component_id, artifact_id, path)
) WITHOUT ROWID;
CREATE INDEX artifact_component_artifact ON artifact_component (artifact_id);
-- Components of a layer that an image's upper layers removed or replaced.
CREATE TABLE hidden_component (
    image_id     INTEGER NOT NULL REFERENCES artifact (id),
    position     INTEGER NOT NULL,
    component_id INTEGER NOT NULL REFERENCES component (id),
    PRIMARY KEY (image_id, position, component_id)
) WITHOUT ROWID;
CREATE INDEX hidden_component_component ON hidden_component (component_id);

CREATE TABLE file (
    artifact_id INTEGER NOT NULL REFERENCES artifact (id), -- a package archive or a layer
    path        TEXT NOT NULL,
    size        INTEGER NOT NULL,       -- bytes
    mode        INTEGER NOT NULL,
    sha256      BLOB NOT NULL,          -- 32 bytes
    PRIMARY KEY (artifact_id, path)
) WITHOUT ROWID;
CREATE INDEX file_sha256 ON file (sha256);

-- What a layer deletes from those below it in an image; layers stay as they are, so a lower layer
-- still has its files and components. Source: OCI image-spec 1.1, layer.md, "Whiteouts".
CREATE TABLE whiteout (
    layer_id INTEGER NOT NULL REFERENCES artifact (id),
    path     TEXT NOT NULL,             -- like file.path; '.' is the root
    opaque   INTEGER NOT NULL,          -- 0: the path and all below it go; 1: only what is below it
    PRIMARY KEY (layer_id, path, opaque)
) WITHOUT ROWID;

CREATE TABLE decision (
    seq     INTEGER PRIMARY KEY REFERENCES statement (seq),
    gate    TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    verdict TEXT NOT NULL,
    code    TEXT NOT NULL,
    account TEXT NOT NULL,
    policy  TEXT NOT NULL,
    head    INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    at      TEXT NOT NULL
);
CREATE INDEX decision_subject ON decision (subject);

CREATE TABLE recall (
    subject TEXT PRIMARY KEY,           -- a purl or a digest
    seq     INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    account TEXT NOT NULL,
    at      TEXT NOT NULL
) WITHOUT ROWID;
