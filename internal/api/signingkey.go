package api

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/signing/openpgp"
)

func (a *API) listSigningKeys(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	keys, err := a.Accounts.SigningKeys(r.Context(), actor, r.PathValue("ecosystem"), r.PathValue("name"))
	if err != nil {
		return err
	}
	out := make([]resource.SigningKey, len(keys))
	for i, k := range keys {
		out[i] = resource.SigningKey(k)
	}
	return reply(w, r, http.StatusOK, out)
}

func (a *API) addSigningKey(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewSigningKey
	if err := decode(r, &in); err != nil {
		return err
	}
	now := a.Core.Record().Now()
	k, err := openpgp.ParseKey([]byte(in.Public), now)
	if err != nil {
		return err
	}
	made := account.SigningKey{Fingerprint: k.Fingerprint, Identity: k.Identity, Public: k.Armored, AddedBy: actor.Account, Added: now}
	if err := a.Accounts.AddSigningKey(r.Context(), actor, r.PathValue("ecosystem"), r.PathValue("name"), made); err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, resource.SigningKey(made))
}

func (a *API) removeSigningKey(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Accounts.RemoveSigningKey(r.Context(), actor, r.PathValue("ecosystem"), r.PathValue("name"), r.PathValue("fingerprint")))
}
