package pypi

import "context"

// Namespaces knows whose prefixes are. The account package implements it.
type Namespaces interface {
	// Prefixes returns every claimed prefix, narrowest last.
	Prefixes(ctx context.Context) ([]Prefix, error)
}

// Prefix is a claimed namespace: "acme" stands for acme and all names that begin with "acme-".
type Prefix struct{ Name, Owner string }

type owned struct{}

type ownedPrefix struct {
	Name  string `json:"name"`
	Owned bool   `json:"owned"`
}

func (o *owned) prefixes() []ownedPrefix { return nil }

func (r *Registry) owned(ctx context.Context, name string) (*owned, error) { return nil, nil }
