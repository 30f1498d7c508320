package npm

import (
	"context"
	"net/http"
	"slices"
	"strconv"
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

// advisories returns the recalled ones of the versions asked about that the actor may know of.
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
	}
	return found
}

func (r *Registry) advisory(one registry.Recall) advisory {
	return advisory{
		ID: one.Seq, URL: r.base + escapedName(one.Name), Title: "Recalled: " + one.Reason, Severity: "critical",
		Vulnerable: one.Version, CWE: []string{"CWE-506"},
	}
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
	for name, all := range found {
		for _, a := range all {
			byID[strconv.FormatInt(a.ID, 10)+"/"+a.Vulnerable] = listed{a, name, []any{}}
		}
	}
	r.respond(w, http.StatusOK, map[string]any{
		"actions": []any{}, "advisories": byID, "muted": []any{},
		"metadata": map[string]any{
			"vulnerabilities": map[string]int{"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": len(byID)},
			"dependencies":    q.total, "devDependencies": 0, "optionalDependencies": 0, "totalDependencies": q.total,
		},
	})
	return nil
}
