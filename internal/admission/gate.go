package admission

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/hullmark/hullmark/internal/admission/report"
	"github.com/hullmark/hullmark/internal/admission/snapshot"
	"github.com/hullmark/hullmark/internal/admission/workload"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
)

// Namespaces knows the labels of namespaces from memory.
type Namespaces interface {
	// Labels returns ok=false for a namespace that is not known.
	Labels(name string) (labels map[string]string, ok bool)
}

// Decisions takes statements without waiting.
type Decisions interface {
	Take(report.Statement)
}

// Config says what a gate decides from and whom it tells.
type Config struct {
	// Cluster is this cluster's name in scopes of policies and exceptions.
	Cluster string
	// Registries are the hosts, with port, under which the server's repositories are known to the cluster. A
	// tag of another registry says nothing about a digest, so its images have to be pinned to be known.
	Registries []string
	// Controllers are accounts beside the cluster's own whose word about a pod's owner is believed.
	Controllers []string
	// StaleAfter is the age of the snapshot from which on every answer carries a warning. Default 1 h.
	StaleAfter time.Duration

	Snapshot   *snapshot.Snapshot
	Namespaces Namespaces
	Decisions  Decisions
	Clock      clock.Clock
	Log        *slog.Logger
}

// Gate decides. It is safe for concurrent use.
type Gate struct {
	cluster     string
	registries  map[string]bool
	controllers []string
	staleAfter  time.Duration
	snapshot    *snapshot.Snapshot
	namespaces  Namespaces
	decisions   Decisions
	clock       clock.Clock
	log         *slog.Logger
}

// NewGate returns a gate.
func NewGate(c Config) *Gate {
	g := &Gate{
		cluster: c.Cluster, registries: map[string]bool{}, controllers: c.Controllers, staleAfter: c.StaleAfter,
		snapshot: c.Snapshot, namespaces: c.Namespaces, decisions: c.Decisions, clock: c.Clock, log: c.Log,
	}
	for _, host := range c.Registries {
		g.registries[host] = true
	}
	if g.staleAfter == 0 {
		g.staleAfter = time.Hour
	}
	return g
}

func (g *Gate) ours(registry string) bool { return g.registries[registry] }

// decision is everything that one answer is made of.
type decision struct {
	object  *workload.Object
	request policy.Request
	view    snapshot.View
	verdict policy.Verdict
}

// Validate decides about a request. It fails when it cannot decide at all; the caller then answers with
// an error, not with a permission.
func (g *Gate) Validate(r *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
	if !stores(r) {
		return &admissionv1.AdmissionResponse{Allowed: true}, nil
	}
	o, err := readObject(r)
	if err != nil {
		return g.unreadable(r, err), nil
	}
	if len(o.Images) == 0 {
		return &admissionv1.AdmissionResponse{Allowed: true}, nil
	}
	d, err := g.decide(r, o)
	if err != nil {
		return nil, err
	}
	if !d.request.DryRun {
		g.decisions.Take(d.statement())
	}
	return g.answer(d), nil
}

// Mutate pins the tags of a pod. It denies only where the validating webhook could no longer tell what
// the author wrote: a subresource does not take the annotation.
func (g *Gate) Mutate(r *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
	allowed := &admissionv1.AdmissionResponse{Allowed: true}
	if !stores(r) {
		return allowed, nil
	}
	o, err := readObject(r)
	if err != nil {
		return g.unreadable(r, err), nil
	}
	if len(o.Images) == 0 || !o.IsPod() {
		return allowed, nil
	}
	if r.SubResource != "" {
		if d, err := g.decide(r, o); err != nil {
			return nil, err
		} else if !d.verdict.Allow {
			return g.Validate(r)
		}
	}
	req := g.request(r, o)
	if _, err := g.snapshot.View(req.Images, g.ours); err != nil {
		return nil, err
	}
	patch, err := pin(r, o, req.Images)
	if err != nil {
		return g.unreadable(r, err), nil
	}
	if patch != nil {
		kind := admissionv1.PatchTypeJSONPatch
		allowed.Patch, allowed.PatchType = patch, &kind
	}
	return allowed, nil
}

// stores reports whether a request would store an object: a deletion runs nothing.
func stores(r *admissionv1.AdmissionRequest) bool {
	return r.Operation == admissionv1.Create || r.Operation == admissionv1.Update
}

