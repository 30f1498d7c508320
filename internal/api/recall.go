package api

import (
	"net/http"
	"strconv"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/recall"
)

func (a *API) listRecalls(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	after, limit, err := pageBySeq(r)
	if err != nil {
		return err
	}
	found, err := a.Recalls.List(r.Context(), after, limit)
	if err != nil {
		return err
	}
	// A digest that nothing here has is nobody's to read; only administrators recall such.
	admin := a.Accounts.RequireAdmin(r.Context(), actor) == nil
	out := resource.Page[resource.Recall]{Items: []resource.Recall{}}
	for _, one := range found {
		ok, err := a.mayReadAny(r, actor, one.Subjects)
		if err != nil {
			return err
		}
		if ok || admin {
			out.Items = append(out.Items, recallOf(one))
		}
	}
	if len(found) == limit {
		out.Next = cursor(strconv.FormatInt(found[limit-1].Seq, 10))
	}
	return reply(w, r, http.StatusOK, out)
}

func (a *API) mayReadAny(r *http.Request, actor evidence.Actor, subjects []string) (bool, error) {
	for _, s := range subjects {
		err := a.Tracer.MayRead(r.Context(), actor, s)
		if err == nil {
			return true, nil
		}
		if !refused(err) {
			return false, err
		}
	}
	return false, nil
}

func recallOf(r recall.Recall) resource.Recall {
	return resource.Recall{Subject: list(r.Subjects), Reason: r.Reason, Account: r.Account, At: r.At, Seq: r.Seq, Known: r.Known}
}

func (a *API) makeRecall(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewRecall
	if err := decode(r, &in); err != nil {
		return err
	}
	made, err := a.Recalls.Recall(r.Context(), actor, in.Subject, in.Reason)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, recallOf(made))
}

func (a *API) liftRecall(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	err := a.Recalls.Lift(r.Context(), actor, r.PathValue("subject"), r.URL.Query().Get("reason"))
	return done(w, err)
}
