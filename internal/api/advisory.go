package api

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/recall/osv"
)

// advisory is what the actor may read of a recall, in the format's words. ok is false where that is nothing.
func (a *API) advisory(ctx context.Context, actor evidence.Actor, p recall.Past) (r osv.Record, ok bool, err error) {
	var seen []recall.Target
	for _, t := range p.Targets {
		switch err := a.Core.MayRead(ctx, actor, t.Ecosystem, t.Name); {
		case err == nil:
			seen = append(seen, t)
		case !refused(err):
			return r, false, err
		}
	}
	p.Targets = seen
	r, ok = osv.Of(p, a.URL)
	return r, ok, nil
}

func (a *API) getAdvisory(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	name := r.PathValue("advisory")
	unknown := fault.New(fault.NotFound, "advisory-unknown", "there is no such advisory; all.ndjson lists those that there are")
	id, json := strings.CutSuffix(name, ".json")
	seq, ok := osv.Number(id)
	if !json || !ok {
		return unknown
	}
	p, err := a.Recalls.Past(r.Context(), seq)
	if err != nil && fault.As(err).Code == "recall-unknown" {
		return unknown
	}
	if err != nil {
		return err
	}
	record, ok, err := a.advisory(r.Context(), actor, p)
	if err != nil {
		return err
	}
	if !ok || record.ID != id {
		return unknown
	}
	return replyTagged(w, r, record)
}

// advisories are all that the actor may read, oldest first.
func (a *API) advisories(ctx context.Context, actor evidence.Actor) ([]osv.Record, error) {
	all, err := a.Recalls.History(ctx)
	if err != nil {
		return nil, err
	}
	var out []osv.Record
	for _, p := range all {
		record, ok, err := a.advisory(ctx, actor, p)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, record)
		}
	}
	return out, nil
}

// exportAdvisories answers in the shape of osv.dev's own exports: a file an advisory.
func (a *API) exportAdvisories(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.advisories(r.Context(), actor)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, one := range all {
		f, err := z.Create(one.ID + ".json")
		if err != nil {
			return err
		}
		if err := json.NewEncoder(f).Encode(one); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	writeTagged(w, r, "application/zip", b.Bytes())
	return nil
}

func (a *API) streamAdvisories(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.advisories(r.Context(), actor)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, one := range all {
		if err := json.NewEncoder(&b).Encode(one); err != nil {
			return err
		}
	}
	writeTagged(w, r, "application/x-ndjson", b.Bytes())
	return nil
}

// listAdvisories is osv.dev's modified_id.csv: a reader stops at what it has seen.
func (a *API) listAdvisories(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.advisories(r.Context(), actor)
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(x, y osv.Record) int { return cmp.Compare(y.Modified, x.Modified) })
	var b bytes.Buffer
	c := csv.NewWriter(&b)
	for _, one := range all {
		if err := c.Write([]string{one.Modified, one.ID}); err != nil {
			return err
		}
	}
	c.Flush()
	writeTagged(w, r, "text/csv", b.Bytes())
	return nil
}
