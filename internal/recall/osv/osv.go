// Package osv writes recalls of malware as advisories in the Open Source Vulnerability format, which
// scanners read: a document for each recall, withdrawn when it was lifted.
//
// It refuses to say more than the record does: no severity score, no ranges, no aliases. Recalls for
// other causes, and of what has no ecosystem in the format (images, single files), have no document.
package osv

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/recall"
)

// SchemaVersion is the version of the format. Source: ossf/osv-schema, validation/schema.json.
const SchemaVersion = "1.9.0"

// prefix begins our ids. The format keeps "x_" for databases that osv.dev does not collect.
const prefix = "x_HLM-"

// ecosystems are the format's names of the ecosystems that it has.
var ecosystems = [...]struct{ ours, osv string }{
	{purl.NPM, "npm"}, {purl.PyPI, "PyPI"}, {purl.Maven, "Maven"}, {purl.NuGet, "NuGet"}, {purl.Gem, "RubyGems"},
}

// Record is an advisory. Source: ossf.github.io/osv-schema.
type Record struct {
	SchemaVersion string      `json:"schema_version"`
	ID            string      `json:"id"`
	Modified      string      `json:"modified"`
	Published     string      `json:"published"`
	Withdrawn     string      `json:"withdrawn,omitempty"`
	Related       []string    `json:"related,omitempty"`
	Summary       string      `json:"summary"`
	Details       string      `json:"details"`
	Affected      []Affected  `json:"affected"`
	References    []Reference `json:"references,omitempty"`
	Database      Database    `json:"database_specific"`
}

// Affected is a package with the versions of it that the advisory is about.
type Affected struct {
	Package  Package          `json:"package"`
	Versions []string         `json:"versions"`
	Database AffectedDatabase `json:"database_specific"`
}

// Package names a package in the words of its ecosystem.
type Package struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
	PURL      string `json:"purl"` // without version
}

// AffectedDatabase is what the record knows beyond the format.
type AffectedDatabase struct {
	// CWEs are the weaknesses, as other databases of malware have them.
	CWEs []CWE `json:"cwes"`
	// Artifacts are the digests of the recalled bytes.
	Artifacts []string `json:"artifacts,omitempty"`
}

// CWE is a weakness of the Common Weakness Enumeration.
type CWE struct {
	ID   string `json:"cweId"`
	Name string `json:"name"`
}

// Reference leads to more.
type Reference struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

// Database says where in the log the recall is.
type Database struct {
	Recall int64    `json:"recall"`          // sequence number of the statement = leaf in the log
	Gates  []string `json:"gates,omitempty"` // that enforce it; none: all
}

// ID is the advisory's id: the year of the recall, and the number of its statement, which is no other's.
func ID(r recall.Recall) string { return fmt.Sprintf("%s%d-%d", prefix, r.At.UTC().Year(), r.Seq) }

// Number returns the recall's number of an id.
func Number(id string) (seq int64, ok bool) {
	rest, ok := strings.CutPrefix(id, prefix)
	year, number, cut := strings.Cut(rest, "-")
	if !ok || !cut || len(year) != 4 {
		return 0, false
	}
	seq, err := strconv.ParseInt(number, 10, 64)
	return seq, err == nil && seq >= 0
}

// Of returns the advisory of a recall. ok is false where the format has no words for it. url is where
// the server is, without final slash.
func Of(p recall.Past, url string) (r Record, ok bool) {
	if p.Cause != recall.Malware {
		return Record{}, false
	}
	r = Record{
		SchemaVersion: SchemaVersion, ID: ID(p.Recall), Published: stamp(p.At), Modified: stamp(p.At),
		Database: Database{Recall: p.Seq, Gates: p.Gates},
	}
	for _, t := range p.Targets {
		r.add(t)
	}
	if len(r.Affected) == 0 {
		return Record{}, false
	}
	r.Summary = "Malicious code in " + names(r.Affected)
	r.Details = "Recalled: " + p.Reason
	if !p.Ended.IsZero() {
		r.Withdrawn, r.Modified = stamp(p.Ended), stamp(p.Ended)
		if p.Next != 0 {
			next := p.Recall
			next.Seq, next.At = p.Next, p.Ended
			r.Related = []string{ID(next)}
		} else {
			r.Details += "\n\nLifted: " + p.Why
		}
	}
	r.References = []Reference{{Type: "WEB", URL: url + "/api/v1/recalls"}}
	return r, true
}

func (r *Record) add(t recall.Target) {
	i := slices.IndexFunc(ecosystems[:], func(e struct{ ours, osv string }) bool { return e.ours == t.Ecosystem })
	if i < 0 || t.Version == "" {
		return
	}
	name := t.Name
	if t.Ecosystem == purl.Maven {
		name = strings.Replace(name, "/", ":", 1)
	}
	var artifacts []string
	if t.Artifact != "" {
		artifacts = []string{string(t.Artifact)}
	}
	p := Package{Ecosystem: ecosystems[i].osv, Name: name, PURL: string(purl.New(t.Ecosystem, t.Name, ""))}
	at := slices.IndexFunc(r.Affected, func(a Affected) bool { return a.Package == p })
	if at >= 0 {
		r.Affected[at].Versions = append(r.Affected[at].Versions, t.Version)
		r.Affected[at].Database.Artifacts = append(r.Affected[at].Database.Artifacts, artifacts...)
		return
	}
	r.Affected = append(r.Affected, Affected{Package: p, Versions: []string{t.Version}, Database: AffectedDatabase{
		CWEs: []CWE{{ID: "CWE-506", Name: "Embedded Malicious Code"}}, Artifacts: artifacts,
	}})
}

func names(all []Affected) string {
	text := all[0].Package.Name + " (" + all[0].Package.Ecosystem + ")"
	if n := len(all) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
