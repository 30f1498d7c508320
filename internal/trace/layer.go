package trace

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// group is a layer with the images that got the thing from it.
type group struct {
	hit    *hit
	images []copied
}

// copied is an image and the place in it of one copy of the thing.
type copied struct {
	*held
	at placed
}

// add counts an image once, also when it holds the layer twice.
func (g *group) add(c copied) {
	if n := len(g.images); n == 0 || g.images[n-1].held != c.held {
		g.images = append(g.images, c)
	}
}

// addLayers hangs the layers of c below n, the one in most images first, each with its images.
// Then come the images that removed it again, and the counts of what is not shown.
func (r *reader) addLayers(n *Node, c *containment) error {
	groups, removed := c.groups()
	for i, g := range groups {
		if i == r.limits.Layers {
			n.add(truncated(len(groups)-i, "layer"))
			break
		}
		child, err := r.layerNode(g, c)
		if err != nil {
			return err
		}
		n.add(child)
	}
	for i, h := range removed {
		if r.images >= r.limits.Images {
			n.add(truncated(len(removed)-i, "image"))
			break
		}
		child, err := r.heldNode(copied{h, h.introduced()}, KindRemoved)
		if err != nil {
			return err
		}
		n.add(child)
	}
	n.add(unreadable(c.unreadable, "image"))
	return nil
}

// groups sorts the readable images under the layers that brought them the thing.
func (c *containment) groups() (groups []*group, removed []*held) {
	byLayer := map[int64]*group{}
	for _, h := range c.images {
		if !h.readable {
			continue
		}
		if h.introduced().hidden {
			removed = append(removed, h)
			continue
		}
		for _, at := range h.places() {
			g := byLayer[at.hit.layer]
			if g == nil {
				g = &group{hit: at.hit}
				byLayer[at.hit.layer] = g
				groups = append(groups, g)
			}
			g.add(copied{h, at})
		}
	}
	for _, g := range groups {
		slices.SortFunc(g.images, func(a, b copied) int { return byImage(a.held, b.held) })
	}
	slices.SortFunc(removed, byImage)
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(len(b.images), len(a.images)), cmp.Compare(a.hit.layer, b.hit.layer))
	})
	return groups, removed
}

func byImage(a, b *held) int { return cmp.Compare(a.image, b.image) }

func (r *reader) layerNode(g *group, c *containment) (*Node, error) {
	n, err := r.layer(g.hit.layer)
	if err != nil {
		return nil, err
	}
	n.set("path", g.hit.path)
	if !c.exact {
		n.set("grounds", string(g.hit.grounds))
		n.Title += " by " + string(g.hit.grounds)
	}
	var files []inside.File
	if g.hit.content && len(c.files) > 0 {
		if files, err = r.addMatches(n, g.hit.layer, c); err != nil {
			return nil, err
		}
	}
	for i, h := range g.images {
		if r.images >= r.limits.Images {
			n.add(truncated(len(g.images)-i, "image"))
			break
		}
		child, err := r.heldNode(h, KindImage)
		if err != nil {
			return nil, err
		}
		if !c.exact {
			child.set("grounds", string(h.grounds()))
		}
		if err := r.addRemoved(child, h, files); err != nil {
			return nil, err
		}
		child.add(c.runs.nodes(h.image, r.limits.Releases)...)
		n.add(child)
	}
	return n, nil
}

// maxWeighed bounds the files of a layer that each of its images is asked for.
const maxWeighed = 200

// addRemoved says on an image's node how many of the layer's files upper layers took out again. Of
// a copy with very many files it does not say.
func (r *reader) addRemoved(n *Node, h copied, files []inside.File) error {
	if len(files) == 0 || len(files) > maxWeighed {
		return nil
	}
	left, err := r.Remaining(h.image, h.at.position, files)
	n.filesRemoved(distinct(files) - len(left))
	return err
}

func (n *Node) filesRemoved(count int) {
	if count > 0 {
		n.setInt("filesRemoved", count)
		n.Title += ", " + plural(count, "file") + " removed again by upper layers"
	}
}

