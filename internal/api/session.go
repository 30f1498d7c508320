package api

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
)

func (a *API) listSessions(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.Accounts.Sessions(r.Context(), actor)
	return replyPart(w, r, all, err, func(s account.Session) string { return s.ID }, func(s account.Session) resource.Session {
		return resource.Session{
			ID: s.ID, Method: s.Method, Factor: string(s.Factor), Agent: s.Agent, Created: s.Created, LastUsed: s.LastUsed,
		}
	})
}

// endSessions signs the account out everywhere; the token that asks for it stays.
func (a *API) endSessions(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Accounts.EndSessions(r.Context(), actor))
}

func (a *API) getEmail(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	e, err := a.Accounts.Email(r.Context(), actor)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, resource.Email(e))
}

func (a *API) setEmail(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewEmail
	if err := decode(r, &in); err != nil {
		return err
	}
	return done(w, a.Accounts.SetEmail(r.Context(), actor, in.Address))
}

func (a *API) verifyEmail(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.Code
	if err := decode(r, &in); err != nil {
		return err
	}
	return done(w, a.Accounts.VerifyEmail(r.Context(), actor, in.Code))
}
