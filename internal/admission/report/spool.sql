CREATE TABLE spool (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  batch     TEXT NOT NULL,     -- '' until the statement was put into a batch; then for good
  keep      INTEGER NOT NULL,  -- 1: dropped last
  draft     BLOB NOT NULL      -- protobuf, hullmark.fleet.v1.Draft
);
CREATE INDEX spool_batch ON spool (batch, id);
CREATE INDEX spool_keep ON spool (keep, id);
