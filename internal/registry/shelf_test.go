package registry_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/registry"
)

func TestASecretOnAShelfIsGoodForAWhileAndTakenOnce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := registry.NewShelf[string](3, func() time.Time { return now })
	if until := s.Put("secret", "value", time.Minute); !until.Equal(now.Add(time.Minute)) {
		t.Errorf("kept until %s", until)
	}
	if _, ok := s.Get("another"); ok {
		t.Error("another secret is good, too")
	}
	if v, ok := s.Get("secret"); v != "value" || !ok {
		t.Errorf("got %q, %t", v, ok)
	}
	now = now.Add(time.Minute)
	if _, ok := s.Get("secret"); ok {
		t.Error("it is good when its time is over")
	}
	s.Put("secret", "value", time.Minute)
	if v, ok := s.Take("secret"); v != "value" || !ok {
		t.Errorf("took %q, %t", v, ok)
	}
	if _, ok := s.Take("secret"); ok {
		t.Error("it was taken twice")
	}
	for i := range 10 {
		s.Put(fmt.Sprint(i), "value", time.Minute)
	}
	kept := 0
	for i := range 10 {
		if _, ok := s.Get(fmt.Sprint(i)); ok {
			kept++
		}
	}
	if kept == 0 || kept > 3 {
		t.Errorf("%d are kept, and at most 3 may be", kept)
	}
}

func TestASieveKeepsBackWhatConsumersMustNotSee(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, err := w.Sieve(t.Context(), "npm", "@acme/ui")
	if err != nil {
		t.Fatal(err)
	}
	s.Cooldown = time.Hour
	young, old := time.Now().UTC(), time.Now().UTC().Add(-2*time.Hour)
	for title, c := range map[string]struct {
		release registry.Release
		passes  bool
		kept    string
	}{
		"an old one passes":               {registry.Release{State: registry.Active, Published: old}, true, ""},
		"an approved one need not be old": {registry.Release{State: registry.Active, Published: young, Approved: true}, true, ""},
		"a young one waits":               {registry.Release{State: registry.Active, Published: young}, false, "release-too-young"},
		"a held one waits":                {registry.Release{State: registry.Held, Published: old}, false, "release-held"},
		"a recalled one is refused":       {registry.Release{State: registry.Active, Published: old, Recalled: "steals"}, false, "release-recalled"},
		"a withdrawn one is not told of":  {registry.Release{State: registry.Withdrawn, Published: old, Recalled: "steals"}, false, ""},
	} {
		one := *s
		if got := one.Passes(c.release); got != c.passes || codeOf(one.Kept) != c.kept {
			t.Errorf("%s: passes is %t, and it is kept for %q", title, got, codeOf(one.Kept))
		}
		if waits := c.kept == "release-too-young"; one.Until.IsZero() == waits || waits && !one.Until.Equal(young.Add(time.Hour)) {
			t.Errorf("%s: the next is due at %s", title, one.Until)
		}
	}
}
