package api

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
)

func (a *API) listEnrolments(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.Accounts.Enrolments(r.Context(), actor)
	return replyPart(w, r, all, err, func(e account.Enrolment) string { return e.ID }, enrolmentOf)
}

func enrolmentOf(e account.Enrolment) resource.Enrolment {
	return resource.Enrolment{
		ID: e.ID, Kind: string(e.Kind), Cluster: e.Cluster, Name: e.Name, Receiver: e.Receiver(), MadeBy: e.MadeBy,
		Created: e.Created, Seen: optional(e.Seen),
	}
}

func (a *API) enrol(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewEnrolment
	if err := decodeAs(r, &in, a.Accounts.RequireAdmin(r.Context(), actor)); err != nil {
		return err
	}
	secret, made, err := a.Accounts.Enrol(r.Context(), actor, account.Enrolment{
		Kind: account.MemberKind(in.Kind), Cluster: in.Cluster, Name: in.Name,
	})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, r, http.StatusCreated, resource.CreatedEnrolment{Secret: secret, Enrolment: enrolmentOf(made)})
}

func (a *API) revokeEnrolment(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Accounts.RevokeEnrolment(r.Context(), actor, r.PathValue("id")))
}
