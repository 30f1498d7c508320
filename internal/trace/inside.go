package trace

import (
	"cmp"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// unpublished counts the components that were not published here, by purl type.
func unpublished(c *inside.Content) (total int, byType map[string]int) {
	byType = map[string]int{}
	for _, i := range c.Components {
		if i.Release == 0 {
			kind, _, _ := strings.Cut(strings.TrimPrefix(i.PURL, "pkg:"), "/")
			byType[kind]++
			total++
		}
	}
	return total, byType
}

func sentenceOf(c *inside.Content) string {
	by := map[Grounds]int{}
	for _, i := range c.Releases {
		by[i.Grounds()]++
	}
	var parts []string
	for _, g := range []Grounds{ByMetadata, ByContent, ByBoth} {
		if by[g] > 0 {
			parts = append(parts, fmt.Sprintf("%d by %s", by[g], g))
		}
	}
	s := plural(len(c.Releases), "release") + " published here"
	if len(parts) > 0 {
		s += " (" + strings.Join(parts, ", ") + ")"
	}
	if n, _ := unpublished(c); n > 0 {
		s += " and " + plural(n, "component") + " from elsewhere"
	}
	return s
}

// addInside hangs the releases in c below n, each with its publication, then the gap that the
// other components are, then what was removed.
func (r *reader) addInside(n *Node, c *inside.Content) error {
	seen, hidden, err := r.readableOf(slices.Collect(maps.Keys(c.Releases)))
	if err != nil {
		return err
	}
	for i, l := range seen {
		if i == r.limits.Releases {
			n.add(truncated(len(seen)-i, "release"))
			break
		}
		child, err := r.insideNode(l, c.Releases[l.id])
		if err != nil {
			return err
		}
		n.add(child)
	}
	removed, err := r.removedNode(c)
	n.add(unreadable(hidden, "release"), foreignNode(c), removed)
	return err
}

// readableOf returns the releases that the actor may read, by purl, and the number of the others.
func (r *reader) readableOf(ids []int64) (seen []release, hidden int, err error) {
	values := make([]any, len(ids))
	for i, id := range ids {
		values[i] = id
	}
	var all []release
	err = r.In(`SELECT `+releaseColumns+releaseJoins+`WHERE r.id IN (%s)`, values, func(rows *sql.Rows) error {
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

func (r *reader) insideNode(l release, i *inside.Item) (*Node, error) {
	n := l.node()
	n.set("grounds", string(i.Grounds()))
	n.Title += " by " + string(i.Grounds())
	if len(i.Files) > 0 {
		shares, err := r.comparables(l)
		if err != nil {
			return nil, err
		}
		found := len(i.Files) + i.Gone
		n.setInt("filesMatched", found).setInt("filesCompared", len(shares))
		n.Title += fmt.Sprintf(": %d of %s", found, plural(len(shares), "file"))
	}
	n.filesRemoved(i.Gone)
	return n, r.addHistory(n, l)
}

func foreignNode(c *inside.Content) *Node {
	total, byType := unpublished(c)
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
func (r *reader) removedNode(c *inside.Content) (*Node, error) {
	var purls []string
	var published []int64
	for purl, id := range c.Removed {
		if id != 0 {
			published = append(published, id)
		} else {
			purls = append(purls, purl)
		}
	}
	seen, hidden, err := r.readableOf(published)
	if err != nil || len(c.Removed) == 0 {
		return nil, err
	}
	for _, l := range seen {
		purls = append(purls, l.purl)
	}
	slices.Sort(purls)
	n := &Node{Kind: KindRemoved, Title: plural(len(c.Removed), "component") + " removed again by upper layers"}
	for i, purl := range slices.Compact(purls) {
		if i == r.limits.Releases {
			n.add(truncated(len(purls)-i, "component"))
			break
		}
		n.add(&Node{Kind: KindRemoved, ID: purl, Title: purl})
	}
	n.add(unreadable(hidden, "component"))
	return n.setInt("count", len(c.Removed)), nil
}
