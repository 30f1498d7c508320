package publish_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/purl"
)

// noticed is an inventory of index.js with what a reader noticed in it.
func noticed(s evidence.Signals) *evidence.Inventory {
	inv := holding("", "index.js="+fmt.Sprint(s))
	inv.Signals = &s
	return inv
}

func mark(what string) []evidence.Mark { return []evidence.Mark{{Path: "index.js", What: what}} }

// reviewAs asks for a review of a version of @acme/ui.
func (w *world) reviewAs(who, version string, inv *evidence.Inventory, size int64) *publish.Finding {
	w.t.Helper()
	f, err := w.Review(w.t.Context(), publish.Candidate{
		Actor: w.people[who], Ecosystem: purl.NPM, Name: name, Version: version, PURL: ui(version), Inventory: inv, Size: size,
	})
	check(w.t, err)
	return f
}

// rules are the rules that found something.
func rules(f *publish.Finding) string {
	if f == nil {
		return ""
	}
	var out []string
	for _, reason := range f.Reasons {
		stage, rest, found := strings.Cut(reason, ", ")
		rule, _, _ := strings.Cut(rest, ":")
		if found && (stage == "audit" || stage == "warn" || stage == "hold") {
			out = append(out, stage+" "+rule)
		}
	}
	return strings.Join(out, ", ")
}

