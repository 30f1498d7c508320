package publish

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
)

// What a decision keeps of what a rule found.
const (
	briefDetails = 6
	maxSummary   = 300 // bytes
)

// lookAtContents compares the candidate with its predecessor.
func (r *review) lookAtContents() error {
	c := r.candidate
	if c.Inventory == nil {
		return nil
	}
	before, err := r.predecessor(r.ctx, c)
	if err != nil {
		return fmt.Errorf("predecessor: %w", err)
	}
	if before.none {
		r.lookAtFirst()
		return nil
	}
	r.lookAtSize(before)
	old := &evidence.Inventory{}
	if before.version != "" && r.comparable() {
		if old, err = r.inventory(r.ctx, before.purl, before.artifact, before.seq); err != nil {
			return err
		}
	}
	r.diff = Compare(old, c.Inventory)
	r.diff.Against = before.version
	if code := r.diff.code(); code != "" {
		r.found(code, r.diff.summary())
	}
	if old.Signals == nil && before.version != "" {
		return nil // it came in before anybody looked for signals: everything would be news
	}
	r.lookAtSignals()
	return r.lookAtDependencies()
}

// comparable reports whether the candidate holds anything that could be news.
func (r *review) comparable() bool {
	inv := r.candidate.Inventory
	sig := inv.Signals
	return len(inv.Hooks) > 0 || sig != nil && len(sig.Programs)+len(sig.Hosts)+len(sig.Opaque)+len(sig.Dependencies) > 0
}

// lookAtFirst looks at the first version of a name. It is not held for what it runs: packages that
// download their program on install are usual, and nobody depends on a new name yet.
func (r *review) lookAtFirst() {
	hooks := r.candidate.Inventory.Hooks
	if len(hooks) == 0 {
		return
	}
	var names, lines []string
	for _, h := range hooks {
		names = append(names, clip(h.Name, briefName))
		lines = append(lines, h.Name+": "+h.Command)
	}
	r.found(HookFirst, "its first version runs something on install ("+strings.Join(names[:min(len(names), briefHooks)], ", ")+")", lines...)
}

func (r *review) lookAtSize(before predecessor) {
	is, was := r.candidate.Size, before.size
	if before.version == "" || was <= 0 {
		return
	}
	if is < was*int64(r.settings.SizeFactor) && is-was < r.settings.SizeGrowth || is-was < minGrowth {
		return
	}
	r.found(SizeJump, fmt.Sprintf("it is %d bytes large, and %s was %d", is, before.version, was))
}

// minGrowth keeps versions that are next to nothing from being told of as ten times larger, in bytes.
const minGrowth = 64 << 10

func (r *review) lookAtSignals() {
	d := r.diff
	if len(d.Programs) > 0 {
		r.found(BinaryNew, fmt.Sprintf("it brings %s %s", some(len(d.Programs), "program"), d.than()), lines(d.Programs)...)
	}
	if len(d.Hosts) > 0 {
		r.found(NetworkNew, fmt.Sprintf("it names %s %s", some(len(d.Hosts), "host"), d.than()), lines(d.Hosts)...)
	}
	if len(d.Opaque) > 0 {
		r.found(Obfuscated, fmt.Sprintf("%s not to be read by the heuristics %s", looks(len(d.Opaque)), whats(d.Opaque)), lines(d.Opaque)...)
	}
}

func some(n int, what string) string {
	if n == 1 {
		return "a new " + what
	}
	return fmt.Sprintf("%d new %ss", n, what)
}

func looks(n int) string {
	if n == 1 {
		return "a file looks"
	}
	return fmt.Sprintf("%d files look", n)
}

func whats(marks []evidence.Mark) string {
	set := map[string]bool{}
	for _, m := range marks {
		set[m.What] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(set)), ", ")
}

func lines(marks []evidence.Mark) []string {
	out := make([]string, len(marks))
	for i, m := range marks {
		out[i] = m.What + " in " + m.Path
	}
	return out
}

// compareSignals fills in what of the newer signals is news.
func (d *Diff) compareSignals(before, after *evidence.Inventory) {
	was, is := signals(before), signals(after)
	d.Programs = news(was.Programs, is.Programs, func(m evidence.Mark) string { return m.Path })
	d.Hosts = news(was.Hosts, is.Hosts, func(m evidence.Mark) string { return m.What })
	d.Opaque = newlyOpaque(was.Opaque, is.Opaque, before)
	d.Dependencies = nil
	old := map[string]evidence.Dependency{}
	for _, dep := range was.Dependencies {
		old[dep.Name] = dep
	}
	for _, dep := range is.Dependencies {
		o, known := old[dep.Name]
		if !known || o.Elsewhere != dep.Elsewhere || dep.Elsewhere && o.Range != dep.Range {
			d.Dependencies = append(d.Dependencies, dep)
		}
	}
}

func signals(inv *evidence.Inventory) evidence.Signals {
	if inv.Signals == nil {
		return evidence.Signals{}
	}
	return *inv.Signals
}

// news returns the marks whose key is new.
func news(was, is []evidence.Mark, key func(evidence.Mark) string) []evidence.Mark {
	known := map[string]bool{}
	for _, m := range was {
		known[key(m)] = true
	}
	var out []evidence.Mark
	for _, m := range is {
		if !known[key(m)] {
			out = append(out, m)
		}
	}
	return out
}

// newlyOpaque returns the files of which a heuristic is news: one that spoke of no file of the package
// before, or not of this file, which was there. A package that has always shipped bundles may add one.
func newlyOpaque(was, is []evidence.Mark, before *evidence.Inventory) []evidence.Mark {
	known, there := map[evidence.Mark]bool{}, map[string]bool{}
	kinds := map[string]bool{}
	for _, m := range was {
		known[m], kinds[m.What] = true, true
	}
	for _, f := range before.Files {
		there[f.Path] = true
	}
	var out []evidence.Mark
	for _, m := range is {
		if !known[m] && (!kinds[m.What] || there[m.Path]) {
			out = append(out, m)
		}
	}
	return out
}
