package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/trace"
)

func (a *API) health(w http.ResponseWriter, r *http.Request, _ evidence.Actor) error {
	if err := a.record.DB().Query().PingContext(r.Context()); err != nil {
		return fault.New(fault.Unavailable, "store-unavailable", "the database cannot be read; try again later").Because(err)
	}
	return reply(w, r, http.StatusOK, resource.Health{Status: "ok", Head: a.record.Head()})
}

func (a *API) version(w http.ResponseWriter, r *http.Request, _ evidence.Actor) error {
	return replyTagged(w, r, resource.Version{Version: a.Version, Go: runtime.Version()})
}

func (a *API) trace(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	// Under whatever name the caller has reached this server, the images behind it are ours.
	result, err := a.Tracer.WithHosts(r.Host).Trace(r.Context(), actor, r.URL.Query().Get("q"))
	if err != nil {
		return err
	}
	a.markVulnerable(result.Root)
	return replyTagged(w, r, result)
}

// markVulnerable adds to each release and component of a tree what advisories say of it.
func (a *API) markVulnerable(n *trace.Node) {
	for _, child := range n.Children {
		a.markVulnerable(child)
	}
	if n.Kind != trace.KindRelease && n.Kind != trace.KindComponent {
		return
	}
	ecosystem, name, version := purl.PURL(n.ID).Split()
	if version == "" {
		return
	}
	var known []*trace.Node
	for _, v := range a.Core.Vulnerabilities().About(ecosystem, name, version) {
		known = append(known, trace.Vulnerability(v))
	}
	n.Children = append(known, n.Children...)
}

// subject reads the purl or digest that a path names.
func subject(r *http.Request) (string, error) {
	text := r.PathValue("subject")
	if strings.HasPrefix(text, "pkg:") {
		p, err := purl.Parse(text)
		return string(p), err
	}
	if _, err := hex.DecodeString(text); err == nil && len(text) == 2*sha256.Size {
		text = digest.SHA256 + ":" + text // as sha256sum prints it
	}
	d, err := digest.Parse(text)
	if err != nil {
		return "", fault.New(fault.Invalid, "subject-invalid",
			"%q has no record of its own; give a purl (pkg:npm/...) or a digest (sha256:...), which 'hullmark trace' finds for an image", text)
	}
	return string(d), nil
}

func (a *API) statements(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	about, err := a.readable(r, actor)
	if err != nil {
		return err
	}
	after, limit, err := pageBySeq(r)
	if err != nil {
		return err
	}
	found, err := a.record.About(r.Context(), about, after, limit)
	if err != nil {
		return err
	}
	if after < 0 && len(found) == 0 {
		return fault.New(fault.NotFound, "record-empty", "the record holds no statement about %s", about)
	}
	names := a.names(r, actor)
	out := resource.Page[resource.Statement]{Items: []resource.Statement{}}
	for _, s := range found {
		ok, err := names.mayRead(s)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		body, err := s.Encode()
		if err != nil {
			return err
		}
		out.Items = append(out.Items, json.RawMessage(body))
	}
	if len(found) == limit {
		out.Next = cursor(strconv.FormatInt(found[limit-1].Seq, 10))
	}
	return reply(w, r, http.StatusOK, out)
}

// readable returns the path's subject, if the actor may read its record.
func (a *API) readable(r *http.Request, actor evidence.Actor) (string, error) {
	about, err := subject(r)
	if err != nil {
		return "", err
	}
	if about, err = a.Tracer.Subject(r.Context(), about); err != nil {
		return "", err
	}
	return about, a.Tracer.MayRead(r.Context(), actor, about)
}

// names remembers, for one request, which names the actor may read.
type names struct {
	known  map[string]bool
	ask    func(name string) error
	follow func(s evidence.Statement) error // about where things run
}

