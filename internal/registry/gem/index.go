package gem

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

const (
	// settle is how long a change that did not come by way of this package may go unseen in the lists of all
	// names: recalls and approvals are to be seen within a second.
	settle = 400 * time.Millisecond
	// unknownSum stands for the checksum of an index that changes with more than the name's own history: of
	// another registry's gems, and under a cooldown. It is no index's, so that clients ask each time, and are
	// told when nothing changed.
	unknownSum = "00000000000000000000000000000000"
	// maxBatch is how many lines are kept at a time.
	maxBatch = 1000
)

// index is the list of all names that are offered, as /versions has it: lines in the order in which they
// were appended. A line tells what changed of a name, so that a name's versions are the sum of its lines.
//
// A change of a namespace's cooldown alone shows with the name's next line; what is served of a name does
// not depend on the list.
type index struct {
	r *Registry

	// mu guards what follows, and that one caller at a time looks for what is new.
	mu       sync.Mutex
	created  time.Time        // when the list was last written anew; zero until it was loaded
	body     []byte           // what /versions says when nothing is hidden; only appended to, so that lists share it
	lines    []line           // of body, those after its head
	last     map[string]int32 // the newest line of a name, by the core's spelling
	revision int64            // up to which changes of names are in lines
	head     int64            // of the record, when it was last looked at
	looked   time.Time
	stirred  bool                 // that something was published here since
	waits    map[string]time.Time // names of which a version ripens then
	foreign  foreign
	made     int64 // grows with lines
	lists    *registry.Cache[*list]
	seen     map[string]*sight // by credential
}

// line is where in the body a name stands with what changed of it: "rack 1.0.0,-0.9.0 0123…".
type line struct {
	from, to uint32 // without its end
	before   int32  // the name's line before; -1 for none
	foreign  bool   // of an upstream's gem
}

// parts takes a line's text apart.
func parts(text string) (name, versions, sum string) {
	name, rest, _ := strings.Cut(text, " ")
	versions, sum, _ = strings.Cut(rest, " ")
	return name, versions, sum
}

func (x *index) text(l line) string { return string(x.body[l.from:l.to]) }

// nameOf returns a line's name as its author spells it.
func (x *index) nameOf(l line) string {
	name, _, _ := bytes.Cut(x.body[l.from:l.to], []byte(" "))
	return string(name)
}

func newIndex(r *Registry) *index {
	x := &index{r: r, revision: -1, lists: registry.NewCache[*list](r.limits.Pages)}
	x.clear()
	return x
}

func (x *index) clear() {
	x.body, x.lines, x.last, x.waits, x.seen = nil, nil, map[string]int32{}, map[string]time.Time{}, map[string]*sight{}
}

// begin starts the list that was written anew at a time.
func (x *index) begin(created time.Time) {
	x.created = created
	x.body = append(x.body, headLine+created.Format(time.RFC3339)+"\n"...)
	x.body = append(x.body, listBegins...)
}

// stir says that something changed that must be seen at once.
func (x *index) stir() {
	x.mu.Lock()
	x.stirred = true
	x.mu.Unlock()
}

// add puts a line at the end.
func (x *index) add(text string, foreign bool) {
	name, _, _ := strings.Cut(text, " ")
	name = strings.Clone(normal(name)) // the map must not keep the text
	l := line{from: uint32(len(x.body)), to: uint32(len(x.body) + len(text)), before: -1, foreign: foreign}
	if i, known := x.last[name]; known {
		l.before = i
	}
	x.last[name] = int32(len(x.lines))
	x.lines, x.body = append(x.lines, l), append(append(x.body, text...), '\n')
	x.made++
}

// versionsOf returns what a name's lines say that it offers.
func (x *index) versionsOf(name string) []string {
	i, known := x.last[name]
	if !known {
		return nil
	}
	var chain []int32
	for ; i >= 0; i = x.lines[i].before {
		chain = append(chain, i)
	}
	var out []string
	for _, i := range slices.Backward(chain) {
		_, versions, _ := parts(x.text(x.lines[i]))
		for v := range strings.SplitSeq(versions, ",") {
			gone, removed := strings.CutPrefix(v, "-")
			out = slices.DeleteFunc(out, func(s string) bool { return s == gone })
			if !removed {
				out = append(out, v)
			}
		}
	}
	return out
}

