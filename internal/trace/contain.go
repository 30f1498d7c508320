package trace

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// hit is a layer that holds the thing that is looked for.
type hit struct {
	layer    int64
	path     string // the file that declares it, or one that is it
	grounds  Grounds
	metadata bool
	content  bool
	// files are some that it was recognised by; none when the layer itself is looked for.
	files map[inside.File]bool
}

func (h *hit) settle() { h.grounds = inside.On(h.metadata, h.content) }

// placed is a hit's layer at its place in one image.
type placed struct {
	hit      *hit
	position int
	hidden   bool // an upper layer of this image took it out
	// content is whether any of the files are left; metadata may still name what has none.
	content bool
}

// lose takes note that none of the files is left.
func (p *placed) lose(all bool) {
	if all {
		p.content = false
		p.hidden = p.hidden || !p.hit.metadata
	}
}

// held is an image that has at least one of the layers.
type held struct {
	image    int64
	readable bool
	layers   []placed
}

// introduced returns where the image got it: the lowest layer that still shows it, else the
// lowest that had it, which an upper one removed.
func (h *held) introduced() placed {
	slices.SortFunc(h.layers, func(a, b placed) int { return cmp.Compare(a.position, b.position) })
	for _, p := range h.layers {
		if !p.hidden {
			return p
		}
	}
	return h.layers[0]
}

// places returns the layer that introduced it and every later one that brought a copy of its own:
// who removes the first copy still ships the others. What only lists it again, as a package
// database does, is no place.
func (h *held) places() []placed {
	first := h.introduced()
	out := []placed{first}
	for _, p := range h.layers {
		if !p.hidden && p.content && p.position != first.position {
			out = append(out, p)
		}
	}
	return out
}

// grounds joins those of every layer that still shows it.
func (h *held) grounds() Grounds {
	var all hit
	for _, p := range h.layers {
		if !p.hidden {
			all.metadata = all.metadata || p.hit.metadata
			all.content = all.content || p.content
		}
	}
	all.settle()
	return all.grounds
}

// containment is everywhere that one thing is, or was.
type containment struct {
	files  []any // SHA-256 of the comparable files, to count matches in the layers that are shown
	sought []any // SHA-256 of the files that layers are recognised by
	also   int   // other versions that cannot be told apart by content
	hits   map[int64]*hit
	images map[int64]*held
	exact  bool // grounds do not matter: a file is where it is

	runs *runs // where the images run; nil when no agent has said anything

	by         map[Grounds]int
	removed    int
	unreadable int
}

func newContainment() *containment {
	return &containment{hits: map[int64]*hit{}, images: map[int64]*held{}, by: map[Grounds]int{}}
}

func (c *containment) empty() bool { return len(c.images) == 0 }

func (c *containment) hit(layer int64) *hit {
	h := c.hits[layer]
	if h == nil {
		h = &hit{layer: layer, files: map[inside.File]bool{}}
		c.hits[layer] = h
	}
	return h
}

// contain looks for a purl by metadata and, when l was published here, for l by content.
func (r *reader) contain(p string, l release) (*containment, error) {
	c := newContainment()
	component, err := inside.One[int64](r.Reader, `SELECT id FROM component WHERE purl = $1`, p)
	if err != nil {
		return nil, err
	}
	if err := r.metadataHits(c, component); err != nil {
		return nil, err
	}
	f, err := r.fingerprint(l)
	if err != nil {
		return nil, err
	}
	c.files, c.sought, c.also = f.all, f.distinctive, f.siblings
	if err := r.contentHits(c); err != nil {
		return nil, err
	}
	if err := r.place(c, component); err != nil {
		return nil, err
	}
	c.runs, err = r.runsOf(c, p)
	return c, err
}

func (r *reader) metadataHits(c *containment, component int64) error {
	if component == 0 {
		return nil
	}
	return r.Each(`SELECT c.artifact_id, min(c.path) FROM artifact_component c JOIN layer l ON l.artifact_id = c.artifact_id
		WHERE c.component_id = $1 GROUP BY c.artifact_id`, []any{component}, func(rows *sql.Rows) error {
		var layer int64
		var path string
		if err := rows.Scan(&layer, &path); err != nil {
			return err
		}
		h := c.hit(layer)
		h.metadata, h.path = true, path
		return nil
	})
}

