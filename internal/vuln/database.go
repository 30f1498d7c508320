// Package vuln knows which releases are publicly known to be vulnerable: from advisories in the Open Source
// Vulnerability format, which osv.dev, GitHub and others publish as files, and which the operator of a server
// fetches and gives to it. It asks nobody.
//
// An advisory about a name is matched with versions as the name's ecosystem orders them; a withdrawn one says
// nothing. Source: ossf.github.io/osv-schema.
package vuln

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
)

// Database is what some advisories say. It never changes, and is safe for concurrent use.
type Database struct {
	about    map[string][]*finding // by ecosystem and name, in the order of the ids
	names    map[string][]string   // by ecosystem, sorted
	revision string
	records  int
}

// builder makes a database of records.
type builder struct {
	db  Database
	sum hash.Hash
}

// New returns the database of some advisories in the format. It fails with code advisory-malformed.
func New(records ...[]byte) (*Database, error) {
	b := newBuilder()
	for _, raw := range records {
		if err := b.add(raw); err != nil {
			return nil, err
		}
	}
	return b.database(), nil
}

func newBuilder() *builder {
	return &builder{db: Database{about: map[string][]*finding{}, names: map[string][]string{}}, sum: sha256.New()}
}

func (b *builder) add(raw []byte) error {
	found, err := parse(raw)
	if err != nil {
		return err
	}
	b.sum.Write(raw)
	if len(found) > 0 {
		b.db.records++
	}
	for key, f := range found {
		b.db.about[key] = append(b.db.about[key], f)
	}
	return nil
}

func (b *builder) database() *Database {
	b.db.revision = hex.EncodeToString(b.sum.Sum(nil)[:8])
	for key, all := range b.db.about {
		slices.SortStableFunc(all, func(a, b *finding) int {
			if order := strings.Compare(a.ID, b.ID); order != 0 {
				return order
			}
			return b.Modified.Compare(a.Modified)
		})
		// The same advisory from two files: the newer one counts.
		b.db.about[key] = slices.CompactFunc(all, func(a, b *finding) bool { return a.ID == b.ID })
		ecosystem, name, _ := strings.Cut(key, " ")
		b.db.names[ecosystem] = append(b.db.names[ecosystem], name)
	}
	for _, names := range b.db.names {
		slices.Sort(names)
	}
	return &b.db
}

// About implements the registry's Vulnerabilities.
func (d *Database) About(ecosystem, name, version string) []evidence.Vulnerability {
	e := byPURL(ecosystem)
	if e == nil {
		return nil
	}
	var out []evidence.Vulnerability
	for _, f := range d.about[ecosystem+" "+name] {
		if version == "" || f.affects(e, version) {
			out = append(out, f.whole())
		}
	}
	return out
}

func (f *finding) affects(e *ecosystem, version string) bool {
	return e.anyHas(f.Affected, version) || slices.ContainsFunc(f.single, func(one string) bool { return e.compare(one, version) == 0 })
}

// whole returns the vulnerability with its single versions as spans.
func (f *finding) whole() evidence.Vulnerability {
	v := f.Vulnerability
	v.Affected = slices.Clip(v.Affected)
	for _, one := range f.single {
		v.Affected = append(v.Affected, evidence.Span{From: one, Through: one})
	}
	return v
}

// Names implements the registry's Vulnerabilities. The result must not be changed.
func (d *Database) Names(ecosystem string) []string { return d.names[ecosystem] }

// Fixes implements the registry's Vulnerabilities.
func (d *Database) Fixes(ecosystem, name, version string) string {
	e := byPURL(ecosystem)
	if e == nil || version == "" {
		return ""
	}
	fixes := ""
	for _, f := range d.about[ecosystem+" "+name] {
		if f.affects(e, version) {
			return ""
		}
		if fixes == "" && slices.ContainsFunc(f.Fixed, func(one string) bool { return e.compare(one, version) == 0 }) {
			fixes = f.ID
		}
	}
	return fixes
}

// Mark implements the registry's Vulnerabilities.
func (d *Database) Mark(ecosystem, name string) string {
	if name == "" && len(d.names[ecosystem]) > 0 || len(d.about[ecosystem+" "+name]) > 0 {
		return d.revision
	}
	return ""
}
