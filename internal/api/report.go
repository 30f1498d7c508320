package api

import (
	"cmp"
	"net/http"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/recall/report"
	"github.com/hullmark/hullmark/internal/registry/upstream"
)

func (a *API) listReports(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	state := report.State(cmp.Or(r.URL.Query().Get("state"), string(report.Open)))
	all, err := a.Reports.List(r.Context(), actor, state)
	return replyPart(w, r, all, err, func(one report.Report) string { return one.ID }, reportOf)
}

func (a *API) makeReport(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewReport
	if err := decode(r, &in); err != nil {
		return err
	}
	made, err := a.Reports.Make(r.Context(), actor, in.Subject, in.Reason)
	if err != nil {
		return err
	}
	out := reportOf(made.Report)
	out.Quarantined = made.Quarantined
	return reply(w, r, http.StatusCreated, out)
}

func (a *API) closeReport(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.ReportOutcome
	if err := decodeAs(r, &in, a.Accounts.RequireAdmin(r.Context(), actor)); err != nil {
		return err
	}
	closed, err := a.Reports.Close(r.Context(), actor, r.PathValue("report"), report.State(in.Outcome), in.Note)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, reportOf(closed))
}

// listUpstreams tells how the upstreams answer.
func (a *API) listUpstreams(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	if err := a.Accounts.RequireAdmin(r.Context(), actor); err != nil {
		return err
	}
	var all []upstream.State
	if a.Upstreams != nil {
		all = a.Upstreams()
	}
	return replyPart(w, r, all, nil, func(s upstream.State) string { return s.Ecosystem + " " + s.URL }, func(s upstream.State) resource.Upstream {
		return resource.Upstream{Ecosystem: s.Ecosystem, URL: s.URL, Answered: optional(s.Answered), Failed: optional(s.Failed), Problem: s.Problem}
	})
}

func reportOf(r report.Report) resource.Report {
	return resource.Report{
		ID: r.ID, Subject: string(r.PURL), Reason: r.Reason, Account: r.Account, Weight: r.Weight, At: r.At,
		State: string(r.State), Closed: optional(r.Closed), ClosedBy: r.ClosedBy, Note: r.Note,
	}
}
