package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// draftSchema keeps what is brought in file by file and published as one. It is no projection: what was
// never published is nobody's business.
const draftSchema = `
	CREATE TABLE draft (
		id        TEXT PRIMARY KEY, -- unguessable
		ecosystem TEXT NOT NULL,
		subject   TEXT NOT NULL,    -- at most one open draft has it; '' for any number
		account   TEXT NOT NULL,    -- who opened it
		state     TEXT NOT NULL,    -- open, published, dropped
		opened    INTEGER NOT NULL, -- Unix milliseconds
		expires   INTEGER NOT NULL, -- Unix milliseconds
		note      TEXT NOT NULL     -- the adapter's own
	) WITHOUT ROWID;
	CREATE UNIQUE INDEX draft_subject ON draft (ecosystem, subject) WHERE state = 'open' AND subject <> '';
	CREATE TABLE draft_file (
		draft TEXT NOT NULL REFERENCES draft (id),
		name  TEXT NOT NULL,
		file  TEXT NOT NULL,
		body  TEXT NOT NULL,        -- a DraftFile as JSON
		PRIMARY KEY (draft, name, file)
	) WITHOUT ROWID`

// DraftState is what became of a draft.
type DraftState string

// The states of a draft.
const (
	DraftOpen      DraftState = "open"
	DraftPublished DraftState = "published" // or held: see the releases
	DraftDropped   DraftState = "dropped"
)

// Draft is a set of files that is published as one or not at all: an upload session of PEP 694, a
// deployment of Maven Central's Portal. Who knows its id may look at it; it is offered to nobody.
type Draft struct {
	ID        string
	Ecosystem string
	// Subject is what it is about, "requests 2.0.0": there is one open draft of it at a time. Empty lets
	// there be any number.
	Subject string
	Account string
	State   DraftState
	Opened  time.Time
	Expires time.Time
	Note    string // the adapter's own
	Files   []DraftFile
}

// DraftFile is a file in a draft. The blobs that it names are durable.
type DraftFile struct {
	Name      string        `json:"name"` // of the package
	Version   string        `json:"version"`
	File      string        `json:"file"`
	PURL      purl.PURL     `json:"purl"`
	Type      string        `json:"type"` // Upload.ArtifactType
	Artifact  digest.Digest `json:"artifact"`
	Size      int64         `json:"size"` // bytes
	MediaType string        `json:"mediaType"`
	Metadata  digest.Digest `json:"metadata,omitempty"`
	Inventory digest.Digest `json:"inventory,omitempty"` // a stored evidence.Inventory
}

// DraftFile is an upload that was stored, as a file of a draft.
func (u Upload) DraftFile() DraftFile {
	f := DraftFile{
		Name: u.Name, Version: u.Version, File: u.File, PURL: u.PURL, Type: u.ArtifactType, Artifact: u.Artifact, Size: u.Size,
		MediaType: u.MediaType, Metadata: u.Metadata,
	}
	for _, d := range u.Contents {
		if contents, ok := d.Predicate.(evidence.Contents); ok {
			f.Inventory = contents.Inventory
		}
	}
	return f
}

