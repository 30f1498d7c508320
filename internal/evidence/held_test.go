package evidence_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

func held(name, version string, tags ...string) evidence.Draft {
	d := published(name, version, tags...)
	p := d.Predicate.(evidence.Publication)
	p.Event = evidence.Held
	d.Predicate = p
	return d
}

func approval(name, version string) evidence.Draft {
	d := published(name, version)
	d.Predicate = evidence.Approval{Release: purl.New(purl.NPM, name, version), Actor: evidence.Actor{Account: "bob"}, Reason: "read it"}
	return d
}

// offered are the versions of a name with their states, and its tags.
func offered(t *testing.T, r *evidence.Record) string {
	t.Helper()
	tables := dump(t, r.DB())
	var states, tags []string
	rows, err := r.DB().Query().Query(`SELECT version || ' ' || state FROM release ORDER BY version`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		states = append(states, s)
	}
	tags = append(tags, tables["tag"]...)
	return fmt.Sprint(states, " ", len(tags), " tags")
}

func TestAHeldVersionHasNoTagsUntilItIsReleasedAndARebuildSaysTheSame(t *testing.T) {
	t.Parallel()
	r := openRecord(t, t.TempDir(), clock.System{})
	const name = "@acme/ui"
	appendOK(t, r, published(name, "1.0.0", "latest"))
	for _, step := range []struct {
		drafts []evidence.Draft
		want   string
	}{
		{[]evidence.Draft{held(name, "1.1.0", "latest", "next"), held(name, "1.2.0", "latest")}, "[1.0.0 active 1.1.0 held 1.2.0 held] 1 tags"},
		{[]evidence.Draft{approval(name, "1.1.0"), event(evidence.Released, name, "1.1.0", "latest", "next")}, "[1.0.0 active 1.1.0 active 1.2.0 held] 2 tags"},
		{[]evidence.Draft{event(evidence.Withdrawn, name, "1.2.0")}, "[1.0.0 active 1.1.0 active 1.2.0 withdrawn] 2 tags"},
		{[]evidence.Draft{approval(name, "1.0.0")}, "[1.0.0 active 1.1.0 active 1.2.0 withdrawn] 2 tags"},
	} {
		appendOK(t, r, step.drafts...)
		if got := offered(t, r); got != step.want {
			t.Errorf("got  %s\nwant %s", got, step.want)
		}
		before := dump(t, r.DB())
		if err := r.Rebuild(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(before, dump(t, r.DB())) {
			t.Errorf("another state after a rebuild, where it was %s", step.want)
		}
	}
}

func TestAnApprovalIsAChangeOfWhatTheNameOffers(t *testing.T) {
	t.Parallel()
	r := openRecord(t, t.TempDir(), clock.System{})
	appendOK(t, r, published("a", "1.0.0"), published("b", "1.0.0"))
	made := appendOK(t, r, approval("a", "1.0.0"))
	for name, want := range map[string]int64{"a": made[0].Seq, "b": 1} {
		var revision int64
		if err := r.DB().Query().QueryRow(`SELECT revision FROM package WHERE name = $1`, name).Scan(&revision); err != nil || revision != want {
			t.Errorf("%s is at revision %d, %v; want %d", name, revision, err, want)
		}
	}
}