func (r *reader) addMatches(n *Node, layer int64, c *containment) ([]inside.File, error) {
	files, err := r.matches(layer, c.files)
	if err != nil {
		return nil, err
	}
	found := distinct(files)
	n.setInt("filesMatched", found).setInt("filesCompared", len(c.files))
	n.Title += fmt.Sprintf(": %d of %s", found, plural(len(c.files), "file"))
	if c.also > 0 {
		n.setInt("versionsAlike", c.also)
		n.Title += ", as in " + plural(c.also, "other version")
	}
	return files, nil
}

// layer returns the bare node of a layer.
func (r *reader) layer(id int64) (*Node, error) {
	n := &Node{Kind: KindLayer}
	var incomplete string
	err := r.Each(`SELECT a.digest, a.incomplete, coalesce(l.components, 0), coalesce(l.files, 0), coalesce(l.analyser, '')
		FROM artifact a LEFT JOIN layer l ON l.artifact_id = a.id WHERE a.id = $1`, []any{id}, func(rows *sql.Rows) error {
		var components, files int
		var analyser string
		if err := rows.Scan(&n.ID, &incomplete, &components, &files, &analyser); err != nil {
			return err
		}
		n.setInt("components", components).setInt("files", files).set("analyser", analyser)
		return nil
	})
	if err != nil {
		return nil, err
	}
	n.Title = "layer " + short(n.ID)
	if n.Attributes["analyser"] == "" {
		n.add(gap("this layer has not been read"))
	}
	if incomplete != "" {
		n.add(gap("this layer was not read to its end: " + incomplete))
	}
	return n, r.restsOnContents(n)
}

// restsOnContents adds the statements that say what is inside n.
func (r *reader) restsOnContents(n *Node) error {
	seqs, err := inside.List[int64](r.Reader, `SELECT x.seq FROM statement_subject x JOIN statement s ON s.seq = x.seq
		WHERE x.subject = $1 AND s.predicate_type = $2 ORDER BY x.seq LIMIT 20`, evidence.SubjectKey(n.ID), evidence.ContentsType)
	n.rests(seqs...)
	return err
}

// heldNode returns the node of an image that has, or had, the thing from one of its layers.
func (r *reader) heldNode(h copied, kind Kind) (*Node, error) {
	n, err := r.imageNode(h.image)
	if err != nil {
		return nil, err
	}
	r.images++
	n.Kind = kind
	n.setInt("position", h.at.position)
	instruction, err := inside.One[string](r.Reader, `SELECT created_by FROM image_layer WHERE image_id = $1 AND position = $2`, h.image, h.at.position)
	n.set("instruction", instruction)
	if kind == KindRemoved {
		n.Title += ": removed by an upper layer"
	}
	return n, err
}

// fromLayer goes from a layer up to its images and down to the releases in it.
func (r *reader) fromLayer(id int64) (*Node, string, error) {
	c := newContainment()
	c.exact = true
	c.hit(id).content = true
	if err := r.place(c, 0); err != nil {
		return nil, "", err
	}
	if c.by[ByContent] == 0 {
		return nil, "", nil // in no image that the actor may read
	}
	root, err := r.layer(id)
	if err != nil {
		return nil, "", err
	}
	holds, err := r.Inside([]int64{id})
	if err != nil {
		return nil, "", err
	}
	if err := r.addInside(root, holds[id]); err != nil {
		return nil, "", err
	}
	groups, _ := c.groups()
	for i, h := range groups[0].images {
		if r.images >= r.limits.Images {
			root.add(truncated(len(groups[0].images)-i, "image"))
			break
		}
		child, err := r.heldNode(h, KindImage)
		if err != nil {
			return nil, "", err
		}
		root.add(child)
	}
	root.add(unreadable(c.unreadable, "image"))
	return root, c.sentence() + ", holds " + sentenceOf(holds[id]), nil
}
