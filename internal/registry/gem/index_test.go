package gem

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
	"github.com/hullmark/hullmark/internal/registry/gem/gemtest"
)

func TestAFullNameIsTakenApartInEveryWay(t *testing.T) {
	t.Parallel()
	for full, want := range map[string]string{
		"ui-1.0.0":                        "[{ui 1.0.0 ruby}]",
		"acme-ui-1.0.0-java":              "[{acme-ui 1.0.0 java}]",
		"a-1-b-2":                         "[{a 1 b-2} {a-1-b 2 ruby}]",
		"ui-1.0.0-x86_64-darwin-19":       "[{ui 1.0.0 x86_64-darwin-19} {ui-1.0.0-x86_64-darwin 19 ruby}]",
		"a-1-2.0":                         "[{a-1 2.0 ruby}]",
		"ui":                              "[]",
		"-1.0":                            "[]",
		"../ui-1.0":                       "[]",
		strings.Repeat("a-1-", 200) + "1": "[]",
	} {
		if got := fmt.Sprint(splits(full)); got != want {
			t.Errorf("%.40s: got %s, want %s", full, got, want)
		}
	}
}

func TestBothFormsOfTheCompactIndexAreRead(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0", 64)
	all := parseInfo("ui", "---\n1.0.0 |checksum:"+sum+"\n1.1.0-java rack:>= 2&< 4,zeitwerk:= 1.a|checksum:"+sum+",ruby:>= 2.7,rubygems:> 1.3,created_at:2026-01-02T03:04:05Z\n"+
		"bad\n1.2.0 rack:nonsense|checksum:"+sum+"\n1.3.0 |checksum:short\n1.4.0 ../x:>= 1|checksum:"+sum+"\n1.5.0 |created_at:never\n1.0.0 rack:>= 1|checksum:"+sum+"\n")
	if len(all) != 2 || all[0].Version != "1.0.0" || len(all[0].spec.Dependencies) != 1 {
		t.Fatalf("got %+v", all)
	}
	v := all[1]
	if v.spec.Platform != "java" || v.spec.Dependencies[0].Requirement.Join(", ") != ">= 2, < 4" || v.spec.RequiredRuby.Join("") != ">= 2.7" ||
		!v.Published.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("got %+v", v.spec)
	}
	if line := infoLine(v); line != "1.1.0-java rack:>= 2&< 4,zeitwerk:= 1.a|checksum:"+sum+",ruby:>= 2.7,rubygems:> 1.3,created_at:2026-01-02T03:04:05Z" {
		t.Errorf("it is written as %s", line)
	}
}

// FuzzInfoLine writes the line of the index for whatever can be read.
func FuzzInfoLine(f *testing.F) {
	f.Add([]byte(gemtest.Gem{Name: "ui", Version: "1.0.0", Dependencies: map[string]string{"rack": ">= 2"}}.YAML()))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := gemspec.ParseSpec(data)
		if err != nil {
			return
		}
		v := version{spec: s, sha256: strings.Repeat("0", 64)}
		v.Version = s.Key()
		if line := infoLine(v); strings.ContainsAny(line, "\n\r") {
			t.Errorf("%q is more than a line", line)
		}
	})
}

func FuzzCompactIndex(f *testing.F) {
	f.Add("---\n1.0.0-java rack:>= 2&< 4|checksum:" + strings.Repeat("0", 64) + ",ruby:>= 2.7,created_at:2026-01-02T03:04:05Z\n")
	f.Add("created_at: 2026-01-02T03:04:05Z\n---\nrack 1.0.0,1.1.0-java 0123\nrack -1.0.0 0123\n")
	f.Fuzz(func(t *testing.T, body string) {
		for _, v := range parseInfo("ui", body) {
			if v.spec.Check() != nil || strings.ContainsAny(infoLine(v), "\n\r") {
				t.Errorf("%+v was let through", v.spec)
			}
			gemspec.ParsePlatform(v.spec.Platform)
		}
		for name, versions := range parseVersions([]byte(body)) {
			if strings.ContainsAny(name+versions, " \n\r") {
				t.Errorf("%q %q is more than a line", name, versions)
			}
		}
	})
}