func (g *Gate) decide(r *admissionv1.AdmissionRequest, o *workload.Object) (*decision, error) {
	d := &decision{object: o, request: g.request(r, o)}
	var err error
	if d.view, err = g.snapshot.View(d.request.Images, g.ours); err != nil {
		return nil, err
	}
	d.verdict = d.view.Program.Decide(d.request, d.view.Record, d.view.Exceptions)
	d.verdict.Revision, d.verdict.Head = d.view.Revision, d.view.Head
	d.unreadableImages()
	return d, nil
}

// unreadableImages denies what no runtime could start and no policy could judge. No exception helps:
// with what is written there, nothing would run.
func (d *decision) unreadableImages() {
	for _, img := range d.object.Images {
		if img.Err == nil {
			continue
		}
		d.verdict.Allow = false
		d.verdict.Findings = append(d.verdict.Findings, policy.Failure{
			Policy: "image-reference", Check: "readable", Stage: policy.Enforce, Container: img.Container, Image: img.Reference,
			Message: fault.As(img.Err).Text, Error: "image-reference-invalid",
		})
	}
}

// unreadable denies an object that cannot be read. What it would run is not known, so there is nothing to
// make a statement about.
func (g *Gate) unreadable(r *admissionv1.AdmissionRequest, err error) *admissionv1.AdmissionResponse {
	g.log.Warn("an object was denied because it cannot be read", "uid", r.UID, "kind", r.Kind.Kind, "namespace", r.Namespace, "error", err)
	return denied(fault.As(err))
}

// What the server takes of one statement, and the log of all of it together (64 KB). Texts in bytes.
const (
	maxSubjects   = 32
	maxName       = 256
	maxReasons    = 64
	maxText       = 1024
	maxReasonText = 16 << 10
	maxInput      = 24 << 10
)

// statement is what the record is told.
func (d *decision) statement() report.Statement {
	verdict, code := "allow", ""
	if !d.verdict.Allow {
		verdict, code = "deny", "admission-denied"
	}
	p := evidence.Decision{
		Gate: "admit", Action: strings.ToLower(d.request.Operation), Verdict: verdict, Code: code, Policy: d.verdict.Revision, Head: d.verdict.Head,
		Exceptions: d.verdict.Exceptions[:min(len(d.verdict.Exceptions), maxReasons)], Actor: evidence.Actor{Account: d.request.User, Method: "kubernetes"},
		ID: plain(d.request.ID), Workload: &evidence.WorkloadRef{
			Cluster: d.request.Cluster, Namespace: plain(d.request.Namespace), Kind: plain(d.request.Kind), Name: plain(d.request.Name),
		},
		Input: d.input(),
	}
	total := 0
	for _, f := range d.verdict.Findings[:min(len(d.verdict.Findings), maxReasons)] {
		reason := plain(fmt.Sprintf("%s: %s", f.Stage, f.Sentence()))
		if total += len(reason); total > maxReasonText {
			break
		}
		p.Reasons = append(p.Reasons, reason)
	}
	return report.Statement{Subjects: d.subjects(), Predicate: p, Keep: !d.verdict.Allow || len(d.verdict.Exceptions) > 0}
}

// input is what the decision can be recomputed from. Of an object with so many images that the record
// does not take it, there is none: that it was decided is worth more than that it can be recomputed.
// Nor is there where no policy decided, but an image that cannot be read.
func (d *decision) input() json.RawMessage {
	if slices.ContainsFunc(d.object.Images, func(img workload.Image) bool { return img.Err != nil }) {
		return nil
	}
	raw, err := json.Marshal(d.request)
	if err != nil || len(raw) > maxInput {
		return nil
	}
	return raw
}

// plain makes a text that came with an object fit for the record.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return cut(s, maxText)
}

// subjects are the images that were decided on: by digest, or by name where there is no digest.
func (d *decision) subjects() []evidence.Subject {
	seen := map[string]bool{}
	var out []evidence.Subject
	for _, img := range d.request.Images {
		name := img.Digest
		if name == "" {
			name = "image:" + cut(plain(img.Reference), maxName)
		}
		if seen[name] || len(out) == maxSubjects {
			continue
		}
		seen[name] = true
		if hex, ok := strings.CutPrefix(img.Digest, "sha256:"); ok {
			out = append(out, evidence.Subject{Digest: map[string]string{"sha256": hex}})
		} else {
			out = append(out, evidence.Subject{Name: name})
		}
	}
	return out
}
