package pypi

import (
	"cmp"
	"context"
	"slices"
	"time"

	pep440 "github.com/aquasecurity/go-pep440-version"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// project is what a name offers at one moment.
type project struct {
	name  string // as the core keeps it
	shown string // as its author spells it
	files []file // that may be installed now, oldest version first
	// status and reason are the project's as a whole. Source: PEP 792.
	status, reason string
	until          time.Time // when the next file ripens; zero for never
	prefixes       []ownedPrefix
}

// file is a file as the index tells of it.
type file struct {
	registry.Release
	facts
	sha256 string // hex
	url    string // relative to the project's page
}

// Statuses of a project. Source: PEP 792.
const (
	statusActive      = "active"
	statusQuarantined = "quarantined"
	statusDeprecated  = "deprecated"
)

// project returns what is offered under a name, hosted or from upstream. It fails with code name-unknown.
func (r *Registry) project(ctx context.Context, name string) (*project, error) {
	all, err := r.core.Releases(ctx, purl.PyPI, name)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, nameUnknown(name)
	}
	sieve, err := r.core.Sieve(ctx, purl.PyPI, name)
	if err != nil {
		return nil, err
	}
	p := &project{name: name}
	for _, rel := range all {
		if !p.keep(sieve, rel) {
			continue
		}
		f, err := r.stored.Get(ctx, rel.Metadata)
		if err != nil {
			return nil, err
		}
		p.files = append(p.files, file{Release: rel, facts: *f, sha256: rel.Artifact.Hex(), url: fileURL(name, rel.File)})
	}
	p.until = sieve.Until
	if p.prefixes, err = r.prefixes(ctx, name); err != nil {
		return nil, err
	}
	p.arrange()
	return p, nil
}

func nameUnknown(name string) error {
	return fault.New(fault.NotFound, "name-unknown", "there is no project %q here", fault.Clip(name))
}

// keep reports whether a file is offered now, and notes why not.
func (p *project) keep(sieve *registry.Sieve, rel registry.Release) bool {
	if sieve.Passes(rel) {
		return true
	}
	switch {
	case rel.State == registry.Withdrawn:
	case rel.Recalled != "":
		p.reason = cmp.Or(p.reason, "recalled: "+rel.Recalled)
	case rel.State == registry.Held:
		p.reason = cmp.Or(p.reason, "it waits for an approval")
	}
	return false
}

// arrange sorts the files and says how the project is.
func (p *project) arrange() {
	parsed := map[string]pep440.Version{}
	for _, f := range p.files {
		if _, ok := parsed[f.Version]; !ok {
			parsed[f.Version], _ = pep440.Parse(f.Version)
		}
	}
	slices.SortStableFunc(p.files, func(a, b file) int {
		if a.Version != b.Version {
			if order := parsed[a.Version].Compare(parsed[b.Version]); order != 0 {
				return order
			}
		}
		return cmp.Compare(a.File, b.File)
	})
	p.shown, p.status = p.name, statusActive
	if len(p.files) == 0 {
		if p.reason != "" {
			p.status = statusQuarantined
		}
		return
	}
	newest := p.files[len(p.files)-1]
	p.shown, p.reason = cmp.Or(newest.Name, p.name), ""
	if newest.Deprecated != "" {
		p.status, p.reason = statusDeprecated, newest.Deprecated
	}
}

// versions are those that have a file, oldest first.
func (p *project) versions() []string {
	out := []string{}
	for _, f := range p.files {
		if len(out) == 0 || out[len(out)-1] != f.Version {
			out = append(out, f.Version)
		}
	}
	return out
}
