package inside

import (
	"database/sql"
	"path"
	"slices"
)

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

// LoadWhiteouts makes r.whiteouts hold what each of the layers deletes: nil for most.
func (r *Reader) LoadWhiteouts(layers []int64) error {
	var missing []any
	for _, id := range layers {
		if _, known := r.whiteouts[id]; !known {
			r.whiteouts[id] = nil
			missing = append(missing, id)
		}
	}
	return r.In(`SELECT layer_id, path, opaque FROM whiteout WHERE layer_id IN (%s)`, missing, func(rows *sql.Rows) error {
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

// Remaining returns the SHA-256 of those files of the layer at a position of an image that the
// finished image still has. A file is gone when an upper layer deletes it or has another one in its
// place; only files that a layer indexes are known to be in a place.
func (r *Reader) Remaining(image int64, position int, files []File) (map[string]bool, error) {
	uppers, err := List[int64](r, `SELECT layer_id FROM image_layer WHERE image_id = $1 AND position > $2`, image, position)
	if err != nil {
		return nil, err
	}
	if err := r.LoadWhiteouts(uppers); err != nil {
		return nil, err
	}
	replaced, err := r.replaced(image, position, files)
	if err != nil {
		return nil, err
	}
	left := map[string]bool{}
	for _, f := range files {
		if !replaced[f] && !r.removed(uppers, f) {
			left[f.Sum] = true
		}
	}
	return left, nil
}

func (r *Reader) removed(uppers []int64, f File) bool {
	return slices.ContainsFunc(uppers, func(id int64) bool { return r.Removes(id, f.Path) })
}

// Removes reports whether the layer, whose whiteouts are loaded, deletes the file at p in a lower one.
func (r *Reader) Removes(layer int64, p string) bool { return r.whiteouts[layer].remove(p) }

// replaced returns the files that layers above the position have another one in place of. One that
// is only written again, as chmod does, is as old as it was.
func (r *Reader) replaced(image int64, position int, files []File) (map[File]bool, error) {
	at := make(map[string]File, len(files))
	paths := make([]any, 0, len(files))
	for _, f := range files {
		at[f.Path] = f
		paths = append(paths, f.Path)
	}
	out := map[File]bool{}
	return out, r.In(`SELECT f.path, f.sha256 FROM image_layer up CROSS JOIN file f ON f.artifact_id = up.layer_id
		WHERE up.image_id = $1 AND up.position > $2 AND f.path IN (%s)`, paths, func(rows *sql.Rows) error {
		var p string
		var sum []byte
		err := rows.Scan(&p, &sum)
		if f := at[p]; f.Sum != string(sum) {
			out[f] = true
		}
		return err
	}, image, position)
}
