package api

import (
	"net/http"
	"strconv"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
)

func (a *API) getPolicies(w http.ResponseWriter, r *http.Request, _ evidence.Actor) error {
	set, err := a.Policies.Set(r.Context())
	if err != nil {
		return err
	}
	return replyTagged(w, r, setOf(set))
}

func (a *API) getPoliciesAt(w http.ResponseWriter, r *http.Request, _ evidence.Actor) error {
	revision, err := digest.Parse(r.PathValue("revision"))
	if err != nil {
		return err
	}
	set, err := a.Policies.SetAt(r.Context(), string(revision))
	if err != nil {
		return err
	}
	return replyTagged(w, r, setOf(set))
}

func setOf(s policy.Installed) resource.PolicySet {
	out := resource.PolicySet{Revision: s.Revision, Document: string(s.Document), Policies: list(s.Policies), Account: s.Account, At: optional(s.At)}
	if s.Seq >= 0 {
		out.Seq = &s.Seq
	}
	return out
}

func (a *API) putPolicies(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewPolicySet
	if err := decodeAs(r, &in, a.Accounts.RequireAdmin(r.Context(), actor)); err != nil {
		return err
	}
	have, err := a.Policies.Set(r.Context())
	if err != nil {
		return err
	}
	if err := mustMatch(r, setOf(have)); err != nil {
		return err
	}
	set, err := a.Policies.PutSet(r.Context(), actor, []byte(in.Document))
	if err != nil {
		return err
	}
	return replyTagged(w, r, setOf(set))
}

func (a *API) listExceptions(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	after, limit, err := pageBySeq(r)
	if err != nil {
		return err
	}
	found, err := a.Policies.ListExceptions(r.Context(), after, limit)
	if err != nil {
		return err
	}
	out := resource.Page[resource.Exception]{Items: []resource.Exception{}}
	for _, x := range found {
		err := a.Policies.MaySee(r.Context(), actor, x.Exception)
		if err == nil {
			out.Items = append(out.Items, a.exceptionOf(x))
		} else if !refused(err) {
			return err
		}
	}
	if len(found) == limit {
		out.Next = cursor(strconv.FormatInt(found[limit-1].ID, 10))
	}
	return reply(w, r, http.StatusOK, out)
}

func (a *API) exceptionOf(x policy.ListedException) resource.Exception {
	return resource.Exception{
		Number: x.ID, Policy: x.Policy, Scope: x.Scope, Reason: x.Reason, Ticket: x.Ticket, Requester: x.Requester, Requested: x.Requested,
		Expires: x.Expires, Approver: x.Approver, State: a.Policies.State(x.Exception), Uses: x.Count, LastUse: optional(x.LastUse),
	}
}

func (a *API) requestException(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewException
	if err := decode(r, &in); err != nil {
		return err
	}
	made, err := a.Policies.RequestException(r.Context(), actor, evidence.Exception{
		Policy: in.Policy, Scope: in.Scope, Reason: in.Reason, Ticket: in.Ticket, Expires: in.Expires,
	})
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, a.exceptionOf(made))
}

func (a *API) exempt(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewExemption
	if err := decodeAs(r, &in, a.Accounts.RequireAdmin(r.Context(), actor)); err != nil {
		return err
	}
	made, err := a.Policies.Exempt(r.Context(), actor, in.Component, in.Reason, in.Expires)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, a.exceptionOf(made))
}

func (a *API) approveException(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	id, err := exceptionNumber(r)
	if err != nil {
		return err
	}
	x, err := a.Policies.ApproveException(r.Context(), actor, id)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, a.exceptionOf(x))
}

func (a *API) revokeException(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	id, err := exceptionNumber(r)
	if err != nil {
		return err
	}
	return done(w, a.Policies.RevokeException(r.Context(), actor, id, r.URL.Query().Get("reason")))
}

func exceptionNumber(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if err != nil || id < 0 {
		return 0, fault.New(fault.Invalid, "request-invalid", "an exception has a number, as in 'exception #12'")
	}
	return id, nil
}

func (a *API) explainDecision(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	e, err := a.Policies.Explain(r.Context(), actor, r.PathValue("id"))
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, resource.Explanation{
		Seq: e.Seq, At: e.At, Issuer: e.Issuer, Subjects: list(e.Subjects), Decision: e.Decision, Outcome: string(e.Outcome),
		Differences: list(e.Differences), Notes: list(e.Notes), Recomputed: shown(e.Recomputed),
	})
}

// shown makes empty JSON arrays of a verdict's nil slices.
func shown(v *policy.Verdict) *policy.Verdict {
	if v == nil {
		return nil
	}
	out := *v
	out.Findings, out.Exceptions = list(v.Findings), list(v.Exceptions)
	return &out
}

func (a *API) getImageRecord(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	d, err := digest.Parse(r.PathValue("digest"))
	if err != nil {
		return err
	}
	if err := a.Tracer.MayRead(r.Context(), actor, string(d)); err != nil {
		return err
	}
	head, err := number(r, "head", inside.Newest)
	if err != nil {
		return err
	}
	record, err := a.Policies.RecordFor(r.Context(), actor, string(d), min(head, a.record.Head()))
	if err != nil {
		return err
	}
	return replyTagged(w, r, record)
}
