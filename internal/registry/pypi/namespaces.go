package pypi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi/dist"
)

// Namespaces knows whose prefixes are. The account package implements it.
type Namespaces interface {
	// Of returns the prefix that covers a project; without a name when nobody has claimed one.
	Of(ctx context.Context, project string) (Prefix, error)
	// All returns the prefixes that everybody may see.
	All(ctx context.Context) ([]Prefix, error)
}

// Prefix is a claimed namespace: "acme" stands for acme and all names that begin with "acme-".
type Prefix struct{ Name, Owner string }

// ownedPrefix is a prefix as a project's index tells of it. Source: PEP 752.
type ownedPrefix struct {
	Name  string `json:"name"`
	Owned bool   `json:"owned"`
}

// prefixes returns the prefix that a hosted project is in; its owner is who publishes here.
func (r *Registry) prefixes(ctx context.Context, name string) ([]ownedPrefix, error) {
	if r.config.Namespaces == nil {
		return nil, nil
	}
	p, err := r.config.Namespaces.Of(ctx, name)
	if err != nil || p.Name == "" {
		return nil, err
	}
	return []ownedPrefix{{Name: p.Name, Owned: true}}, nil
}

// namespaceJSON is a prefix of the lists. Source: PEP 752.
type namespaceJSON struct {
	Name     string   `json:"name"`
	Owner    string   `json:"owner,omitempty"`
	Parent   *string  `json:"parent"`
	Children []string `json:"children"`
}

func (r *Registry) namespaces(ctx context.Context) ([]namespaceJSON, error) {
	out := []namespaceJSON{}
	if r.config.Namespaces == nil {
		return out, nil
	}
	all, err := r.config.Namespaces.All(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Prefix) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range all {
		n := namespaceJSON{Name: p.Name, Owner: p.Owner, Children: []string{}}
		for _, q := range all {
			if strings.HasPrefix(p.Name, q.Name+"-") && (n.Parent == nil || len(q.Name) > len(*n.Parent)) {
				parent := q.Name
				n.Parent = &parent
			}
			if strings.HasPrefix(q.Name, p.Name+"-") {
				n.Children = append(n.Children, q.Name)
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// serveNamespaces answers GET /namespaces.
func (r *Registry) serveNamespaces(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	all, err := r.namespaces(req.Context())
	if err != nil {
		return err
	}
	return registry.AnswerJSON(w, http.StatusOK, typeJSON, map[string]any{"meta": meta{versionJSON}, "namespaces": all})
}

// serveNamespace answers GET /namespace/{namespace}.
func (r *Registry) serveNamespace(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	all, err := r.namespaces(req.Context())
	if err != nil {
		return err
	}
	for _, n := range all {
		if n.Name == dist.Normal(req.PathValue("namespace")) {
			return registry.AnswerJSON(w, http.StatusOK, typeJSON, n)
		}
	}
	return fault.New(fault.NotFound, "name-unknown", "there is no namespace %q here", fault.Clip(req.PathValue("namespace")))
}
