package trace

import (
	"database/sql"

	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// losses are the files that upper layers took out, by place.
type losses map[place]map[inside.File]bool

func (l losses) add(at place, f inside.File) {
	if l[at] == nil {
		l[at] = map[inside.File]bool{}
	}
	l[at][f] = true
}

// lose marks the places of c that upper layers left no file of. It asks about all images at once,
// for there may be thousands, and looks closer where the files that hits keep are gone.
func (r *reader) lose(c *containment) error {
	lost := losses{}
	if err := r.loseDeleted(c, lost); err != nil {
		return err
	}
	if err := r.loseReplaced(c, lost); err != nil {
		return err
	}
	known := map[int64][]inside.File{} // by layer
	for image, h := range c.images {
		for i, p := range h.layers {
			gone := lost[place{image, p.position}]
			if p.hidden || len(gone) == 0 || len(gone) < len(p.hit.files) {
				continue
			}
			all, err := r.allMatches(c, p.hit.layer, known)
			if err != nil {
				return err
			}
			left, err := r.Remaining(image, p.position, all)
			if err != nil {
				return err
			}
			h.layers[i].lose(len(left) == 0)
		}
	}
	return nil
}

// allMatches returns every file in the layer that is one of those looked for, also those that other
// versions ship: they came with the others.
func (r *reader) allMatches(c *containment, layer int64, known map[int64][]inside.File) ([]inside.File, error) {
	if files, ok := known[layer]; ok {
		return files, nil
	}
	sums := c.files
	if c.exact {
		sums = c.sought
	}
	files, err := r.matches(layer, sums)
	known[layer] = files
	return files, err
}

// loseDeleted adds the files of hits that are deleted.
func (r *reader) loseDeleted(c *containment, lost losses) error {
	var layers []any
	for id, h := range c.hits {
		if len(h.files) > 0 {
			layers = append(layers, id)
		}
	}
	type covered struct {
		place
		layer, upper int64
	}
	var all []covered
	var uppers []int64
	err := r.In(`SELECT low.image_id, low.position, low.layer_id, up.layer_id FROM image_layer low
		CROSS JOIN image_layer up ON up.image_id = low.image_id AND up.position > low.position
		WHERE low.layer_id IN (%s) AND EXISTS (SELECT 1 FROM whiteout w WHERE w.layer_id = up.layer_id)`,
		layers, func(rows *sql.Rows) error {
			var x covered
			err := rows.Scan(&x.image, &x.position, &x.layer, &x.upper)
			all = append(all, x)
			uppers = append(uppers, x.upper)
			return err
		})
	if err != nil {
		return err
	}
	if err := r.LoadWhiteouts(uppers); err != nil {
		return err
	}
	for _, x := range all {
		for f := range c.hits[x.layer].files {
			if r.Removes(x.upper, f.Path) {
				lost.add(x.place, f)
			}
		}
	}
	return nil
}

// loseReplaced adds the files of hits that others are in place of.
func (r *reader) loseReplaced(c *containment, lost losses) error {
	sums := map[string]bool{}
	for _, h := range c.hits {
		for f := range h.files {
			sums[f.Sum] = true
		}
	}
	values := make([]any, 0, len(sums))
	for sum := range sums {
		values = append(values, []byte(sum))
	}
	return r.In(`SELECT low.image_id, low.position, low.layer_id, f.path, f.sha256 FROM file f
		CROSS JOIN image_layer low ON low.layer_id = f.artifact_id
		CROSS JOIN image_layer up ON up.image_id = low.image_id AND up.position > low.position
		CROSS JOIN file over ON over.artifact_id = up.layer_id AND over.path = f.path
		WHERE f.sha256 IN (%s) AND over.sha256 <> f.sha256`, values, func(rows *sql.Rows) error {
		var at place
		var layer int64
		var path string
		var sum []byte
		err := rows.Scan(&at.image, &at.position, &layer, &path, &sum)
		f := inside.File{Path: path, Sum: string(sum)}
		if h := c.hits[layer]; h != nil && h.files[f] {
			lost.add(at, f)
		}
		return err
	})
}
