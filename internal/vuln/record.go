package vuln

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// record is an advisory as far as it is read. Source: ossf.github.io/osv-schema 1.7.
type record struct {
	ID         string     `json:"id"`
	Modified   time.Time  `json:"modified"`
	Withdrawn  string     `json:"withdrawn"`
	Aliases    []string   `json:"aliases"`
	Summary    string     `json:"summary"`
	Details    string     `json:"details"`
	Severity   []severity `json:"severity"`
	Affected   []affected `json:"affected"`
	References []struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	} `json:"references"`
	Database json.RawMessage `json:"database_specific"`
}

type severity struct {
	Type  string `json:"type"`
	Score string `json:"score"` // a vector
}

type affected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity []severity `json:"severity"`
	Ranges   []struct {
		Type   string  `json:"type"`
		Events []event `json:"events"`
	} `json:"ranges"`
	Versions []string        `json:"versions"`
	Database json.RawMessage `json:"database_specific"`
}

type event struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
}

// version returns what the event is about; where one is about several things, the first counts.
func (e event) version() string {
	for _, v := range []string{e.Introduced, e.Fixed, e.LastAffected} {
		if v != "" {
			return v
		}
	}
	return ""
}

// specific is what databases add to the format that is of use here: GitHub's, and that of malicious packages.
type specific struct {
	Severity string   `json:"severity"`
	CWEIDs   []string `json:"cwe_ids"`
	CWEs     []struct {
		ID string `json:"cweId"`
	} `json:"cwes"`
}

// maxLine is how much of a summary is kept, in bytes.
const maxLine = 300

// finding is what a record says of one name.
type finding struct {
	evidence.Vulnerability
	single []string // affected versions that are in no span
}

// parse reads a record and returns what it says of the names that can be had here, by key; nothing when it was
// withdrawn. It fails with code advisory-malformed.
func parse(raw []byte) (map[string]*finding, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, malformed(err)
	}
	if r.ID == "" || len(r.ID) > maxLine {
		return nil, malformed(nil)
	}
	if r.Withdrawn != "" {
		return nil, nil
	}
	about := r.about()
	found := map[string]*finding{}
	for _, a := range r.Affected {
		e := ecosystemOf(a.Package.Ecosystem)
		if e == nil || a.Package.Name == "" {
			continue
		}
		key := e.key(a.Package.Name)
		f := found[key]
		if f == nil {
			f = &finding{Vulnerability: about}
			found[key] = f
		}
		f.take(e, a)
	}
	return found, nil
}

func malformed(cause error) error {
	return fault.New(fault.Invalid, "advisory-malformed", "an advisory is not a record in the OSV format; fetch it again, or leave it out").Because(cause)
}

// about is what the record says whatever the package.
func (r *record) about() evidence.Vulnerability {
	v := evidence.Vulnerability{ID: r.ID, Aliases: r.Aliases, Summary: line(r.Summary, r.Details, r.ID), Modified: r.Modified}
	v.URL = "https://osv.dev/vulnerability/" + r.ID
	for _, ref := range r.References {
		if ref.Type == "ADVISORY" && strings.HasPrefix(ref.URL, "https://") && strings.Contains(ref.URL, r.ID) {
			v.URL = ref.URL
			break
		}
	}
	rate(&v, r.Severity)
	specify(&v, r.Database)
	if strings.HasPrefix(r.ID, "MAL-") {
		v.Severity = evidence.SeverityCritical
	}
	return v
}

// line returns the first line of the first text that has one.
func line(texts ...string) string {
	for _, t := range texts {
		t, _, _ = strings.Cut(strings.TrimSpace(t), "\n")
		if t = strings.TrimSpace(t); t != "" {
			return strings.ToValidUTF8(t[:min(len(t), maxLine)], "")
		}
	}
	return ""
}

// specify adds what a database says beyond the format. What has another shape there says nothing.
func specify(v *evidence.Vulnerability, raw json.RawMessage) {
	var s specific
	if json.Unmarshal(raw, &s) != nil {
		return
	}
	if word := evidence.ParseSeverity(s.Severity); word != evidence.SeverityUnknown {
		v.Severity = word // its authors have looked at more than the vector
	}
	for _, c := range s.CWEs {
		s.CWEIDs = append(s.CWEIDs, c.ID)
	}
	for _, id := range s.CWEIDs {
		if !slices.Contains(v.CWEs, id) {
			v.CWEs = append(slices.Clip(v.CWEs), id)
		}
	}
}

// take adds what the record says of the versions of a package.
func (f *finding) take(e *ecosystem, a affected) {
	if len(a.Severity) > 0 {
		rate(&f.Vulnerability, a.Severity)
	}
	specify(&f.Vulnerability, a.Database)
	for _, one := range a.Ranges {
		if one.Type != "SEMVER" && one.Type != "ECOSYSTEM" {
			continue // commits are no releases
		}
		f.Affected = append(f.Affected, spans(e, one.Events)...)
		for _, ev := range one.Events {
			if ev.Fixed != "" && !slices.Contains(f.Fixed, ev.Fixed) {
				f.Fixed = append(f.Fixed, ev.Fixed)
			}
		}
	}
	for _, v := range a.Versions {
		if !e.anyHas(f.Affected, v) {
			f.single = append(f.single, v)
		}
	}
}

// spans turns the events of a range into spans. Source: osv-schema, "evaluation": the events are sorted, and a
// version is affected while the last event at or before it introduced the vulnerability.
func spans(e *ecosystem, events []event) []evidence.Span {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b event) int { return e.compare(a.version(), b.version()) })
	var out []evidence.Span
	open := false
	for _, ev := range events {
		switch {
		case ev.Introduced != "" && !open:
			open = true
			from := ev.Introduced
			if from == beginning {
				from = ""
			}
			out = append(out, evidence.Span{From: from})
		case ev.Fixed != "" && open:
			open = false
			out[len(out)-1].Before = ev.Fixed
		case ev.LastAffected != "" && open:
			open = false
			out[len(out)-1].Through = ev.LastAffected
		}
	}
	return out
}

// beginning is how the format writes the version before all others.
const beginning = "0"
