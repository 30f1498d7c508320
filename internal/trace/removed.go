package trace

import (
	"database/sql"
	"path"
)

// layerFile is a file of a layer that was recognised by its content.
type layerFile struct{ path, sum string }

// whiteouts are what one layer deletes from those below it. Source: OCI image-spec 1.1, layer.md,
// "Whiteouts".
type whiteouts struct {
	paths  map[string]bool // gone with all below them
	opaque map[string]bool // folders of which only what is below them is gone
}

// remove reports whether the file at p in a lower layer is gone. A nil w removes nothing.
func (w *whiteouts) remove(p string) bool {
	if w == nil {
		return false
	}
	for at := p; ; at = path.Dir(at) {
		if w.paths[at] || w.opaque[at] && at != p {
			return true
		}
		if at == "." || at == "/" {
			return false
		}
	}
}

// loadWhiteouts makes r.whiteouts hold what each of the layers deletes: nil for most.
func (r *reader) loadWhiteouts(layers []int64) error {
	var missing []any
	for _, id := range layers {
		if _, known := r.whiteouts[id]; !known {
			r.whiteouts[id] = nil
			missing = append(missing, id)
		}
	}
	return r.in(`SELECT layer_id, path, opaque FROM whiteout WHERE layer_id IN (%s)`, missing, func(rows *sql.Rows) error {
		var layer int64
		var p string
		var opaque bool
		if err := rows.Scan(&layer, &p, &opaque); err != nil {
			return err
		}
		w := r.whiteouts[layer]
		if w == nil {
			w = &whiteouts{paths: map[string]bool{}, opaque: map[string]bool{}}
			r.whiteouts[layer] = w
		}
		if opaque {
			w.opaque[p] = true
		} else {
			w.paths[p] = true
		}
		return nil
	})
}

// remaining returns the SHA-256 of those files of the layer at a position of an image that the
// finished image still has. A file is gone when an upper layer deletes it or has another one in its
// place; only files that a layer indexes are known to be in a place.
func (r *reader) remaining(image int64, position int, files []layerFile) (map[string]bool, error) {
	uppers, err := list[int64](r, `SELECT layer_id FROM image_layer WHERE image_id = $1 AND position > $2`, image, position)
	if err != nil {
		return nil, err
	}
	if err := r.loadWhiteouts(uppers); err != nil {
		return nil, err
	}
	replaced, err := r.replaced(image, position, files)
	if err != nil {
		return nil, err
	}
	left := map[string]bool{}
	for _, f := range files {
		if !replaced[f] && !r.removed(uppers, f) {
			left[f.sum] = true
		}
	}
	return left, nil
}

func (r *reader) removed(uppers []int64, f layerFile) bool {
	for _, id := range uppers {
		if r.whiteouts[id].remove(f.path) {
			return true
		}
	}
	return false
}

// replaced returns the files that layers above the position have another one in place of. One that
// is only written again, as chmod does, is as old as it was.
func (r *reader) replaced(image int64, position int, files []layerFile) (map[layerFile]bool, error) {
	at := make(map[string]layerFile, len(files))
	paths := make([]any, 0, len(files))
	for _, f := range files {
		at[f.path] = f
		paths = append(paths, f.path)
	}
	out := map[layerFile]bool{}
	return out, r.in(`SELECT f.path, f.sha256 FROM image_layer up CROSS JOIN file f ON f.artifact_id = up.layer_id
		WHERE up.image_id = $1 AND up.position > $2 AND f.path IN (%s)`, paths, func(rows *sql.Rows) error {
		var p string
		var sum []byte
		err := rows.Scan(&p, &sum)
		if f := at[p]; f.sum != string(sum) {
			out[f] = true
		}
		return err
	}, image, position)
}

// losses are the files that upper layers took out, by place.
type losses map[place]map[layerFile]bool

func (l losses) add(at place, f layerFile) {
	if l[at] == nil {
		l[at] = map[layerFile]bool{}
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
	known := map[int64][]layerFile{} // by layer
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
			left, err := r.remaining(image, p.position, all)
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
func (r *reader) allMatches(c *containment, layer int64, known map[int64][]layerFile) ([]layerFile, error) {
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
	err := r.in(`SELECT low.image_id, low.position, low.layer_id, up.layer_id FROM image_layer low
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
	if err := r.loadWhiteouts(uppers); err != nil {
		return err
	}
	for _, x := range all {
		for f := range c.hits[x.layer].files {
			if r.whiteouts[x.upper].remove(f.path) {
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
			sums[f.sum] = true
		}
	}
	values := make([]any, 0, len(sums))
	for sum := range sums {
		values = append(values, []byte(sum))
	}
	return r.in(`SELECT low.image_id, low.position, low.layer_id, f.path, f.sha256 FROM file f
		CROSS JOIN image_layer low ON low.layer_id = f.artifact_id
		CROSS JOIN image_layer up ON up.image_id = low.image_id AND up.position > low.position
		CROSS JOIN file over ON over.artifact_id = up.layer_id AND over.path = f.path
		WHERE f.sha256 IN (%s) AND over.sha256 <> f.sha256`, values, func(rows *sql.Rows) error {
		var at place
		var layer int64
		var path string
		var sum []byte
		err := rows.Scan(&at.image, &at.position, &layer, &path, &sum)
		f := layerFile{path, string(sum)}
		if h := c.hits[layer]; h != nil && h.files[f] {
			lost.add(at, f)
		}
		return err
	})
}
