package inside

import (
	"database/sql"
	"maps"
	"slices"
)

// MinDistinctive is the size in bytes below which a file proves nothing: "module.exports = {}"
// and empty __init__.py are everywhere.
const MinDistinctive = 64

// Grounds is why something is held to be in a layer.
type Grounds string

// The grounds.
const (
	ByMetadata Grounds = "metadata"
	ByContent  Grounds = "content"
	ByBoth     Grounds = "both"
)

// On returns the grounds that metadata, content or both are.
func On(metadata, content bool) Grounds {
	switch {
	case metadata && content:
		return ByBoth
	case content:
		return ByContent
	}
	return ByMetadata
}

// Item is a release or component that a layer holds.
type Item struct {
	PURL     string
	Release  int64 // id; 0: not published here
	Metadata bool
	Path     string          // of the file that declares it; empty when none does
	Files    map[string]bool // SHA-256 of the release's files that are there
	Gone     int             // files that upper layers of the image took out
}

// Grounds says why the layer is held to have it.
func (i *Item) Grounds() Grounds { return On(i.Metadata, len(i.Files) > 0) }

// File is a file of a layer that was recognised by its content.
type File struct{ Path, Sum string }

// Content is what layers hold.
type Content struct {
	Components map[int64]*Item  // by component
	Releases   map[int64]*Item  // by release: those published here
	Files      map[File]bool    // that releases ship too
	Removed    map[string]int64 // what an upper layer of the image took out: release by purl, 0 for none
}

// NewContent returns the content of nothing.
func NewContent() *Content {
	return &Content{Components: map[int64]*Item{}, Releases: map[int64]*Item{}, Files: map[File]bool{}, Removed: map[string]int64{}}
}

// Inside returns what each layer holds, by metadata and by content.
func (r *Reader) Inside(layers []int64) (map[int64]*Content, error) {
	out := map[int64]*Content{}
	ids := make([]any, len(layers))
	for i, id := range layers {
		ids[i] = id
		out[id] = NewContent()
	}
	if err := r.insideMetadata(ids, out); err != nil {
		return nil, err
	}
	return out, r.insideContent(ids, out)
}

// firstFile is the id that stands for all files of the version that r is of.
const firstFile = `CASE WHEN r.file = '' THEN r.id ELSE (SELECT min(o.id) FROM release o
	WHERE o.package_id = r.package_id AND o.version = r.version AND o.mirrored = r.mirrored) END`

func (r *Reader) insideMetadata(ids []any, out map[int64]*Content) error {
	return r.In(`SELECT ac.artifact_id, c.id, c.purl, ac.path, coalesce(`+firstFile+`, 0) FROM artifact_component ac
		JOIN component c ON c.id = ac.component_id LEFT JOIN release r ON r.purl = c.purl AND r.seq < $1 WHERE ac.artifact_id IN (%s)`,
		ids, func(rows *sql.Rows) error {
			var layer, component int64
			i := &Item{Metadata: true, Files: map[string]bool{}}
			if err := rows.Scan(&layer, &component, &i.PURL, &i.Path, &i.Release); err != nil {
				return err
			}
			if before := out[layer].Components[component]; before != nil {
				i.Path = min(i.Path, before.Path)
			}
			out[layer].Components[component] = i
			if i.Release != 0 {
				out[layer].Releases[i.Release] = i
			}
			return nil
		}, r.Head)
}

// match is a layer's file that a release ships too.
type match struct {
	layer, release, pkg int64
	path, sum           string
}

func (r *Reader) insideContent(ids []any, out map[int64]*Content) error {
	versions := map[[2]int64]map[int64]*Item{} // by layer and package, then release
	err := r.In(`SELECT lf.artifact_id, lf.path, lf.size, lf.mode, lf.sha256, `+firstFile+`, r.package_id, r.purl
		FROM file lf JOIN file rf ON rf.sha256 = lf.sha256 JOIN release r ON r.artifact_id = rf.artifact_id AND r.seq < $1
		WHERE lf.artifact_id IN (%s)`, ids, func(rows *sql.Rows) error {
		m, purl, ok, err := scanMatch(rows)
		if err != nil || !ok {
			return err
		}
		key := [2]int64{m.layer, m.pkg}
		if versions[key] == nil {
			versions[key] = map[int64]*Item{}
		}
		i := versions[key][m.release]
		if i == nil {
			i = &Item{PURL: purl, Release: m.release, Files: map[string]bool{}}
			versions[key][m.release] = i
		}
		i.Files[m.sum] = true
		out[m.layer].Files[File{m.path, m.sum}] = true
		return nil
	}, r.Head)
	if err != nil {
		return err
	}
	for key, candidates := range versions {
		out[key[0]].take(candidates)
	}
	return nil
}

