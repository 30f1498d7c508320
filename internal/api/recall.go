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
		if !admin {
			if one.Subjects, err = a.readableOf(r, actor, one.Subjects); err != nil {
				return err
			}
		}
		if len(one.Subjects) > 0 {
			out.Items = append(out.Items, recallOf(one))
		}
	}
	if len(found) == limit {
		out.Next = cursor(strconv.FormatInt(found[limit-1].Seq, 10))
	}
	return reply(w, r, http.StatusOK, out)
}

// readableOf keeps the subjects that the actor may read: a digest that is recalled can be in a public
// and in a private repository, and the recall names both.
func (a *API) readableOf(r *http.Request, actor evidence.Actor, subjects []string) ([]string, error) {
	var out []string
	for _, s := range subjects {
		err := a.Tracer.MayRead(r.Context(), actor, s)
		if err == nil {
			out = append(out, s)
		} else if !refused(err) {
			return nil, err
		}
	}
	return out, nil
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