func TestEachRuleFindsWhatItIsNamedAfter(t *testing.T) {
	t.Parallel()
	dep := func(name, rng string) []evidence.Dependency {
		return []evidence.Dependency{{Name: name, Range: rng, Elsewhere: strings.Contains(rng, ":")}}
	}
	for _, c := range []struct {
		name          string
		before, after evidence.Signals
		want          string
	}{
		{"nothing new", evidence.Signals{Hosts: mark("a.com"), Programs: mark("elf")}, evidence.Signals{Hosts: mark("a.com"), Programs: mark("elf")}, ""},
		{"a program", evidence.Signals{}, evidence.Signals{Programs: mark("elf")}, "warn binary-new"},
		{"a host", evidence.Signals{Hosts: mark("a.com")}, evidence.Signals{Hosts: append(mark("a.com"), mark("b.com")...)}, "audit network-new"},
		{"a host less", evidence.Signals{Hosts: mark("a.com")}, evidence.Signals{}, ""},
		{"a file that became opaque", evidence.Signals{}, evidence.Signals{Opaque: mark("long-line")}, "warn obfuscated"},
		{
			"one more bundle of a package that ships bundles", evidence.Signals{Opaque: []evidence.Mark{{Path: "dist/a.js", What: "long-line"}}},
			evidence.Signals{Opaque: []evidence.Mark{{Path: "dist/a.js", What: "long-line"}, {Path: "dist/b.js", What: "long-line"}}}, "",
		},
		{
			"a source of a package that ships bundles", evidence.Signals{Opaque: []evidence.Mark{{Path: "dist/a.js", What: "long-line"}}},
			evidence.Signals{Opaque: append(mark("long-line"), evidence.Mark{Path: "dist/a.js", What: "long-line"})}, "warn obfuscated",
		},
		{"a dependency that nobody here knows", evidence.Signals{}, evidence.Signals{Dependencies: dep("left-pad", "^1.0.0")}, "audit dependency-unknown"},
		{"a dependency from an address", evidence.Signals{}, evidence.Signals{Dependencies: dep("x", "https://evil/x.tgz")}, "audit dependency-unknown"},
		{"the same dependency in another range", evidence.Signals{Dependencies: dep("left-pad", "^1.0.0")}, evidence.Signals{Dependencies: dep("left-pad", "^2.0.0")}, ""},
		{"the same address", evidence.Signals{Dependencies: dep("x", "https://evil/x.tgz")}, evidence.Signals{Dependencies: dep("x", "https://evil/x.tgz")}, ""},
		{"another address", evidence.Signals{Dependencies: dep("x", "https://evil/x.tgz")}, evidence.Signals{Dependencies: dep("x", "https://evil/y.tgz")}, "audit dependency-unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, _ := withPeople(t)
			w.publish("1.0.0", noticed(c.before))
			f := w.reviewAs("alice", "1.1.0", noticed(c.after), 0)
			if got := rules(f); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if f.Waits() || f != nil && f.Warn != strings.HasPrefix(c.want, "warn") {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestWhatCameInBeforeAnybodyLookedIsNotComparedWith(t *testing.T) {
	t.Parallel()
	w, _ := withPeople(t)
	w.publish("1.0.0", holding(""))
	if got := rules(w.reviewAs("alice", "1.1.0", noticed(evidence.Signals{Hosts: mark("a.com")}), 0)); got != "" {
		t.Error(got)
	}
}

func TestADependencyIsYoungUntilItsNameHasBeenHereForAWhile(t *testing.T) {
	t.Parallel()
	w, _ := withPeople(t)
	w.publish("1.0.0", noticed(evidence.Signals{}))
	w.pass(100 * time.Hour)
	for _, name := range []string{"fresh", "@other/fresh", "@acme/fresh"} {
		w.appendOther(name)
	}
	w.pass(time.Hour)
	for name, want := range map[string]string{
		"fresh": "hold dependency-young", "@other/fresh": "hold dependency-young", "@acme/fresh": "", "@acme/ui": "",
	} {
		inv := noticed(evidence.Signals{Dependencies: []evidence.Dependency{{Name: name, Range: "1"}}})
		f := w.reviewAs("alice", "1.1.0", inv, 0)
		if got := rules(f); got != want || f.Waits() != (want != "") {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	w.pass(72 * time.Hour)
	if got := rules(w.reviewAs("alice", "1.1.0", noticed(evidence.Signals{Dependencies: []evidence.Dependency{{Name: "fresh"}}}), 0)); got != "" {
		t.Errorf("three days later: %s", got)
	}
}

// appendOther puts version 1.0.0 of another package on the record.
func (w *world) appendOther(name string) {
	w.t.Helper()
	p, d := purl.New(purl.NPM, name, "1.0.0"), digest.FromBytes([]byte(name))
	_, err := w.record.Append(w.t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(p, d)}, Issuer: w.people["bob"].Issuer(), Assurance: evidence.Authenticated,
		Predicate: evidence.Publication{Event: evidence.Published, Ecosystem: purl.NPM, Name: name, Version: "1.0.0", Artifact: d, Size: 1, Actor: w.people["bob"]},
	})
	check(w.t, err)
}

func TestAStrangerToTheNameIsToldOf(t *testing.T) {
	t.Parallel()
	w, _ := withPeople(t)
	if got := rules(w.reviewAs("bob", "1.0.0", holding(""), 0)); got != "" {
		t.Errorf("the first version: %s", got)
	}
	w.publish("1.0.0", holding(""))
	if got := rules(w.reviewAs("alice", "1.1.0", holding(""), 0)); got != "" {
		t.Errorf("its publisher: %s", got)
	}
	if got := rules(w.reviewAs("bob", "1.1.0", holding(""), 0)); got != "warn principal-new" {
		t.Errorf("somebody else: %q", got)
	}
}

func TestAPublisherWhoseCredentialsChangedWaitsForADay(t *testing.T) {
	t.Parallel()
	w, k := withPeople(t)
	k.changed["alice"] = time.Now().Add(-time.Hour)
	if f := w.reviewAs("alice", "1.0.0", holding(""), 0); rules(f) != "hold credential-changed" || !f.Waits() {
		t.Errorf("%+v", f)
	}
	w.pass(23*time.Hour + time.Minute)
	if got := rules(w.reviewAs("alice", "1.0.0", holding(""), 0)); got != "" {
		t.Error(got)
	}
}

func TestAVersionThatIsMuchLargerIsToldOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		was, is int64
		want    string
	}{{1 << 20, 9 << 20, ""}, {1 << 20, 10 << 20, "warn size-jump"}, {100 << 20, 110 << 20, "warn size-jump"}, {100, 60_000, ""}, {100 << 20, 1, ""}} {
		w, _ := withPeople(t)
		w.size = c.was
		w.publish("1.0.0", holding(""))
		if got := rules(w.reviewAs("alice", "1.1.0", holding(""), c.is)); got != c.want {
			t.Errorf("%d -> %d: %q, want %q", c.was, c.is, got, c.want)
		}
	}
}

func TestManyNamesAtOnceWait(t *testing.T) {
	t.Parallel()
	w, _ := withPeople(t)
	w.set(publish.Settings{Burst: &publish.BurstLimit{Publications: 4, Names: 3, Within: publish.Duration(10 * time.Minute)}})
	for i := range 3 {
		if got := rules(w.reviewAs("bob", "1.0.0", holding(""), 0)); got != "" {
			t.Errorf("%d before: %s", i, got)
		}
		w.appendOther(fmt.Sprint("@acme/", i))
	}
	w.appendOther("@acme/3")
	if f := w.reviewAs("bob", "1.0.0", holding(""), 0); rules(f) != "hold publish-burst" || !f.Waits() {
		t.Errorf("%+v", f)
	}
	if got := rules(w.reviewAs("alice", "1.0.0", holding(""), 0)); got != "" {
		t.Errorf("somebody else: %s", got)
	}
	w.pass(11 * time.Minute)
	if got := rules(w.reviewAs("bob", "1.0.0", holding(""), 0)); got != "" {
		t.Errorf("later: %s", got)
	}
}

func TestAStageSaysWhatARuleDoes(t *testing.T) {
	t.Parallel()
	for stage, want := range map[publish.Stage]struct{ found, waits, warns bool }{
		publish.Off: {}, publish.Audit: {found: true}, publish.Warn: {found: true, warns: true}, publish.Wait: {found: true, waits: true},
	} {
		w, _ := withPeople(t)
		w.set(publish.Settings{Rules: map[string]publish.Stage{publish.BinaryNew: stage}})
		w.publish("1.0.0", noticed(evidence.Signals{}))
		f := w.reviewAs("alice", "1.1.0", noticed(evidence.Signals{Programs: mark("elf")}), 0)
		if (f != nil) != want.found || f.Waits() != want.waits || f != nil && (f.Warn != want.warns || f.Code != publish.BinaryNew) {
			t.Errorf("%s: %+v", stage, f)
		}
	}
}

func TestWhateverIsFoundFitsIntoAStatement(t *testing.T) {
	t.Parallel()
	w, k := withPeople(t)
	w.publish("1.0.0", noticed(evidence.Signals{}))
	k.changed["alice"] = time.Now()
	nasty := strings.Repeat(`"\`, 500)
	var marks []evidence.Mark
	var deps []evidence.Dependency
	inv := holding("")
	for i := range 2000 {
		marks = append(marks, evidence.Mark{Path: fmt.Sprint(nasty, i), What: fmt.Sprint(nasty, i)})
		deps = append(deps, evidence.Dependency{Name: fmt.Sprint(nasty, i), Range: nasty})
		inv.Files = append(inv.Files, evidence.File{Path: fmt.Sprint(nasty, i), SHA256: digest.FromBytes([]byte(fmt.Sprint(i)))})
		inv.Hooks = append(inv.Hooks, evidence.InstallHook{Name: fmt.Sprint(nasty, i), Command: nasty, Files: []string{fmt.Sprint(nasty, i)}})
	}
	inv.Signals = &evidence.Signals{Programs: marks, Hosts: marks, Opaque: marks, Dependencies: deps}
	w.wantHeld(w.publish("1.1.0", inv), publish.HookNew)
	h, err := w.Show(t.Context(), w.people["bob"], ui("1.1.0"))
	check(t, err)
	if len(h.Points) != 6 || len(h.Diff.Hosts) != 2000 {
		t.Errorf("%d points, %d hosts", len(h.Points), len(h.Diff.Hosts))
	}
}