func scanMatch(rows *sql.Rows) (m match, purl string, ok bool, err error) {
	var size, mode int64
	var sum []byte
	err = rows.Scan(&m.layer, &m.path, &size, &mode, &sum, &m.release, &m.pkg, &purl)
	m.sum = string(sum)
	return m, purl, size >= MinDistinctive, err
}

// take keeps, of the versions of one package that share files with the layer, those that explain
// the most: a version whose matching files another one has too, and more, is not what is there.
// Metadata decides between versions that files cannot tell apart.
func (c *Content) take(versions map[int64]*Item) {
	for id, v := range versions {
		if have := c.Releases[id]; have != nil {
			have.Files = v.Files
			continue
		}
		if !c.explained(v, versions) {
			c.Releases[id] = v
		}
	}
}

func (c *Content) explained(v *Item, versions map[int64]*Item) bool {
	for id, w := range versions {
		named := c.Releases[id] != nil && c.Releases[id].Metadata
		if id != v.Release && subset(v.Files, w.Files) && (named || len(w.Files) > len(v.Files)) {
			return true
		}
	}
	return false
}

func subset(a, b map[string]bool) bool {
	if len(a) > len(b) {
		return false
	}
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return true
}

// Hide returns what is left of each layer in the stack when upper layers of the image have removed
// what they do. A layer may be in an image twice, and be hidden once.
func (r *Reader) Hide(image int64, stack []int64, inside map[int64]*Content) ([]*Content, error) {
	out := make([]*Content, len(stack))
	for position, id := range stack {
		out[position] = inside[id].clone()
	}
	if err := r.hideComponents(image, out); err != nil {
		return nil, err
	}
	for position, c := range out {
		left, err := r.Remaining(image, position, slices.Collect(maps.Keys(c.Files)))
		if err != nil {
			return nil, err
		}
		c.keep(left)
	}
	return out, nil
}

func (c *Content) clone() *Content {
	return &Content{
		Components: maps.Clone(c.Components), Releases: maps.Clone(c.Releases),
		Files: c.Files, Removed: maps.Clone(c.Removed),
	}
}

// keep takes the files that are not left out of the releases that ship them. A release of which
// none is left, and that nothing else names, was removed.
func (c *Content) keep(left map[string]bool) {
	for id, i := range c.Releases {
		some := *i
		some.Files = map[string]bool{}
		for sum := range i.Files {
			if left[sum] {
				some.Files[sum] = true
			}
		}
		if some.Gone = len(i.Files) - len(some.Files); some.Gone == 0 {
			continue
		}
		c.Releases[id] = &some
		if len(some.Files) == 0 && !i.Metadata {
			c.Removed[i.PURL] = id
			delete(c.Releases, id)
		}
	}
}

// hideComponents takes out of each layer of the stack the components that upper layers removed.
func (r *Reader) hideComponents(image int64, stack []*Content) error {
	return r.Each(`SELECT h.position, h.component_id, c.purl FROM hidden_component h JOIN component c ON c.id = h.component_id
		WHERE h.image_id = $1`, []any{image}, func(rows *sql.Rows) error {
		var position int
		var component int64
		var purl string
		if err := rows.Scan(&position, &component, &purl); err != nil {
			return err
		}
		if position >= len(stack) {
			return nil
		}
		c := stack[position]
		c.Removed[purl] = 0
		if i := c.Components[component]; i != nil {
			c.Removed[purl] = i.Release
			delete(c.Releases, i.Release)
			delete(c.Components, component)
		}
		return nil
	})
}

// Without returns what c brought to what lower layers hold, sum: a package database lists again
// what they brought, but files are a copy of their own.
func (c *Content) Without(sum *Content) *Content {
	out := NewContent()
	for id, i := range c.Components {
		if sum.Components[id] == nil {
			out.Components[id] = i
		}
	}
	for id, i := range c.Releases {
		if sum.Releases[id] == nil || len(i.Files) > 0 {
			out.Releases[id] = i
		}
	}
	out.Removed = c.Removed
	return out
}

// Join adds what other holds, a copy of a release to the copy before.
func (c *Content) Join(other *Content) {
	maps.Copy(c.Components, other.Components)
	for id, i := range other.Releases {
		c.Releases[id] = i.and(c.Releases[id])
	}
}

// and joins the grounds of two copies of one release; before may be nil.
func (i *Item) and(before *Item) *Item {
	if before == nil {
		return i
	}
	both := *i
	both.Metadata = i.Metadata || before.Metadata
	if len(before.Files) > len(i.Files) {
		both.Files = before.Files
	}
	return &both
}
