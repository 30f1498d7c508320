package trace

import (
	"cmp"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// item is a release or component that a layer holds.
type item struct {
	purl     string
	release  int64 // 0: not published here
	metadata bool
	files    map[string]bool // SHA-256 of the release's files that are there
	gone     int             // files that upper layers of the image took out
}

func (i *item) grounds() Grounds {
	h := hit{metadata: i.metadata, content: len(i.files) > 0}
	h.settle()
	return h.grounds
}

// content is what layers hold.
type content struct {
	components map[int64]*item    // by component
	releases   map[int64]*item    // by release: those published here
	files      map[layerFile]bool // that releases ship too
	removed    map[string]int64   // what an upper layer of the image took out: release by purl, 0 for none
}

func newContent() *content {
	return &content{components: map[int64]*item{}, releases: map[int64]*item{}, files: map[layerFile]bool{}, removed: map[string]int64{}}
}

// inside returns what each layer holds, by metadata and by content.
func (r *reader) inside(layers []int64) (map[int64]*content, error) {
	out := map[int64]*content{}
	ids := make([]any, len(layers))
	for i, id := range layers {
		ids[i] = id
		out[id] = newContent()
	}
	if err := r.insideMetadata(ids, out); err != nil {
		return nil, err
	}
	return out, r.insideContent(ids, out)
}

func (r *reader) insideMetadata(ids []any, out map[int64]*content) error {
	return r.in(`SELECT ac.artifact_id, c.id, c.purl, coalesce(r.id, 0) FROM artifact_component ac
		JOIN component c ON c.id = ac.component_id LEFT JOIN release r ON r.purl = c.purl WHERE ac.artifact_id IN (%s)`,
		ids, func(rows *sql.Rows) error {
			var layer, component int64
			i := &item{metadata: true, files: map[string]bool{}}
			if err := rows.Scan(&layer, &component, &i.purl, &i.release); err != nil {
				return err
			}
			out[layer].components[component] = i
			if i.release != 0 {
				out[layer].releases[i.release] = i
			}
			return nil
		})
}

// match is a layer's file that a release ships too.
type match struct {
	layer, release, pkg int64
	path, sum           string
}

func (r *reader) insideContent(ids []any, out map[int64]*content) error {
	versions := map[[2]int64]map[int64]*item{} // by layer and package, then release
	err := r.in(`SELECT lf.artifact_id, lf.path, lf.size, lf.mode, lf.sha256, rl.id, rl.package_id, rl.purl
		FROM file lf JOIN file rf ON rf.sha256 = lf.sha256 JOIN release rl ON rl.artifact_id = rf.artifact_id
		WHERE lf.artifact_id IN (%s)`, ids, func(rows *sql.Rows) error {
		m, purl, ok, err := scanMatch(rows)
		if err != nil || !ok {
			return err
		}
		key := [2]int64{m.layer, m.pkg}
		if versions[key] == nil {
			versions[key] = map[int64]*item{}
		}
		i := versions[key][m.release]
		if i == nil {
			i = &item{purl: purl, release: m.release, files: map[string]bool{}}
			versions[key][m.release] = i
		}
		i.files[m.sum] = true
		out[m.layer].files[layerFile{m.path, m.sum}] = true
		return nil
	})
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
	return m, purl, size >= minDistinctive, err
}

// take keeps, of the versions of one package that share files with the layer, those that explain
// the most: a version whose matching files another one has too, and more, is not what is there.
// Metadata decides between versions that files cannot tell apart.
func (c *content) take(versions map[int64]*item) {
	for id, v := range versions {
		if have := c.releases[id]; have != nil {
			have.files = v.files
			continue
		}
		if !c.explained(v, versions) {
			c.releases[id] = v
		}
	}
}

func (c *content) explained(v *item, versions map[int64]*item) bool {
	for id, w := range versions {
		named := c.releases[id] != nil && c.releases[id].metadata
		if id != v.release && subset(v.files, w.files) && (named || len(w.files) > len(v.files)) {
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

// hide returns what is left of each layer in the stack when upper layers of the image have removed
// what they do. A layer may be in an image twice, and be hidden once.
func (r *reader) hide(image int64, stack []int64, inside map[int64]*content) ([]*content, error) {
	out := make([]*content, len(stack))
	for position, id := range stack {
		out[position] = inside[id].clone()
	}
	if err := r.hideComponents(image, out); err != nil {
		return nil, err
	}
	for position, c := range out {
		left, err := r.remaining(image, position, slices.Collect(maps.Keys(c.files)))
		if err != nil {
			return nil, err
		}
		c.keep(left)
	}
	return out, nil
}

func (c *content) clone() *content {
	return &content{
		components: maps.Clone(c.components), releases: maps.Clone(c.releases),
		files: c.files, removed: maps.Clone(c.removed),
	}
}

// keep takes the files that are not left out of the releases that ship them. A release of which
// none is left, and that nothing else names, was removed.
func (c *content) keep(left map[string]bool) {
	for id, i := range c.releases {
		some := *i
		some.files = map[string]bool{}
		for sum := range i.files {
			if left[sum] {
				some.files[sum] = true
			}
		}
		if some.gone = len(i.files) - len(some.files); some.gone == 0 {
			continue
		}
		c.releases[id] = &some
		if len(some.files) == 0 && !i.metadata {
			c.removed[i.purl] = id
			delete(c.releases, id)
		}
	}
}

// hideComponents takes out of each layer of the stack the components that upper layers removed.
func (r *reader) hideComponents(image int64, stack []*content) error {
	return r.each(`SELECT h.position, h.component_id, c.purl FROM hidden_component h JOIN component c ON c.id = h.component_id
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
		c.removed[purl] = 0
		if i := c.components[component]; i != nil {
			c.removed[purl] = i.release
			delete(c.releases, i.release)
			delete(c.components, component)
		}
		return nil
	})
}

// without returns what c brought to what lower layers hold, sum: a package database lists again
// what they brought, but files are a copy of their own.
func (c *content) without(sum *content) *content {
	out := newContent()
	for id, i := range c.components {
		if sum.components[id] == nil {
			out.components[id] = i
		}
	}
	for id, i := range c.releases {
		if sum.releases[id] == nil || len(i.files) > 0 {
			out.releases[id] = i
		}
	}
	out.removed = c.removed
	return out
}

func (c *content) join(other *content) {
	maps.Copy(c.components, other.components)
	for id, i := range other.releases {
		c.releases[id] = i.and(c.releases[id])
	}
}

// and joins the grounds of two copies of one release; before may be nil.
func (i *item) and(before *item) *item {
	if before == nil {
		return i
	}
	both := *i
	both.metadata = i.metadata || before.metadata
	if len(before.files) > len(i.files) {
		both.files = before.files
	}
	return &both
}

// foreign counts the components that were not published here, by purl type.
func (c *content) foreign() (total int, byType map[string]int) {
	byType = map[string]int{}
	for _, i := range c.components {
		if i.release == 0 {
			kind, _, _ := strings.Cut(strings.TrimPrefix(i.purl, "pkg:"), "/")
			byType[kind]++
			total++
		}
	}
	return total, byType
}

func (c *content) sentence() string {
	by := map[Grounds]int{}
	for _, i := range c.releases {
		by[i.grounds()]++
	}
	var parts []string
	for _, g := range []Grounds{ByMetadata, ByContent, ByBoth} {
		if by[g] > 0 {
			parts = append(parts, fmt.Sprintf("%d by %s", by[g], g))
		}
	}
	s := plural(len(c.releases), "release") + " published here"
	if len(parts) > 0 {
		s += " (" + strings.Join(parts, ", ") + ")"
	}
	if n, _ := c.foreign(); n > 0 {
		s += " and " + plural(n, "component") + " from elsewhere"
	}
	return s
}

// addInside hangs the releases in c below n, each with its publication, then the gap that the
// other components are, then what was removed.
func (r *reader) addInside(n *Node, c *content) error {
	seen, hidden, err := r.readableOf(slices.Collect(maps.Keys(c.releases)))
	if err != nil {
		return err
	}
	for i, l := range seen {
		if i == r.limits.Releases {
			n.add(truncated(len(seen)-i, "release"))
			break
		}
		child, err := r.insideNode(l, c.releases[l.id])
		if err != nil {
			return err
		}
		n.add(child)
	}
	removed, err := r.removedNode(c)
	n.add(unreadable(hidden, "release"), c.foreignNode(), removed)
	return err
}

// readableOf returns the releases that the actor may read, by purl, and the number of the others.
func (r *reader) readableOf(ids []int64) (seen []release, hidden int, err error) {
	values := make([]any, len(ids))
	for i, id := range ids {
		values[i] = id
	}
	var all []release
	err = r.in(`SELECT `+releaseColumns+releaseJoins+`WHERE r.id IN (%s)`, values, func(rows *sql.Rows) error {
		l, err := scanRelease(rows)
		all = append(all, l)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(all, func(a, b release) int { return cmp.Or(cmp.Compare(a.purl, b.purl), cmp.Compare(a.id, b.id)) })
	return r.visible(all)
}

func (r *reader) insideNode(l release, i *item) (*Node, error) {
	n := l.node()
	n.set("grounds", string(i.grounds()))
	n.Title += " by " + string(i.grounds())
	if len(i.files) > 0 {
		shares, err := r.comparables(l)
		if err != nil {
			return nil, err
		}
		found := len(i.files) + i.gone
		n.setInt("filesMatched", found).setInt("filesCompared", len(shares))
		n.Title += fmt.Sprintf(": %d of %s", found, plural(len(shares), "file"))
	}
	n.filesRemoved(i.gone)
	return n, r.addHistory(n, l)
}

func (c *content) foreignNode() *Node {
	total, byType := c.foreign()
	if total == 0 {
		return nil
	}
	n := gap(plural(total, "component")+": "+notPublished).setInt("count", total)
	for kind, count := range byType {
		n.setInt(kind, count)
	}
	return n
}

// removedNode names what an upper layer removed, except releases that the actor may not read.
func (r *reader) removedNode(c *content) (*Node, error) {
	var purls []string
	var published []int64
	for purl, id := range c.removed {
		if id != 0 {
			published = append(published, id)
		} else {
			purls = append(purls, purl)
		}
	}
	seen, hidden, err := r.readableOf(published)
	if err != nil || len(c.removed) == 0 {
		return nil, err
	}
	for _, l := range seen {
		purls = append(purls, l.purl)
	}
	slices.Sort(purls)
	n := &Node{Kind: KindRemoved, Title: plural(len(c.removed), "component") + " removed again by upper layers"}
	for i, purl := range slices.Compact(purls) {
		if i == r.limits.Releases {
			n.add(truncated(len(purls)-i, "component"))
			break
		}
		n.add(&Node{Kind: KindRemoved, ID: purl, Title: purl})
	}
	n.add(unreadable(hidden, "component"))
	return n.setInt("count", len(c.removed)), nil
}
