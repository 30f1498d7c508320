package similar

import (
	"testing"
)

// TestKnownSquatsAreFound replays names that were used against people, and honest neighbours.
func TestKnownSquatsAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ecosystem, wanted, like string }{
		{"npm", "crossenv", "cross-env"},                // npm, 2017
		{"npm", "loadsh", "lodash"},                     // swapped
		{"npm", "lodahs", "lodash"},                     //
		{"npm", "lodash-js", "lodash"},                  // npm, removed repeatedly
		{"npm", "babelcli", "babel-cli"},                // npm, 2017, where the list has it
		{"npm", "expresss", "express"},                  //
		{"npm", "types-node", "@types/node"},            // scope dropped
		{"npm", "comander", "commander"},                //
		{"npm", "reaxt", "react"},                       // neighbouring keys
		{"pypi", "python3-dateutil", "python-dateutil"}, // PyPI, 2019
		{"pypi", "jeilyfish", ""},                       // not in the list
		{"pypi", "request", "requests"},                 //
		{"pypi", "reqeusts", "requests"},                //
		{"pypi", "pyyam1", "pyyaml"},                    // looks alike
		{"pypi", "diango", "django"},                    //
		{"gem", "rest_client", "rest-client"},           //
		{"gem", "atlas-client", ""},                     // RubyGems, 2020: its victim is not in the list
		{"nuget", "newtonsoftjson", "newtonsoft.json"},
		{"maven", "com.fasterxml.jackson.c0re", "com.fasterxml.jackson.core"},
		{"oci", "ngnix", "nginx"},
		{"npm", "@bable", "@babel"},
		{"npm", "@acme", ""}, {"npm", "chalkk", "chalk"}, {"npm", "gloob", "glob"},
		{"npm", "acme-internal-tools", ""},
		{"npm", "preact", ""}, // a well-known name of its own
		{"npm", "ui", ""},     // too short to say
	} {
		got, _ := In(c.ecosystem).Find(c.wanted, nil)
		if got.Name != c.like {
			t.Errorf("%s %s is like %q (%s), want %q", c.ecosystem, c.wanted, got.Name, got.Why, c.like)
		}
	}
}

func TestNamesThatAreClaimedHereAreComparedToo(t *testing.T) {
	t.Parallel()
	got, ok := In("npm").Find("acme-bilING", []string{"unrelated", "acme-billing"})
	if !ok || got.Name != "acme-billing" || !got.Here {
		t.Errorf("found %+v", got)
	}
	if got, ok := In("npm").Find("acme-billing", []string{"acme-billing"}); ok {
		t.Errorf("a name is like itself: %+v", got)
	}
}

func TestDistanceCountsSlipsOfTheFingers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"abc", "acb", 1}, {"abcd", "acbd", 1}, {"kitten", "sitting", 3}, {"lodash", "loadsh", 1}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// TestHowManyHonestNamesWouldBeStopped measures the price: the part of a thousand honest npm
// names that are like one of the thousand most used ones.
func TestHowManyHonestNamesWouldBeStopped(t *testing.T) {
	t.Parallel()
	names := In("npm").top()
	stopped := 0
	sample := names[len(names)-1000:]
	for _, w := range sample {
		for _, other := range names[:1000] {
			if w.like(other) != "" {
				stopped++
				break
			}
		}
	}
	t.Logf("%d of %d names are like one of the 1000 most used", stopped, len(sample))
	if stopped > len(sample)/10 {
		t.Errorf("%d of %d honest names would be stopped; a check that cries wolf is overruled without a look", stopped, len(sample))
	}
}

func BenchmarkFind(b *testing.B) {
	n := In("npm")
	n.Find("acme-internal-tools", nil)
	for b.Loop() {
		n.Find("acme-internal-tools", nil)
	}
}

func FuzzFind(f *testing.F) {
	f.Add("npm", "lodash", "loadsh")
	f.Add("maven", "com.acme", "c0m.acme")
	f.Fuzz(func(t *testing.T, ecosystem, wanted, other string) {
		if len(wanted)+len(other) > 500 {
			return
		}
		if m, ok := In(ecosystem).Find(wanted, []string{other}); ok && m.Name == wanted {
			t.Errorf("%q is like itself", wanted)
		}
		a, b := formOf(wanted), formOf(other)
		if (a.like(b) == "") != (b.like(a) == "") {
			t.Errorf("%q and %q are like each other one way only", wanted, other)
		}
	})
}
