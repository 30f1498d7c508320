package upstream

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/registry"
)

// fact is what is known of a document. It does not change.
type fact struct {
	key          string
	missing      bool // no upstream has it
	source, base string
	digest       digest.Digest
	contentType  string
	etag         string
	lastModified string
	asked        time.Time
	order        int64
}

// maxFacts bounds the facts in memory, in bytes: some 30,000.
const maxFacts = 20 << 20

// CacheKey, CacheRevision and CacheWeight implement registry.Cacheable.
func (f *fact) CacheKey() string     { return f.key }
func (f *fact) CacheRevision() int64 { return f.order }
func (f *fact) CacheWeight() int64   { return 600 }

// body is a document's bytes.
type body struct {
	key   string
	data  []byte
	order int64
}

// CacheKey, CacheRevision and CacheWeight implement registry.Cacheable.
func (b *body) CacheKey() string     { return b.key }
func (b *body) CacheRevision() int64 { return b.order }
func (b *body) CacheWeight() int64   { return int64(len(b.data)) + 200 }

func key(q registry.Question) string { return q.Ecosystem + " " + q.Path + " " + q.Accept }

// known returns what is known of a document, from memory or from the table; nil for nothing.
func (c *Client) known(ctx context.Context, q registry.Question) (*fact, error) {
	if f := c.facts.Get(key(q)); f != nil {
		return f, nil
	}
	f := &fact{key: key(q), order: c.order.Add(1)}
	var asked int64
	err := c.core.Record().DB().Query().QueryRowContext(ctx, `SELECT source, base, digest, content_type, etag, last_modified, asked
		FROM upstream_document WHERE ecosystem = $1 AND path = $2 AND accept = $3 AND upstreams = $4`,
		q.Ecosystem, q.Path, q.Accept, c.names(q.Ecosystem)).Scan(&f.source, &f.base, &f.digest, &f.contentType, &f.etag, &f.lastModified, &asked)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("stored document: %w", err)
	}
	f.asked = time.UnixMilli(asked).UTC()
	c.facts.Put(f)
	return f, nil
}

// keep stores what an upstream answered. That it has no such name is kept in memory only: anybody can ask for
// names that nobody has.
func (c *Client) keep(ctx context.Context, q registry.Question, f *fact) error {
	f.order = c.order.Add(1)
	err := c.core.Record().DB().Write(ctx, func(tx *sql.Tx) error {
		if f.missing {
			_, err := tx.ExecContext(ctx, `DELETE FROM upstream_document WHERE ecosystem = $1 AND path = $2 AND accept = $3`, q.Ecosystem, q.Path, q.Accept)
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO upstream_document
				(ecosystem, path, accept, upstreams, source, base, digest, content_type, etag, last_modified, asked)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (ecosystem, path, accept) DO UPDATE SET
				upstreams = excluded.upstreams, source = excluded.source, base = excluded.base, digest = excluded.digest,
				content_type = excluded.content_type, etag = excluded.etag, last_modified = excluded.last_modified, asked = excluded.asked`,
			q.Ecosystem, q.Path, q.Accept, c.names(q.Ecosystem), f.source, f.base, f.digest, f.contentType, f.etag, f.lastModified, f.asked.UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("keep document: %w", err)
	}
	c.facts.Put(f)
	return nil
}

// object names a document's bytes. They are no blob: a blob may have other users, of whom an upstream that
// changes its mind knows nothing.
func object(key string) string { return "upstream/" + digest.FromBytes([]byte(key)).Hex() }

// body returns a document's bytes with their digest. While a newer one is being kept it may be that.
func (c *Client) body(ctx context.Context, f *fact) ([]byte, digest.Digest, error) {
	if b := c.bodies.Get(string(f.digest)); b != nil {
		return b.data, f.digest, nil
	}
	data, err := c.core.Blobs().ReadObject(ctx, object(f.key))
	if err != nil {
		return nil, "", fmt.Errorf("stored document: %w", err)
	}
	d := digest.FromBytes(data)
	c.remember(d, data)
	return data, d, nil
}

func (c *Client) remember(d digest.Digest, data []byte) {
	if len(data) <= maxKept {
		c.bodies.Put(&body{key: string(d), data: data, order: c.order.Add(1)})
	}
}