// sync brings the lines up to date. x.mu is held. What was found is kept even when the caller goes.
func (x *index) sync(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	now, head := x.r.clock.Now().UTC(), x.r.core.Record().Head()
	if err := x.ready(ctx, now); err != nil {
		return err
	}
	if x.created.Year() != now.Year() || x.created.Month() != now.Month() {
		if err := x.compact(ctx, now); err != nil {
			return err
		}
	}
	if err := x.syncForeign(ctx); err != nil {
		return err
	}
	names := x.ripened(now)
	if x.stirred || head != x.head && now.Sub(x.looked) >= settle {
		changed, err := x.changed(ctx)
		if err != nil {
			return err
		}
		names = append(names, changed...)
		x.head, x.looked, x.stirred = head, now, false
	}
	for batch := range slices.Chunk(names, maxBatch) {
		if err := x.update(ctx, batch); err != nil {
			x.stirred = true
			return err
		}
	}
	return nil
}

// ready reads the list, the first time.
func (x *index) ready(ctx context.Context, now time.Time) error {
	if !x.created.IsZero() {
		return nil
	}
	x.stirred = true
	err := x.load(ctx, now.UTC())
	if err != nil {
		x.created = time.Time{} // half a list is none
	}
	return err
}

// change is a name whose offer may be another one. revision is 0 where only time has passed.
type change struct {
	name     string
	revision int64
}

func (x *index) ripened(now time.Time) (out []change) {
	for name, at := range x.waits {
		if !now.Before(at) {
			out = append(out, change{name: name})
		}
	}
	return out
}

// changed returns the names that were written to since the last look.
func (x *index) changed(ctx context.Context) ([]change, error) {
	rows, err := x.r.core.Record().DB().Query().QueryContext(ctx, `SELECT p.name, p.revision FROM package p
		WHERE p.ecosystem = $1 AND p.revision > $2 AND EXISTS (SELECT 1 FROM release r WHERE r.package_id = p.id AND r.mirrored = 0)
		ORDER BY p.revision`, purl.Gem, x.revision)
	if err != nil {
		return nil, fmt.Errorf("look for changed gems: %w", err)
	}
	defer rows.Close()
	var out []change
	for rows.Next() {
		var c change
		if err := rows.Scan(&c.name, &c.revision); err != nil {
			return nil, fmt.Errorf("look for changed gems: %w", err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// update appends the lines of names that changed.
func (x *index) update(ctx context.Context, names []change) error {
	var added []row
	for _, c := range names {
		o, err := x.r.offerOf(ctx, c.name)
		if err != nil && fault.KindOf(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		delete(x.waits, c.name)
		if !o.until.IsZero() {
			x.waits[c.name] = o.until
		}
		if text := x.delta(o); text != "" {
			added = append(added, row{text: text, revision: c.revision})
		}
	}
	if err := x.keep(ctx, added); err != nil {
		return err
	}
	for _, a := range added {
		x.add(a.text, a.foreign)
	}
	for _, c := range names {
		x.revision = max(x.revision, c.revision)
	}
	return nil
}

// delta is the line that makes of what the list says of a name what it offers now; empty when that is the
// same.
func (x *index) delta(o *offer) string {
	before := x.versionsOf(o.name)
	var now, changes []string
	for _, v := range o.offered {
		now = append(now, v.Version)
		if !slices.Contains(before, v.Version) {
			changes = append(changes, v.Version)
		}
	}
	for _, v := range before {
		if !slices.Contains(now, v) {
			changes = append(changes, "-"+v)
		}
	}
	sum := md5Hex(o.info.Body())
	if o.cooldown > 0 {
		sum = unknownSum
	}
	if i, known := x.last[o.name]; known && len(changes) == 0 {
		if _, _, old := parts(x.text(x.lines[i])); old == sum || len(now) == 0 {
			return ""
		}
		changes = []string{now[len(now)-1]} // said again, for the checksum's sake
	}
	if len(changes) == 0 {
		return ""
	}
	return o.display + " " + strings.Join(changes, ",") + " " + sum
}
