package api

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
)

func (a *API) getNamespaceProof(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	p, err := a.Accounts.NamespaceProof(r.Context(), actor, r.PathValue("ecosystem"), r.PathValue("name"))
	return replyProof(w, r, p, err)
}

func (a *API) proveNamespace(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.ProveNamespace
	if err := decode(r, &in); err != nil {
		return err
	}
	prove := a.Accounts.ProveNamespace
	if in.Vouch {
		prove = a.Accounts.VouchNamespace
	}
	p, err := prove(r.Context(), actor, r.PathValue("ecosystem"), r.PathValue("name"))
	return replyProof(w, r, p, err)
}

func replyProof(w http.ResponseWriter, r *http.Request, p account.Proof, err error) error {
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, resource.NamespaceProof{
		Domain: p.Domain, Record: p.Record, Valid: p.Valid, Proven: p.Proven, Missing: p.Missing, VouchedBy: p.VouchedBy,
	})
}

func (a *API) offerNamespace(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NamespaceOffer
	if err := decode(r, &in); err != nil {
		return err
	}
	return done(w, a.Accounts.OfferNamespace(r.Context(), actor, r.PathValue("ecosystem"), r.PathValue("name"), in.Organisation))
}

func (a *API) acceptNamespace(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Accounts.AcceptNamespace(r.Context(), actor, r.PathValue("organisation"), r.PathValue("ecosystem"), r.PathValue("name")))
}
