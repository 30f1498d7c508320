package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/store"
)

// maxManifest is the longest manifest in bytes that is looked into; the registry takes no longer ones.
const maxManifest = 4 << 20

// configs finds an image by its configuration's digest, which is what container runtimes call an image's
// id. The record does not keep it; manifests are read once each, when somebody asks for the first time.
type configs struct {
	mu   sync.Mutex
	upTo int64 // artifacts up to this id were read; guarded by mu
	by   map[string]int64
}

// manifest returns the artifact of the image with that configuration, or 0.
func (c *configs) manifest(ctx context.Context, db *store.DB, blobs blob.Store, config string) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.catchUp(ctx, db, blobs); err != nil {
		return 0, err
	}
	return c.by[config], nil
}

func (c *configs) catchUp(ctx context.Context, db *store.DB, blobs blob.Store) error {
	type artifact struct {
		id     int64
		digest digest.Digest
	}
	var fresh []artifact
	err := db.Read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT id, digest FROM artifact WHERE id > $1 AND kind = 'manifest' ORDER BY id`, c.upTo)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a artifact
			if err := rows.Scan(&a.id, &a.digest); err != nil {
				return err
			}
			fresh = append(fresh, a)
		}
		return rows.Err()
	})
	if err != nil {
		return fmt.Errorf("look for manifests: %w", err)
	}
	if c.by == nil {
		c.by = map[string]int64{}
	}
	for _, a := range fresh {
		config, err := configOf(ctx, blobs, a.digest)
		if err != nil {
			return err
		}
		if config != "" && c.by[config] == 0 {
			c.by[config] = a.id
		}
		c.upTo = a.id
	}
	return nil
}

// configOf returns the configuration that a manifest names; none for an index, and for a manifest that is
// listed by one and was never pushed here.
func configOf(ctx context.Context, blobs blob.Store, d digest.Digest) (string, error) {
	f, err := blobs.Open(ctx, d)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("manifest %s: %w", d, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return "", fmt.Errorf("manifest %s: %w", d, err)
	}
	var m struct {
		Config struct {
			Digest string `json:"digest"`
		} `json:"config"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		if _, syntax := errors.AsType[*json.SyntaxError](err); !syntax {
			return "", nil
		}
	}
	return m.Config.Digest, nil
}