func (a *API) names(r *http.Request, actor evidence.Actor) names {
	return names{
		known:  map[string]bool{},
		ask:    func(name string) error { return a.Tracer.MayRead(r.Context(), actor, name) },
		follow: func(s evidence.Statement) error { return a.Policies.MayFollow(r.Context(), actor, s) },
	}
}

// tellsWhoRuns reports whether a statement says where something runs: in which cluster, under which name.
func tellsWhoRuns(s evidence.Statement) bool {
	switch s.PredicateType {
	case evidence.PlacementType, evidence.BehaviourType:
		return true
	case evidence.DecisionType:
		d, err := evidence.Decode[evidence.Decision](s)
		return err != nil || d.Gate == "admit" || d.Gate == "run"
	}
	return false
}

// mayRead reports whether the actor may read every name that a statement is about: one digest can
// be in a public and in a private repository.
func (n names) mayRead(s evidence.Statement) (bool, error) {
	if tellsWhoRuns(s) {
		err := n.follow(s)
		if err != nil && !refused(err) {
			return false, err
		}
		return err == nil, nil
	}
	for _, subject := range s.Subject {
		if !strings.HasPrefix(subject.Name, "pkg:") {
			continue
		}
		ok, known := n.known[subject.Name]
		if !known {
			err := n.ask(subject.Name)
			if err != nil && !refused(err) {
				return false, err
			}
			ok = err == nil
			n.known[subject.Name] = ok
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

// refused reports whether err says that somebody may not, and not that something failed.
func refused(err error) bool {
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Denied, fault.Unauthenticated:
		return true
	}
	return false
}

// bundle answers the proofs of every statement about a subject. A bundle cannot leave statements
// out, so it needs the right to read all of them.
func (a *API) bundle(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	about, err := a.readable(r, actor)
	if err != nil {
		return err
	}
	names := a.names(r, actor)
	for after := int64(-1); ; {
		found, err := a.record.About(r.Context(), about, after, maxLimit)
		if err != nil {
			return err
		}
		for _, s := range found {
			ok, err := names.mayRead(s)
			if err != nil {
				return err
			}
			if !ok {
				return fault.New(fault.Denied, "bundle-not-yours",
					"some statements about %s are about names that you may not read; ask for the bundle of the purl", about)
			}
			after = s.Seq
		}
		if len(found) < maxLimit {
			break
		}
	}
	made, err := a.record.Bundle(r.Context(), a.Log, about)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if _, err := made.WriteTo(&body); err != nil {
		return err
	}
	writeTagged(w, r, evidence.BundleType, body.Bytes())
	return nil
}

func (a *API) checkpoint(w http.ResponseWriter, r *http.Request, _ evidence.Actor) error {
	c := a.Log.Checkpoint()
	return replyTagged(w, r, resource.Checkpoint{Size: c.Size, Root: c.Root, Note: string(c.Note)})
}

func (a *API) inclusion(w http.ResponseWriter, r *http.Request, _ evidence.Actor) error {
	index, err := number(r, "index", -1)
	if err != nil {
		return err
	}
	size, err := number(r, "size", a.Log.Checkpoint().Size)
	if err != nil {
		return err
	}
	hashes, err := a.Log.Inclusion(r.Context(), index, size)
	if err != nil {
		return err
	}
	return replyTagged(w, r, resource.Proof{Size: size, Hashes: list(hashes)})
}

func (a *API) consistency(w http.ResponseWriter, r *http.Request, _ evidence.Actor) error {
	from, err := number(r, "old", -1)
	if err != nil {
		return err
	}
	to, err := number(r, "new", a.Log.Checkpoint().Size)
	if err != nil {
		return err
	}
	hashes, err := a.Log.Consistency(r.Context(), from, to)
	if err != nil {
		return err
	}
	return replyTagged(w, r, resource.Proof{Size: to, Hashes: list(hashes)})
}

// list makes an empty JSON array of a nil slice.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// done answers 204 when there was no error.
func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
