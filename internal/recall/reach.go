package recall

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
)

const (
	// maxFiles bounds the files that are told of one recall, and maxImages its images: every node hears
	// of every recall, and knows by the files and components what to stop.
	maxFiles  = 5000
	maxImages = 500
)

// Reach is what a recall means, in words that need no question.
type Reach struct {
	Files      []digest.Digest // that say something, see the table recalled_file
	Components []string        // purls
	Images     []digest.Digest // that hold it, those that run first
}

// Reach returns what the recall means as of now. It changes as images come and releases are published.
func (s *Service) Reach(ctx context.Context, r Recall) (Reach, error) {
	var out Reach
	err := s.record.DB().Read(ctx, func(tx *sql.Tx) error {
		for _, key := range r.Subjects {
			if err := out.add(ctx, tx, key); err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(out.Components)
	out.Components = slices.Compact(out.Components)
	slices.Sort(out.Files)
	out.Files = slices.Compact(out.Files)
	out.Images = unique(out.Images)
	out.Images = out.Images[:min(len(out.Images), maxImages)]
	return out, err
}

func unique(all []digest.Digest) []digest.Digest {
	seen := map[digest.Digest]bool{}
	return slices.DeleteFunc(all, func(d digest.Digest) bool {
		again := seen[d]
		seen[d] = true
		return again
	})
}

func (r *Reach) add(ctx context.Context, tx *sql.Tx, key string) error {
	if strings.HasPrefix(key, "pkg:") {
		r.Components = append(r.Components, key)
	}
	files, err := column[[]byte](ctx, tx, `SELECT sha256 FROM recalled_file WHERE subject = $1 ORDER BY sha256 LIMIT $2`, key, maxFiles)
	if err != nil {
		return err
	}
	for _, sum := range files {
		r.Files = append(r.Files, digest.Digest(digest.SHA256+":"+hex.EncodeToString(sum)))
	}
	purls, err := column[string](ctx, tx, `SELECT l.purl FROM artifact a JOIN release l ON l.artifact_id = a.id
		WHERE a.digest = $1 AND a.kind = 'package' ORDER BY l.purl LIMIT $2`, key, maxNamed)
	if err != nil {
		return err
	}
	r.Components = append(r.Components, purls...)
	images, err := column[digest.Digest](ctx, tx, `SELECT a.digest FROM (SELECT artifact_id AS id FROM recall_reach WHERE subject = $1
			UNION SELECT id FROM artifact WHERE digest = $1 UNION SELECT artifact_id FROM release WHERE purl = $1) x
		JOIN artifact a ON a.id = x.id WHERE a.kind = 'manifest'
		ORDER BY EXISTS (SELECT 1 FROM placement p WHERE p.image = a.digest AND p.running = 1) DESC, a.id LIMIT $2`, key, maxImages)
	r.Images = append(r.Images, images...)
	return err
}

// column returns the single column that query yields.
func column[T any](ctx context.Context, tx *sql.Tx, query string, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%.60q: %w", query, err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("%.60q: %w", query, err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