// place finds the images of c's layers and counts them.
func (r *reader) place(c *containment, component int64) error {
	hidden, err := r.hidden(component)
	if err != nil {
		return err
	}
	ids := make([]any, 0, len(c.hits))
	for id, h := range c.hits {
		h.settle()
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b any) int { return cmp.Compare(a.(int64), b.(int64)) })
	err = r.In(`SELECT layer_id, image_id, position FROM image_layer WHERE layer_id IN (%s)`, ids, func(rows *sql.Rows) error {
		var layer, image int64
		var position int
		if err := rows.Scan(&layer, &image, &position); err != nil {
			return err
		}
		h := c.images[image]
		if h == nil {
			h = &held{image: image}
			c.images[image] = h
		}
		p := placed{hit: c.hits[layer], position: position, hidden: hidden[place{image, position}]}
		p.content = p.hit.content
		h.layers = append(h.layers, p)
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.lose(c); err != nil {
		return err
	}
	if err := r.markReadable(c.images); err != nil {
		return err
	}
	c.count()
	return nil
}

type place struct {
	image    int64
	position int
}

// hidden returns where upper layers removed the component.
func (r *reader) hidden(component int64) (map[place]bool, error) {
	out := map[place]bool{}
	if component == 0 {
		return out, nil
	}
	err := r.Each(`SELECT image_id, position FROM hidden_component WHERE component_id = $1`, []any{component}, func(rows *sql.Rows) error {
		var p place
		err := rows.Scan(&p.image, &p.position)
		out[p] = true
		return err
	})
	return out, err
}

// markReadable asks, for every image, whether the actor may read a repository that has it. An
// image in no repository has nobody who may.
func (r *reader) markReadable(images map[int64]*held) error {
	packages := map[int64][]int64{} // images by repository
	ids := make([]any, 0, len(images))
	for id := range images {
		ids = append(ids, id)
	}
	err := r.In(`SELECT artifact_id, package_id FROM release WHERE artifact_id IN (%s)`, ids, func(rows *sql.Rows) error {
		var image, pkg int64
		err := rows.Scan(&image, &pkg)
		packages[pkg] = append(packages[pkg], image)
		return err
	})
	if err != nil {
		return err
	}
	names, err := r.packageNames(packages)
	if err != nil {
		return err
	}
	for pkg, name := range names {
		ok, err := r.mayRead(name.ecosystem, name.name)
		if err != nil {
			return err
		}
		for _, image := range packages[pkg] {
			images[image].readable = images[image].readable || ok
		}
	}
	return nil
}

func (r *reader) packageNames(packages map[int64][]int64) (map[int64]nameKey, error) {
	ids := make([]any, 0, len(packages))
	for id := range packages {
		ids = append(ids, id)
	}
	names := make(map[int64]nameKey, len(ids))
	err := r.In(`SELECT id, ecosystem, name FROM package WHERE id IN (%s)`, ids, func(rows *sql.Rows) error {
		var id int64
		var k nameKey
		err := rows.Scan(&id, &k.ecosystem, &k.name)
		names[id] = k
		return err
	})
	return names, err
}

func (c *containment) count() {
	for _, h := range c.images {
		switch {
		case !h.readable:
			c.unreadable++
		case h.introduced().hidden:
			c.removed++
		default:
			c.by[h.grounds()]++
		}
	}
}

// join adds what another release found; an image that holds both counts once.
func (c *containment) join(other *containment) {
	for id, h := range other.images {
		have := c.images[id]
		if have == nil {
			have = &held{image: id, readable: h.readable}
			c.images[id] = have
		}
		have.layers = append(have.layers, h.layers...)
	}
	c.runs = c.runs.join(other.runs)
	c.by, c.removed, c.unreadable = map[Grounds]int{}, 0, 0
	c.count()
}

// sentence is the part of a summary that counts images. Its grammar is fixed: programs may match
// it, though the tree is made for them.
func (c *containment) sentence() string {
	total := c.by[ByMetadata] + c.by[ByContent] + c.by[ByBoth]
	var parts []string
	for _, g := range []Grounds{ByMetadata, ByContent, ByBoth} {
		if n := c.by[g]; n > 0 && !c.exact {
			parts = append(parts, fmt.Sprintf("%d by %s", n, g))
		}
	}
	s := "contained in " + plural(total, "image")
	if len(parts) > 0 {
		s += " (" + strings.Join(parts, ", ") + ")"
	}
	if c.removed > 0 {
		s += ", removed again in " + plural(c.removed, "image")
	}
	if c.unreadable > 0 {
		s += ", " + plural(c.unreadable, "image") + " in namespaces you may not read"
	}
	return s + c.runs.sentence()
}
