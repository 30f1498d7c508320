package npm

import (
	"context"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// recallCache holds the recalled releases by name, as of a size of the record. npm asks with every
// install, so the answer must not cost a query per package.
type recallCache struct {
	mu     sync.Mutex
	loaded bool
	head   int64
	byName map[string][]registry.Recall // replaced as a whole, never changed
}

func (r *Registry) recalled(ctx context.Context) (map[string][]registry.Recall, error) {
	c := &r.recalls
	c.mu.Lock()
	defer c.mu.Unlock()
	head := r.core.Record().Head()
	if c.loaded && c.head == head {
		return c.byName, nil
	}
	all, err := r.core.Recalls(ctx, purl.NPM)
	if err != nil {
		return nil, err
	}
	c.byName = map[string][]registry.Recall{}
	for _, one := range all {
		c.byName[one.Name] = append(c.byName[one.Name], one)
	}
	c.loaded, c.head = true, head
	return c.byName, nil
}

// advisory is what npm audit prints. Source: npm docs, "bulk advisory"; npm-audit-report.
type advisory struct {
	ID         int64    `json:"id"`
	URL        string   `json:"url"`
	Title      string   `json:"title"`
	Severity   string   `json:"severity"`
	Vulnerable string   `json:"vulnerable_versions"`
	CWE        []string `json:"cwe"`
	CVSS       cvss     `json:"cvss"`
}

type cvss struct {
	Score  float64 `json:"score"`
	Vector *string `json:"vectorString"`
}

// advisories returns what is known of the versions asked about, as far as the actor may know of them: those that
// were recalled, and those that an advisory names.
func (r *Registry) advisories(ctx context.Context, actor evidence.Actor, q *question) map[string][]advisory {
	found := map[string][]advisory{}
	for name, versions := range q.wanted {
		if r.core.MayRead(ctx, actor, purl.NPM, name) != nil {
			continue
		}
		for _, one := range q.recalled[name] {
			if slices.Contains(versions, one.Version) {
				found[name] = append(found[name], r.advisory(one))
			}
		}
		if more := r.vulnerabilities(name, versions); len(more) > 0 {
			found[name] = append(found[name], more...)
		}
	}
	return found
}

func (r *Registry) advisory(one registry.Recall) advisory {
	return advisory{
		ID: one.Seq, URL: r.base + escapedName(one.Name), Title: "Recalled: " + one.Reason, Severity: "critical",
		Vulnerable: one.Version, CWE: []string{"CWE-506"},
	}
}

// vulnerabilities returns the advisories about any of the versions.
func (r *Registry) vulnerabilities(name string, versions []string) []advisory {
	var out []advisory
	told := map[string]bool{}
	for _, version := range versions {
		for _, v := range r.core.Vulnerabilities().About(purl.NPM, name, version) {
			if told[v.ID] {
				continue
			}
			told[v.ID] = true
			out = append(out, advisoryOf(v))
		}
	}
	return out
}

func advisoryOf(v evidence.Vulnerability) advisory {
	a := advisory{ID: advisoryID(v.ID), URL: v.URL, Title: v.Summary, Severity: v.Severity.String(), CWE: append([]string{}, v.CWEs...), CVSS: cvss{Score: v.Score}}
	if v.Severity == evidence.SeverityUnknown {
		a.Severity = evidence.SeverityModerate.String() // npm has no word for it, and leaves out what it does not know
	}
	if v.Vector != "" {
		a.CVSS.Vector = &v.Vector
	}
	spans := make([]string, len(v.Affected))
	for i, s := range v.Affected {
		spans[i] = rangeOf(s)
	}
	a.Vulnerable = strings.Join(spans, " || ")
	return a
}

// advisoryID is the number that npm wants for an advisory. It is no statement's, which a recall has.
func advisoryID(id string) int64 {
	h := fnv.New32a()
	h.Write([]byte(id))
	return 1<<32 + int64(h.Sum32())
}

// rangeOf writes a span as npm does. Source: node-semver, "ranges".
func rangeOf(s evidence.Span) string {
	if s.From != "" && s.From == s.Through {
		return s.From
	}
	var parts []string
	for _, one := range []struct{ sign, version string }{{">=", s.From}, {"<", s.Before}, {"<=", s.Through}} {
		if one.version != "" {
			parts = append(parts, one.sign+one.version)
		}
	}
	if parts == nil {
		return "*"
	}
	return strings.Join(parts, " ")
}

// bulkAdvisories answers POST /-/npm/v1/security/advisories/bulk: {"name": ["1.0.0"]}.
func (r *Registry) bulkAdvisories(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	q, err := r.readAudit(w, req, (*question).list)
	if err != nil {
		return err
	}
	r.respond(w, http.StatusOK, r.advisories(req.Context(), actor, q))
	return nil
}

// quickAudit answers the older audit, to which npm falls back and which other clients use.
// Source: npm, "security audits" v1.
func (r *Registry) quickAudit(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	q, err := r.readAudit(w, req, (*question).tree)
	if err != nil {
		return err
	}
	found := r.advisories(req.Context(), actor, q)
	type listed struct {
		advisory
		Module   string `json:"module_name"`
		Findings []any  `json:"findings"`
	}
	byID := map[string]listed{}
	counts := map[string]int{"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0}
	for name, all := range found {
		for _, a := range all {
			counts[a.Severity]++
			byID[strconv.FormatInt(a.ID, 10)+"/"+a.Vulnerable] = listed{a, name, []any{}}
		}
	}
	r.respond(w, http.StatusOK, map[string]any{
		"actions": []any{}, "advisories": byID, "muted": []any{},
		"metadata": map[string]any{
			"vulnerabilities": counts,
			"dependencies":    q.total, "devDependencies": 0, "optionalDependencies": 0, "totalDependencies": q.total,
		},
	})
	return nil
}
