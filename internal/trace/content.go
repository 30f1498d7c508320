package trace

import (
	"database/sql"
	"io/fs"
	"path"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// maxCompared bounds the files of one release that are looked for in layers.
const maxCompared = 2000

// recognisable reports whether a release's file can be recognised in a layer: what a layer does not
// index must not count as missing from it. Of executables only
// those without a suffix count: archives made on some systems mark every file as executable.
func recognisable(name string, size int64, mode fs.FileMode) bool {
	if size < inside.MinDistinctive {
		return false
	}
	return evidence.IsSource(name) || evidence.IsLibrary(name) || path.Ext(name) == "" && mode&0o111 != 0
}

// fingerprint is what a release is recognised by.
type fingerprint struct {
	all []any // SHA-256 of every comparable file
	// distinctive are those that the fewest versions of the same package ship: with versions that
	// share most of their files, only these tell which one a layer holds.
	distinctive []any
	siblings    int // other versions that ship the rarest file too
}

// fingerprint reads the files of l. A file that other packages ship too still counts: otherwise
// anybody could make a release untraceable by publishing a copy of it.
func (r *reader) fingerprint(l release) (fingerprint, error) {
	var f fingerprint
	if l.artifact == 0 {
		return f, nil
	}
	shares, err := r.shares(l)
	if err != nil {
		return f, err
	}
	rarest := 0
	for _, n := range shares {
		if rarest == 0 || n < rarest {
			rarest = n
		}
	}
	f.siblings = max(rarest-1, 0)
	for sum, n := range shares {
		f.all = append(f.all, []byte(sum))
		if n == rarest {
			f.distinctive = append(f.distinctive, []byte(sum))
		}
	}
	return f, nil
}

// shares returns, for each comparable file of l, how many versions of its package ship it.
func (r *reader) shares(l release) (map[string]int, error) {
	shares, err := r.comparables(l)
	if err != nil || len(shares) == 0 {
		return shares, err
	}
	return shares, r.Each(`SELECT f.sha256, count(DISTINCT r.version) FROM release r JOIN file f ON f.artifact_id = r.artifact_id
		WHERE r.package_id = $1 GROUP BY f.sha256`, []any{l.packageID}, func(rows *sql.Rows) error {
		var sum sql.RawBytes
		var n int
		if err := rows.Scan(&sum, &n); err != nil {
			return err
		}
		if _, ours := shares[string(sum)]; ours {
			shares[string(sum)] = n
		}
		return nil
	})
}

// comparables returns the SHA-256 of each comparable file of l, as a map to 1.
func (r *reader) comparables(l release) (map[string]int, error) {
	sums := map[string]int{}
	err := r.Each(`SELECT path, size, mode, sha256 FROM file WHERE artifact_id IN (SELECT artifact_id FROM release
			WHERE package_id = $1 AND version = $2) ORDER BY path LIMIT $3`,
		[]any{l.packageID, l.version, maxCompared}, func(rows *sql.Rows) error {
			var name string
			var size, mode int64
			var sum []byte
			if err := rows.Scan(&name, &size, &mode, &sum); err != nil {
				return err
			}
			if recognisable(name, size, fs.FileMode(mode)) {
				sums[string(sum)] = 1
			}
			return nil
		})
	return sums, err
}

// contentHits finds the layers that hold any of the files that c is recognised by. Of the files in
// each it keeps one of every chunk, for large packages are in many layers.
func (r *reader) contentHits(c *containment) error {
	return r.In(`SELECT f.artifact_id, min(f.path), f.sha256 FROM file f JOIN layer l ON l.artifact_id = f.artifact_id
		WHERE f.sha256 IN (%s) GROUP BY f.artifact_id`, c.sought, func(rows *sql.Rows) error {
		var layer int64
		var path string
		var sum []byte
		if err := rows.Scan(&layer, &path, &sum); err != nil {
			return err
		}
		h := c.hit(layer)
		h.content = true
		h.files[inside.File{Path: path, Sum: string(sum)}] = true
		return nil
	})
}

// matches returns those of the files that the layer holds, each wherever it is.
func (r *reader) matches(layer int64, sums []any) ([]inside.File, error) {
	var out []inside.File
	for _, sum := range sums {
		paths, err := inside.List[string](r.Reader, `SELECT path FROM file WHERE sha256 = $1 AND artifact_id = $2`, sum, layer)
		if err != nil {
			return nil, err
		}
		for _, p := range paths {
			out = append(out, inside.File{Path: p, Sum: string(sum.([]byte))})
		}
	}
	return out, nil
}

// distinct counts the files, copies once.
func distinct(files []inside.File) int {
	sums := map[string]bool{}
	for _, f := range files {
		sums[f.Sum] = true
	}
	return len(sums)
}
