package gem

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
)

// foreignEvery is how often the upstream is asked which names it has.
const foreignEvery = time.Minute

// foreign is what the list of all names knows of the upstream's. Bundler asks for a name only when the list
// has it, so that the upstream's names stand in ours, with a checksum that makes clients ask each time.
type foreign struct {
	digest digest.Digest // of the upstream's list
	looked time.Time     // zero: never

	mu sync.Mutex
	// asked are the versions of the names that clients asked for since the start: the specs indexes have
	// these, and not the million that the upstream has.
	asked map[string][]string
	fresh []*offer // of names that were asked for since the last look
}

// note remembers a name that was asked for.
func (f *foreign) note(o *offer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.fresh) < maxBatch {
		f.fresh = append(f.fresh, o)
	}
}

// askForeign asks the upstream for its list when it is time to; one caller waits for the answer.
func (x *index) askForeign(ctx context.Context) {
	x.mu.Lock()
	now, have := x.r.clock.Now(), x.foreign.digest
	due := x.r.upstream != nil && (x.foreign.looked.IsZero() || now.Sub(x.foreign.looked) >= foreignEvery)
	if due {
		x.foreign.looked = now
	}
	x.mu.Unlock()
	if !due {
		return
	}
	doc, err := x.r.upstream.Document(ctx, registry.Question{Ecosystem: purl.Gem, Path: "versions", Limit: x.r.limits.Index, Have: have})
	if err != nil {
		if fault.KindOf(err) != fault.NotFound {
			x.r.log.WarnContext(ctx, "the upstream's list of gems cannot be had", "error", err)
		}
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if doc.Digest == have {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if err = x.ready(ctx, now); err == nil {
		err = x.takeForeign(ctx, doc.Body)
	}
	if err != nil {
		x.r.log.WarnContext(ctx, "the upstream's list of gems was not kept", "error", err)
		return
	}
	x.foreign.digest = doc.Digest
}

// takeForeign appends the names that are not in the list. x.mu is held.
func (x *index) takeForeign(ctx context.Context, body []byte) error {
	added, taken := make([]row, 0, maxBatch), map[string]bool{}
	flush := func() error {
		if err := x.keep(ctx, added); err != nil {
			return err
		}
		for _, a := range added {
			x.add(a.text, a.foreign)
		}
		added = added[:0]
		clear(taken)
		return nil
	}
	x.body, x.lines = slices.Grow(x.body, len(body)), slices.Grow(x.lines, bytes.Count(body, []byte("\n")))
	for name, versions := range parseVersions(body) {
		if _, known := x.last[normal(name)]; known || taken[normal(name)] {
			continue
		}
		taken[normal(name)] = true
		added = append(added, row{text: name + " " + versions + " " + unknownSum, foreign: true})
		if len(added) < maxBatch {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return flush()
}

// parseVersions yields the names of a list with the versions of their first line. What is no name is left out.
func parseVersions(body []byte) func(func(name, versions string) bool) {
	return func(yield func(string, string) bool) {
		if _, rest, found := bytes.Cut(body, listBegins); found {
			body = rest
		}
		for one := range bytes.Lines(body) {
			name, rest, _ := strings.Cut(string(bytes.TrimSuffix(one, []byte("\n"))), " ")
			versions, _, _ := strings.Cut(rest, " ")
			if !gemspec.NameForm.MatchString(name) || len(name) > gemspec.MaxNameLength || !plainVersions(versions) {
				continue
			}
			if !yield(name, versions) {
				return
			}
		}
	}
}

// plainVersions reports whether a list of versions is one that may stand in ours.
func plainVersions(versions string) bool {
	if versions == "" || versions[0] == '-' {
		return false
	}
	for _, c := range []byte(versions) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '-' && c != '_' && c != ',' {
			return false
		}
	}
	return true
}

// syncForeign takes the names into the list that were asked for since. x.mu is held.
func (x *index) syncForeign(ctx context.Context) error {
	x.foreign.mu.Lock()
	fresh := x.foreign.fresh
	x.foreign.fresh = nil
	x.foreign.mu.Unlock()
	var added []row
	for _, o := range fresh {
		var keys []string
		for _, v := range o.offered {
			keys = append(keys, v.Version)
		}
		if x.foreign.asked == nil {
			x.foreign.asked = map[string][]string{}
		}
		x.foreign.asked[o.name] = keys
		x.made++
		if _, known := x.last[o.name]; !known && len(keys) > 0 {
			one := row{text: o.display + " " + strings.Join(keys, ",") + " " + unknownSum, foreign: true}
			added = append(added, one)
			x.add(one.text, one.foreign)
		}
	}
	return x.keep(ctx, added)
}

// proxied makes the offer of a name that is not hosted here.
func (r *Registry) proxied(ctx context.Context, spelling, state string, old *offer) (*offer, error) {
	if r.upstream == nil || !gemspec.NameForm.MatchString(spelling) {
		return nil, unknownName(spelling)
	}
	name := normal(spelling)
	q := registry.Question{Ecosystem: purl.Gem, Name: name, Path: "info/" + url.PathEscape(spelling), Limit: r.limits.Info}
	if old != nil && !old.hosted && old.display == spelling {
		q.Have = old.digest
	}
	doc, err := r.upstream.Document(ctx, q)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil, unknownName(spelling)
	}
	if err != nil {
		return nil, err
	}
	same := q.Have != "" && doc.Digest == q.Have
	if same && old.holds(state, r.clock.Now()) {
		old.remember(doc)
		return old, nil
	}
	o := &offer{name: name, display: spelling, state: state, digest: doc.Digest}
	o.remember(doc)
	if same {
		o.parsed = old.parsed
	} else if o.parsed, err = r.listed(ctx, name, spelling, doc); err != nil {
		return nil, err
	}
	if err := r.fill(ctx, o); err != nil {
		return nil, err
	}
	r.offers.Put(o)
	r.index.foreign.note(o)
	return o, nil
}

// remember takes over whether the upstream answers.
func (o *offer) remember(doc *registry.Document) {
	var asked int64
	if doc.Stale {
		asked = doc.Asked.UnixNano()
	}
	o.asked.Store(asked)
}

// listed parses the upstream's index of a name. Versions without a time of publication, from an upstream that
// has the first form of the index, are looked up in its API; those of which it tells none count from when
// they were first seen here, so that no cooldown is got around by saying nothing.
func (r *Registry) listed(ctx context.Context, name, spelling string, doc *registry.Document) ([]version, error) {
	all := parseInfo(spelling, string(doc.Body))
	undated := func(v version) bool { return v.Published.IsZero() }
	if slices.ContainsFunc(all, undated) {
		dates, err := r.dates(ctx, name, spelling)
		if err != nil {
			return nil, err
		}
		for i := range all {
			if undated(all[i]) {
				all[i].Published = dates[all[i].Version]
			}
		}
	}
	for i := range all {
		v := &all[i]
		v.PURL, v.State = gemspec.PURLOf(name, v.spec.Version, v.spec.Platform), registry.Active
		v.listed = &registry.Listed{Release: v.Release, URL: doc.Resolve("../gems/" + v.spec.FullName() + ".gem")}
		if v.sha256 != "" {
			v.listed.Digests = []string{"sha256:" + v.sha256}
		}
	}
	return all, nil
}

// fill adds what the record knows and decides what is offered.
func (r *Registry) fill(ctx context.Context, o *offer) error {
	all := make([]registry.Listed, len(o.parsed))
	for i, v := range o.parsed {
		all[i] = *v.listed
	}
	if err := r.core.Listed(ctx, purl.Gem, o.name, all); err != nil {
		return err
	}
	o.all = slices.Clone(o.parsed)
	for i := range o.all {
		o.all[i].listed, o.all[i].Release = &all[i], all[i].Release
	}
	return r.finish(ctx, o)
}

// serveListed sends an upstream's gem, through the pull gate.
func (r *Registry) serveListed(w http.ResponseWriter, req *http.Request, actor evidence.Actor, o *offer, v version) error {
	return r.upstream.Serve(w, req, actor, o.name, registry.Wanted{
		Listed: *v.listed, ContentType: "application/octet-stream",
		Read: func(ctx context.Context, artifact digest.Digest) (*evidence.Inventory, error) {
			return r.readKept(ctx, artifact, v.spec)
		},
	})
}

// readKept looks into a gem that was fetched: it must be the one that its file name says.
func (r *Registry) readKept(ctx context.Context, artifact digest.Digest, want *gemspec.Spec) (*evidence.Inventory, error) {
	blob, err := r.core.Blobs().Open(ctx, artifact)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	got, inventory, err := gemspec.ReadGem(blob, r.limits.Archive, r.limits.Metadata)
	if err != nil {
		return nil, err
	}
	if got.FullName() != want.FullName() {
		return nil, fault.New(fault.Integrity, "upstream-changed", "the upstream's %s is %s inside; it is not served", want.FullName(), fault.Clip(got.FullName()))
	}
	return inventory, nil
}
