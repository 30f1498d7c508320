package gem

import (
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
	created  time.Time // when the list was last written anew; zero until it was loaded
	lines    []line
	last     map[string]int // the newest line of a name, by the core's spelling
	revision int64          // up to which changes of names are in lines
	head     int64          // of the record, when it was last looked at
	looked   time.Time
	stirred  bool                 // that something was published here since
	waits    map[string]time.Time // names of which a version ripens then
	foreign  foreign
	made     int64 // grows with lines
	lists    *registry.Cache[*list]
	seen     map[string]*sight // by credential
}

// line is a name with what changed of it: "rack 1.0.0,-0.9.0 0123…".
type line struct {
	text    string // without its end
	before  int    // the name's line before; -1 for none
	foreign bool   // of an upstream's gem
}

func (l line) parts() (name, versions, sum string) {
	name, rest, _ := strings.Cut(l.text, " ")
	versions, sum, _ = strings.Cut(rest, " ")
	return name, versions, sum
}

func newIndex(r *Registry) *index {
	x := &index{r: r, revision: -1, lists: registry.NewCache[*list](r.limits.Pages)}
	x.clear()
	return x
}

func (x *index) clear() {
	x.lines, x.last, x.waits, x.seen = nil, map[string]int{}, map[string]time.Time{}, map[string]*sight{}
}

// stir says that something changed that must be seen at once.
func (x *index) stir() {
	x.mu.Lock()
	x.stirred = true
	x.mu.Unlock()
}

// add puts a line at the end.
func (x *index) add(l line) {
	name, _, _ := l.parts()
	name = normal(name)
	l.before = -1
	if i, known := x.last[name]; known {
		l.before = i
	}
	x.last[name] = len(x.lines)
	x.lines = append(x.lines, l)
	x.made++
}

// versionsOf returns what a name's lines say that it offers.
func (x *index) versionsOf(name string) []string {
	i, known := x.last[name]
	if !known {
		return nil
	}
	var chain []int
	for ; i >= 0; i = x.lines[i].before {
		chain = append(chain, i)
	}
	var out []string
	for _, i := range slices.Backward(chain) {
		_, versions, _ := x.lines[i].parts()
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
	return x.load(ctx, now.UTC())
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
			added = append(added, row{line: line{text: text}, revision: c.revision})
		}
	}
	if err := x.keep(ctx, added); err != nil {
		return err
	}
	for _, a := range added {
		x.add(a.line)
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
	var now, parts []string
	for _, v := range o.offered {
		now = append(now, v.Version)
		if !slices.Contains(before, v.Version) {
			parts = append(parts, v.Version)
		}
	}
	for _, v := range before {
		if !slices.Contains(now, v) {
			parts = append(parts, "-"+v)
		}
	}
	sum := md5Hex(o.info.Body())
	if o.cooldown > 0 {
		sum = unknownSum
	}
	if i, known := x.last[o.name]; known && len(parts) == 0 {
		if _, _, old := x.lines[i].parts(); old == sum || len(now) == 0 {
			return ""
		}
		parts = []string{now[len(now)-1]} // said again, for the checksum's sake
	}
	if len(parts) == 0 {
		return ""
	}
	return o.display + " " + strings.Join(parts, ",") + " " + sum
}
