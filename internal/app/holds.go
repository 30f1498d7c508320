package app

import (
	"context"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/registry"
)

// reviewer is the publish stage in the words of the registry core.
type reviewer struct{ *publish.Service }

// Review implements registry.Reviewer.
func (r reviewer) Review(ctx context.Context, actor evidence.Actor, u registry.Upload) (*registry.Hold, error) {
	f, err := r.Service.Review(ctx, publish.Candidate{
		Actor: actor, Ecosystem: u.Ecosystem, Name: u.Name, Version: u.Version, File: u.File, Type: u.ArtifactType, PURL: u.PURL, Size: u.Size,
		Inventory: u.Inventory, Order: u.Order, Stage: u.Stage, Tags: u.Tags, Made: u.Made,
	})
	if f == nil || err != nil {
		return nil, err
	}
	return &registry.Hold{
		ID: f.ID, Code: f.Code, Summary: f.Summary, Reasons: f.Reasons, Input: f.Input, Noted: f.Noted, Warn: f.Warn,
	}, nil
}

// people is the account service in the words of the publish stage.
type people struct{ *account.Service }

// NamespaceOf implements publish.People.
func (p people) NamespaceOf(ctx context.Context, ecosystem, name string) (string, error) {
	n, err := p.Service.Namespace(ctx, ecosystem, name)
	return n.Pattern, err
}

// MissingFactor implements publish.People.
func (p people) MissingFactor(ctx context.Context, name, factor string) error {
	level := account.AnyFactor
	if factor == string(evidence.WebAuthn) {
		level = account.PhishingResistant
	}
	return p.Service.MissingFactor(ctx, name, level)
}

// stages is what waits in one ecosystem, in the words of the registry core.
type stages struct {
	*publish.Service
	ecosystem string
}

// List implements registry.Stages.
func (s stages) List(ctx context.Context, actor evidence.Actor, name string, offset, limit int) ([]registry.Staged, int, error) {
	found, total, err := s.Waiting(ctx, actor, s.ecosystem, name, offset, limit)
	out := make([]registry.Staged, len(found))
	for i, h := range found {
		out[i] = staged(h)
	}
	return out, total, err
}

// Find implements registry.Stages.
func (s stages) Find(ctx context.Context, actor evidence.Actor, perm evidence.Permission, id string) (registry.Staged, error) {
	h, err := s.ByID(ctx, actor, perm, id)
	return staged(h), err
}

// Approve implements registry.Stages.
func (s stages) Approve(ctx context.Context, actor evidence.Actor, of registry.Staged, reason string) (have, needed int, err error) {
	made, err := s.Service.Approve(ctx, actor, of.PURL, reason)
	return made.Have, made.Needed, err
}

// Reject implements registry.Stages.
func (s stages) Reject(ctx context.Context, actor evidence.Actor, of registry.Staged, reason string) error {
	return s.Service.Reject(ctx, actor, of.PURL, reason)
}

func staged(h publish.Hold) registry.Staged {
	out := registry.Staged{
		ID: h.ID, Name: h.Name, Version: h.Version, PURL: h.PURL, Artifact: h.Artifact, Tags: h.Tags, At: h.At,
		Publisher: h.Publisher, Credential: h.Credential, Code: h.Code, Approved: h.Approved, Needed: h.Needed,
	}
	for _, p := range h.Points {
		out.Findings = append(out.Findings, p.Rule+": "+p.Summary)
	}
	return out
}
