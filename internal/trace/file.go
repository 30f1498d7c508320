package trace

import (
	"cmp"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// maxSightings bounds the archives and layers that one file is followed into.
const maxSightings = 20000

// fromFile goes from a file's SHA-256 to the releases that ship it and the layers that hold it.
func (r *reader) fromFile(d digest.Digest) (*Node, string, error) {
	sum, err := hex.DecodeString(d.Hex())
	if err != nil || d.Algorithm() != digest.SHA256 {
		return nil, "", err
	}
	all, err := r.releases(`WHERE r.artifact_id IN (SELECT artifact_id FROM file WHERE sha256 = $1) ORDER BY r.seq LIMIT $2`,
		sum, maxSightings)
	if err != nil {
		return nil, "", err
	}
	seen, hidden, err := r.visible(all)
	if err != nil {
		return nil, "", err
	}
	c, err := r.fileLayers(sum)
	if err != nil || len(seen) == 0 && c.by[ByContent]+c.removed == 0 {
		return nil, "", err
	}
	root := &Node{Kind: KindFile, ID: string(d)}
	if root.Title, err = r.fileTitle(sum, seen, c); err != nil {
		return nil, "", err
	}
	for i, l := range seen {
		if i == r.limits.Releases {
			root.add(truncated(len(seen)-i, "release"))
			break
		}
		n := l.node()
		if err := r.addHistory(n, l); err != nil {
			return nil, "", err
		}
		root.add(n)
	}
	if len(seen) == 0 {
		root.add(gap("no release published here ships this file"))
	}
	root.add(unreadable(hidden, "release"))
	summary := fmt.Sprintf("shipped by %s, %s", plural(len(seen), "release"), c.sentence())
	return root, summary, r.addLayers(root, c)
}

func (r *reader) fileLayers(sum []byte) (*containment, error) {
	c := newContainment()
	c.exact, c.sought = true, []any{sum}
	err := r.Each(`SELECT f.artifact_id, min(f.path) FROM file f JOIN layer l ON l.artifact_id = f.artifact_id
		WHERE f.sha256 = $1 GROUP BY f.artifact_id ORDER BY f.artifact_id LIMIT $2`, []any{sum, maxSightings}, func(rows *sql.Rows) error {
		var layer int64
		var path string
		err := rows.Scan(&layer, &path)
		h := c.hit(layer)
		h.content, h.path = true, path
		h.files[inside.File{Path: path, Sum: string(sum)}] = true
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, r.place(c, 0)
}

// fileTitle names the file as something readable calls it: a release first, then the layer with
// the smallest id.
func (r *reader) fileTitle(sum []byte, seen []release, c *containment) (string, error) {
	if len(seen) > 0 {
		return inside.One[string](r.Reader, `SELECT min(path) FROM file WHERE sha256 = $1 AND artifact_id = $2`, sum, seen[0].artifact)
	}
	groups, removed := c.groups()
	if len(groups) == 0 {
		return removed[0].introduced().hit.path, nil
	}
	first := slices.MinFunc(groups, func(a, b *group) int { return cmp.Compare(a.hit.layer, b.hit.layer) })
	return first.hit.path, nil
}