// OpenDraft makes a draft that lives for life. The actor must be allowed to stage what it will hold: the
// caller has asked. random gives its id. An open draft of the same subject is Conflict with code draft-exists.
func (c *Core) OpenDraft(ctx context.Context, actor evidence.Actor, d Draft, life time.Duration, random io.Reader) (Draft, error) {
	id, err := uuid.NewRandomFromReader(random)
	if err != nil {
		return Draft{}, fmt.Errorf("id of a draft: %w", err)
	}
	now := c.record.Now()
	d.ID, d.Account, d.State, d.Opened, d.Expires = id.String(), actor.Account, DraftOpen, now, now.Add(life)
	err = c.record.DB().Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE draft SET state = $1 WHERE state = $2 AND expires < $3`, DraftDropped, DraftOpen, now.UnixMilli())
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO draft (id, ecosystem, subject, account, state, opened, expires, note)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			d.ID, d.Ecosystem, d.Subject, d.Account, d.State, now.UnixMilli(), d.Expires.UnixMilli(), d.Note)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return fault.New(fault.Conflict, "draft-exists", "there is an open upload of %s already; go on with it, or drop it first", d.Subject)
	})
	return d, err
}

// Draft returns a draft with its files, by its id. Codes: draft-unknown.
func (c *Core) Draft(ctx context.Context, ecosystem, id string) (Draft, error) {
	return c.draft(ctx, `ecosystem = $1 AND id = $2`, ecosystem, id)
}

// DraftOf returns the open draft of a subject. Codes: draft-unknown.
func (c *Core) DraftOf(ctx context.Context, ecosystem, subject string) (Draft, error) {
	return c.draft(ctx, `ecosystem = $1 AND subject = $2 AND state = 'open'`, ecosystem, subject)
}

// DraftsBy returns the open drafts of an account, the newest first; there are at most a hundred.
func (c *Core) DraftsBy(ctx context.Context, ecosystem, account string) ([]Draft, error) {
	rows, err := c.record.DB().Query().QueryContext(ctx, `SELECT id FROM draft WHERE ecosystem = $1 AND account = $2 AND state = 'open' AND expires >= $3
		ORDER BY opened DESC LIMIT 100`, ecosystem, account, c.record.Now().UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("list drafts: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list drafts: %w", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list drafts: %w", err)
	}
	var out []Draft
	for _, id := range ids {
		d, err := c.Draft(ctx, ecosystem, id)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func (c *Core) draft(ctx context.Context, where string, args ...any) (Draft, error) {
	var d Draft
	var opened, expires int64
	err := c.record.DB().Query().QueryRowContext(ctx, `SELECT id, ecosystem, subject, account, state, opened, expires, note FROM draft WHERE `+where,
		args...).Scan(&d.ID, &d.Ecosystem, &d.Subject, &d.Account, &d.State, &opened, &expires, &d.Note)
	if errors.Is(err, sql.ErrNoRows) {
		return d, draftUnknown()
	}
	if err != nil {
		return d, fmt.Errorf("read draft: %w", err)
	}
	d.Opened, d.Expires = time.UnixMilli(opened), time.UnixMilli(expires)
	if d.State == DraftOpen && c.record.Now().After(d.Expires) {
		d.State = DraftDropped
	}
	rows, err := c.record.DB().Query().QueryContext(ctx, `SELECT body FROM draft_file WHERE draft = $1 ORDER BY name, file`, d.ID)
	if err != nil {
		return d, fmt.Errorf("read files of a draft: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		var f DraftFile
		if err := rows.Scan(&raw); err != nil {
			return d, fmt.Errorf("read files of a draft: %w", err)
		}
		if err := json.Unmarshal(raw, &f); err != nil {
			return d, fmt.Errorf("read files of a draft: %w", err)
		}
		d.Files = append(d.Files, f)
	}
	return d, rows.Err()
}

func draftUnknown() error {
	return fault.New(fault.NotFound, "draft-unknown", "there is no such upload, or it has ended; begin a new one")
}

// PutDraftFile adds a file to an open draft, or replaces it. Codes: draft-unknown.
func (c *Core) PutDraftFile(ctx context.Context, id string, f DraftFile) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return c.inDraft(ctx, id, `INSERT INTO draft_file (draft, name, file, body) VALUES ($1, $2, $3, $4)
		ON CONFLICT (draft, name, file) DO UPDATE SET body = excluded.body`, id, f.Name, f.File, string(raw))
}

// RemoveDraftFile takes a file out of an open draft. Codes: draft-unknown.
func (c *Core) RemoveDraftFile(ctx context.Context, id, name, file string) error {
	return c.inDraft(ctx, id, `DELETE FROM draft_file WHERE draft = $1 AND name = $2 AND file = $3`, id, name, file)
}

// ExtendDraft makes an open draft live until a later time. Codes: draft-unknown.
func (c *Core) ExtendDraft(ctx context.Context, id string, until time.Time) error {
	return c.inDraft(ctx, id, `UPDATE draft SET expires = $2 WHERE id = $1`, id, until.UnixMilli())
}

// DropDraft ends an open draft: none of its files was ever published. Codes: draft-unknown.
func (c *Core) DropDraft(ctx context.Context, id string) error {
	return c.inDraft(ctx, id, `UPDATE draft SET state = 'dropped' WHERE id = $1`, id)
}

// NoteDraft sets the adapter's own note of a draft. Codes: draft-unknown.
func (c *Core) NoteDraft(ctx context.Context, id, note string) error {
	return c.inDraft(ctx, id, `UPDATE draft SET note = $2 WHERE id = $1`, id, note)
}

// inDraft runs a statement about an open draft.
func (c *Core) inDraft(ctx context.Context, id, statement string, args ...any) error {
	return c.record.DB().Write(ctx, func(tx *sql.Tx) error {
		if err := c.draftOpen(ctx, tx, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	})
}

func (c *Core) draftOpen(ctx context.Context, tx *sql.Tx, id string) error {
	var open bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM draft WHERE id = $1 AND state = 'open' AND expires >= $2)`,
		id, c.record.Now().UnixMilli()).Scan(&open)
	if err == nil && !open {
		err = draftUnknown()
	}
	return err
}

// PublishDraft publishes everything in an open draft at once, or nothing: see [Core.SubmitAll]. complete
// fills in of each upload what only the adapter knows: tags, and the order of versions. Codes: draft-unknown,
// draft-empty and those of Submit.
func (c *Core) PublishDraft(ctx context.Context, actor evidence.Actor, d Draft, complete func(*Upload)) (*Hold, error) {
	if len(d.Files) == 0 {
		return nil, fault.New(fault.Invalid, "draft-empty", "there is nothing in this upload; add a file, or drop it")
	}
	all := make([]Upload, len(d.Files))
	for i, f := range d.Files {
		u := Upload{
			Ecosystem: d.Ecosystem, Name: f.Name, Version: f.Version, File: f.File, PURL: f.PURL, Artifact: f.Artifact, Size: f.Size,
			MediaType: f.MediaType, Metadata: f.Metadata, ArtifactType: f.Type,
		}
		if f.Inventory != "" {
			inv, err := c.record.Inventory(ctx, f.Inventory)
			if err != nil {
				return nil, err
			}
			u.Inventory, u.Contents = inv, []evidence.Draft{ReleaseContents(f.PURL, f.Artifact, f.Inventory, inv)}
		}
		complete(&u)
		all[i] = u
	}
	return c.submitAll(ctx, actor, all, func(tx *sql.Tx) error {
		if err := c.draftOpen(ctx, tx, d.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE draft SET state = 'published' WHERE id = $1`, d.ID)
		return err
	})
}

// PruneDrafts forgets drafts that ended, or expired, more than age ago.
func (c *Core) PruneDrafts(ctx context.Context, age time.Duration) error {
	before := c.record.Now().Add(-age).UnixMilli()
	return c.record.DB().Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM draft_file WHERE draft IN (SELECT id FROM draft WHERE expires < $1)`, before)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM draft WHERE expires < $1`, before)
		return err
	})
}
