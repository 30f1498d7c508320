package osv_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/recall/osv"
)

var at = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func target(ecosystem, name, version string) recall.Target {
	return recall.Target{Ecosystem: ecosystem, Name: name, Version: version, PURL: string(purl.New(ecosystem, name, version)), Artifact: digest.FromBytes([]byte(name))}
}

func past(targets ...recall.Target) recall.Past {
	return recall.Past{Recall: recall.Recall{Seq: 4711, At: at, Reason: "worm in postinstall", Cause: recall.Malware}, Targets: targets}
}

// schema is the format's own, from the module that its project publishes.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	fetch := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/ossf/osv-schema@v"+osv.SchemaVersion)
	fetch.Dir = t.TempDir() // it is no part of this module
	out, err := fetch.Output()
	var module struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the schema cannot be had: %v: %s", err, out)
		}
		t.Skipf("needs the module github.com/ossf/osv-schema: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(module.Dir, "validation", "schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("osv.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("osv.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryAdvisoryIsOneByTheFormatsOwnSchema(t *testing.T) {
	t.Parallel()
	s := schema(t)
	lifted, replaced := past(target(purl.NPM, "@acme/ui", "1.2.3")), past(target(purl.PyPI, "acme-ui", "1.0"))
	lifted.Ended, lifted.Why = at.Add(time.Hour), "a false alarm"
	replaced.Ended, replaced.Next = at.Add(time.Hour), 4720
	for name, p := range map[string]recall.Past{
		"in force": past(target(purl.NPM, "@acme/ui", "1.2.3")), "lifted": lifted, "replaced": replaced,
		"of every ecosystem": past(target(purl.NPM, "ui", "1.2.3"), target(purl.PyPI, "ui", "1"), target(purl.Maven, "com.acme/ui", "1"),
			target(purl.NuGet, "acme.ui", "1.0.0"), target(purl.Gem, "ui", "1.0")),
		"never here": past(recall.Target{Ecosystem: purl.NPM, Name: "left-pad", Version: "9.9.9"}),
	} {
		r, ok := osv.Of(p, "https://hullmark.example")
		if !ok {
			t.Errorf("%s: no advisory", name)
			continue
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	// The schema can fail: an id without the mark of a local database is nobody's.
	r, _ := osv.Of(past(target(purl.NPM, "ui", "1.2.3")), "https://hullmark.example")
	r.ID = strings.TrimPrefix(r.ID, "x_")
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if s.Validate(doc) == nil {
		t.Error("the schema takes everything")
	}
}

func TestAnAdvisorySaysWhatIsMeantAndWhetherItStillHolds(t *testing.T) {
	t.Parallel()
	p := past(target(purl.Maven, "com.acme/ui", "1"), target(purl.Maven, "com.acme/ui", "2"))
	r, _ := osv.Of(p, "https://hullmark.example")
	if r.ID != "x_HLM-2026-4711" || r.Withdrawn != "" || r.Published != "2026-11-26T12:00:00.000Z" {
		t.Errorf("%+v", r)
	}
	if len(r.Affected) != 1 || r.Affected[0].Package.Name != "com.acme:ui" || strings.Join(r.Affected[0].Versions, " ") != "1 2" ||
		r.Affected[0].Package.PURL != "pkg:maven/com.acme/ui" {
		t.Errorf("affected %+v", r.Affected)
	}
	if seq, ok := osv.Number(r.ID); !ok || seq != p.Seq {
		t.Errorf("the id leads to %d", seq)
	}
	p.Ended, p.Why = at.Add(time.Hour), "a false alarm"
	if r, _ = osv.Of(p, ""); r.Withdrawn != "2026-11-26T13:00:00.000Z" || r.Modified != r.Withdrawn || !strings.Contains(r.Details, "a false alarm") {
		t.Errorf("lifted: %+v", r)
	}
}

func TestWhatTheFormatHasNoWordsForHasNoAdvisory(t *testing.T) {
	t.Parallel()
	vulnerable := past(target(purl.NPM, "ui", "1.2.3"))
	vulnerable.Cause = recall.Vulnerability
	for name, p := range map[string]recall.Past{
		"not malware": vulnerable, "an image": past(target(purl.OCI, "acme/app", "sha256:00")), "a file": past(), "a whole name": past(target(purl.NPM, "ui", "")),
	} {
		if r, ok := osv.Of(p, ""); ok {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for _, id := range []string{"", "HLM-2026-1", "x_HLM-2026", "x_HLM-2026--1", "x_HLM-20-1", "x_HLM-2026-x"} {
		if seq, ok := osv.Number(id); ok {
			t.Errorf("%q leads to %d", id, seq)
		}
	}
}
