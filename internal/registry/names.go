package registry

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
)

// Names returns up to limit names of packages hosted here that contain text, in whatever case its letters are,
// in byte order, those after the given one. limit < 0 means all.
func (c *Core) Names(ctx context.Context, ecosystem, text, after string, limit int) ([]string, error) {
	l, err := c.names.of(ctx, c, ecosystem)
	if err != nil {
		return nil, err
	}
	return l.find(text, after, limit, false), nil
}

// AllNames is Names with those of which something is kept that an upstream has.
func (c *Core) AllNames(ctx context.Context, ecosystem, text, after string, limit int) ([]string, error) {
	l, err := c.names.of(ctx, c, ecosystem)
	if err != nil {
		return nil, err
	}
	return l.find(text, after, limit, true), nil
}

// names keeps the names of each ecosystem in memory: a search looks for a text in the middle of them, and
// a database would have to look at each.
type names struct {
	mu   sync.Mutex // held by who brings a list up to date
	list map[string]*nameList
}

// nameList is an ecosystem's names as of some size of the record. It is replaced, never changed.
type nameList struct {
	head     int64 // of the record, when it was last looked at
	revision int64 // the newest of its names
	// text has the names in byte order, a line each; folded is text with small letters.
	text, folded string
	starts       []uint32 // where each name starts in text
	hosted       []bool   // of each name, whether something of it was published here
}

// of returns the list of an ecosystem. Only names that were written to since are read.
func (n *names) of(ctx context.Context, c *Core, ecosystem string) (*nameList, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	head := c.record.Head()
	old := n.list[ecosystem]
	if old == nil {
		old = &nameList{revision: -1}
	} else if old.head == head {
		return old, nil
	}
	changed, err := c.namesSince(ctx, ecosystem, old.revision)
	if err != nil {
		return nil, err
	}
	l := old.with(changed)
	l.head = head
	if n.list == nil {
		n.list = map[string]*nameList{}
	}
	n.list[ecosystem] = l
	return l, nil
}

// named is a name that was written to.
type named struct {
	name     string
	revision int64
	hosted   bool
}

// namesSince returns, in byte order, the names that changed after a revision. A name without any release is
// hosted: it is there for a tag, or for a file that waits.
func (c *Core) namesSince(ctx context.Context, ecosystem string, revision int64) ([]named, error) {
	rows, err := c.record.DB().Query().QueryContext(ctx, `SELECT p.name, p.revision, NOT EXISTS (SELECT 1 FROM release r WHERE r.package_id = p.id)
		OR EXISTS (SELECT 1 FROM release r WHERE r.package_id = p.id AND r.mirrored = 0)
		FROM package p WHERE p.ecosystem = $1 AND p.revision > $2`, ecosystem, revision)
	if err != nil {
		return nil, fmt.Errorf("list names: %w", err)
	}
	defer rows.Close()
	var out []named
	for rows.Next() {
		var one named
		if err := rows.Scan(&one.name, &one.revision, &one.hosted); err != nil {
			return nil, fmt.Errorf("list names: %w", err)
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b named) int { return strings.Compare(a.name, b.name) })
	return out, rows.Err()
}

// with returns the list with changed names, which are in byte order.
func (l *nameList) with(changed []named) *nameList {
	out := &nameList{revision: l.revision, text: l.text, folded: l.folded, starts: l.starts, hosted: slices.Clone(l.hosted)}
	var added []named
	for _, one := range changed {
		out.revision = max(out.revision, one.revision)
		if i, known := slices.BinarySearchFunc(l.starts, one.name, func(start uint32, name string) int { return strings.Compare(l.line(start), name) }); known {
			out.hosted[i] = one.hosted
			continue
		}
		added = append(added, one)
	}
	if len(added) > 0 {
		return out.merge(added)
	}
	return out
}

// merge returns the list with names that are not in it, which are in byte order.
func (l *nameList) merge(added []named) *nameList {
	size := len(l.text)
	for _, one := range added {
		size += len(one.name) + 1
	}
	var b strings.Builder
	b.Grow(size)
	count := len(l.starts) + len(added)
	out := &nameList{revision: l.revision, starts: make([]uint32, 0, count), hosted: make([]bool, 0, count)}
	add := func(name string, hosted bool) {
		out.starts, out.hosted = append(out.starts, uint32(b.Len())), append(out.hosted, hosted)
		b.WriteString(name)
		b.WriteByte('\n')
	}
	for i, start := range l.starts {
		name := l.line(start)
		for len(added) > 0 && added[0].name < name {
			add(added[0].name, added[0].hosted)
			added = added[1:]
		}
		add(name, l.hosted[i])
	}
	for _, one := range added {
		add(one.name, one.hosted)
	}
	out.text = b.String()
	out.folded = smallLetters(out.text)
	return out
}

// line returns the name that starts there.
func (l *nameList) line(start uint32) string {
	name, _, _ := strings.Cut(l.text[start:], "\n")
	return name
}

// find returns up to limit names behind after that contain text; with mirrored also those that are not hosted.
func (l *nameList) find(text, after string, limit int, mirrored bool) []string {
	if strings.Contains(text, "\n") {
		return nil
	}
	text = smallLetters(text)
	var out []string
	i := sort.Search(len(l.starts), func(i int) bool { return l.line(l.starts[i]) > after })
	for i < len(l.starts) && len(out) != limit {
		if text != "" {
			at := strings.Index(l.folded[l.starts[i]:], text)
			if at < 0 {
				break
			}
			place := l.starts[i] + uint32(at)
			i = sort.Search(len(l.starts), func(i int) bool { return l.starts[i] > place }) - 1
		}
		if mirrored || l.hosted[i] {
			out = append(out, l.line(l.starts[i]))
		}
		i++
	}
	return out
}

// smallLetters turns A to Z into a to z and leaves everything else, and every place, as it is.
func smallLetters(s string) string {
	if !strings.ContainsAny(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
