package trace

import (
	"context"
	"database/sql"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// maxComponents bounds the components of one image; the largest real ones have some thousands.
const maxComponents = 50000

// Image is an image with everything that is known to be in it.
type Image struct {
	Digest     string
	Platform   string // "os/architecture[/variant]"; empty when not known
	Incomplete string // why it is not fully known; empty when it is
	References []string
	Layers     []Layer
	Components []Component // by the layer that introduced them, then by purl
}

// Layer is one layer of an image.
type Layer struct {
	Position          int
	DiffID, Blob      string
	CreatedBy         string
	Components, Files int
	Incomplete        string
}

// Component is something that the finished image holds.
type Component struct {
	PURL, Path, Source string
	Position           int // of the layer that introduced it
}

// Image returns the image with that manifest digest as far as actor may read it, or fails with
// code trace-unknown.
func (t *Tracer) Image(ctx context.Context, actor evidence.Actor, d digest.Digest) (*Image, error) {
	out := &Image{Digest: string(d)}
	err := t.snapshot(ctx, actor, func(r *reader) error {
		id, err := inside.One[int64](r.Reader, `SELECT id FROM artifact WHERE digest = $1 AND kind = 'manifest'`, d)
		if err != nil {
			return err
		}
		node := &Node{}
		if out.References, err = r.references(node, id); err != nil {
			return err
		}
		if len(out.References) == 0 {
			return unknown(string(d))
		}
		return r.fill(out, id)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (r *reader) fill(out *Image, id int64) error {
	err := r.Each(`SELECT platform, incomplete FROM artifact WHERE id = $1`, []any{id}, func(rows *sql.Rows) error {
		return rows.Scan(&out.Platform, &out.Incomplete)
	})
	if err != nil {
		return err
	}
	err = r.Each(`SELECT il.position, a.digest, il.blob, il.created_by, coalesce(l.components, 0), coalesce(l.files, 0), a.incomplete
		FROM image_layer il JOIN artifact a ON a.id = il.layer_id LEFT JOIN layer l ON l.artifact_id = a.id
		WHERE il.image_id = $1 ORDER BY il.position`, []any{id}, func(rows *sql.Rows) error {
		var l Layer
		err := rows.Scan(&l.Position, &l.DiffID, &l.Blob, &l.CreatedBy, &l.Components, &l.Files, &l.Incomplete)
		out.Layers = append(out.Layers, l)
		return err
	})
	if err != nil {
		return err
	}
	// A package database lists again what lower layers brought: the lowest that shows it counts.
	return r.Each(`SELECT c.purl, min(ac.path), min(ac.source), min(il.position) FROM image_layer il
		JOIN artifact_component ac ON ac.artifact_id = il.layer_id JOIN component c ON c.id = ac.component_id
		WHERE il.image_id = $1 AND NOT EXISTS (SELECT 1 FROM hidden_component h
			WHERE h.image_id = il.image_id AND h.position = il.position AND h.component_id = c.id)
		GROUP BY c.purl ORDER BY min(il.position), c.purl LIMIT $2`, []any{id, maxComponents}, func(rows *sql.Rows) error {
		var c Component
		err := rows.Scan(&c.PURL, &c.Path, &c.Source, &c.Position)
		out.Components = append(out.Components, c)
		return err
	})
}
