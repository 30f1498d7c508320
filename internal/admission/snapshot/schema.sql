CREATE TABLE snapshot_state (
  name  TEXT PRIMARY KEY, -- policies, revision, exceptions, recalls, head, heard
  value BLOB NOT NULL
);

CREATE TABLE snapshot_image (
  digest TEXT PRIMARY KEY,
  record BLOB NOT NULL    -- JSON of package policy's Record, zstd
);

CREATE TABLE snapshot_tag (
  repository TEXT NOT NULL,
  tag        TEXT NOT NULL,
  digest     TEXT NOT NULL,
  PRIMARY KEY (repository, tag)
);

CREATE TABLE snapshot_receipt (
  recall INTEGER PRIMARY KEY -- sequence number of a recall that was receipted for
);
