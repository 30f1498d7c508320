package api

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish/oidc"
)

// trustTable is the part of the route table that is about trusted publishers and issuers.
func (a *API) trustTable() []Route {
	return []Route{
		a.owning("GET", "/organisations/{organisation}/publishers", a.listPending),
		a.owning("POST", "/organisations/{organisation}/publishers", a.addPending),
		a.owning("DELETE", "/organisations/{organisation}/publishers/{id}", a.removePending),
		a.owning("GET", "/publishers/{ecosystem}/{name}", a.listPublishers),
		a.owning("POST", "/publishers/{ecosystem}/{name}", a.addPublisher),
		a.owning("DELETE", "/publishers/{ecosystem}/{name}/{id}", a.removePublisher),
		a.anyone("POST", "/publishers/{ecosystem}/{name}/exchange", a.exchange),
		a.account("GET", "/issuers", a.listIssuers),
		a.admin("POST", "/issuers", a.addIssuer),
		a.admin("DELETE", "/issuers/{issuer}", a.removeIssuer),
	}
}

func (a *API) listPublishers(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.Trust.List(r.Context(), actor, r.PathValue("ecosystem"), r.PathValue("name"))
	return replyPart(w, r, all, err, publisherID, publisherOf)
}

func (a *API) addPublisher(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewPublisher
	if err := decodeAs(r, &in, a.Accounts.Authorize(r.Context(), actor, evidence.Own, r.PathValue("ecosystem"), r.PathValue("name"))); err != nil {
		return err
	}
	p := newPublisher(in)
	p.Ecosystem, p.Name = r.PathValue("ecosystem"), r.PathValue("name")
	return a.trust(w, r, actor, p)
}

func (a *API) removePublisher(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Trust.Remove(r.Context(), actor, r.PathValue("ecosystem"), r.PathValue("name"), r.PathValue("id")))
}

func (a *API) listPending(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.Trust.ListPending(r.Context(), actor, r.PathValue("organisation"))
	return replyPart(w, r, all, err, publisherID, publisherOf)
}

func (a *API) addPending(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewPublisher
	if err := decodeAs(r, &in, a.Accounts.RequireOwner(r.Context(), actor, r.PathValue("organisation"))); err != nil {
		return err
	}
	p := newPublisher(in)
	p.Ecosystem, p.Name, p.Organisation = in.Ecosystem, in.Name, r.PathValue("organisation")
	return a.trust(w, r, actor, p)
}

func (a *API) removePending(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Trust.RemovePending(r.Context(), actor, r.PathValue("organisation"), r.PathValue("id")))
}

func (a *API) trust(w http.ResponseWriter, r *http.Request, actor evidence.Actor, p oidc.Publisher) error {
	made, err := a.Trust.Add(r.Context(), actor, p)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, publisherOf(made))
}

// exchange takes the identity token from the body: the Authorization header is for tokens of ours.
func (a *API) exchange(w http.ResponseWriter, r *http.Request, _ evidence.Actor) error {
	var in resource.Exchange
	if err := decode(r, &in); err != nil {
		return err
	}
	digests := make([]digest.Digest, len(in.Digests))
	for i, text := range in.Digests {
		d, err := digest.Parse(text)
		if err != nil {
			return err
		}
		digests[i] = d
	}
	m, err := a.Trust.Exchange(r.Context(), oidc.Request{
		Ecosystem: r.PathValue("ecosystem"), Name: r.PathValue("name"), Token: in.Token, Audience: a.Audience(r.PathValue("ecosystem")),
		RemoteAddr: r.RemoteAddr, Digests: digests, Single: in.Single,
	})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, r, http.StatusCreated, resource.Exchanged{
		Secret: m.Secret, Credential: m.Credential, Publisher: m.Publisher, Permission: string(m.Permission), Created: m.Created, Expires: m.Expires,
	})
}

func (a *API) listIssuers(w http.ResponseWriter, r *http.Request, _ evidence.Actor) error {
	all, err := a.Trust.Issuers(r.Context())
	return replyPart(w, r, all, err, func(i oidc.Issuer) string { return i.URL }, issuerOf)
}

func (a *API) addIssuer(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewIssuer
	if err := decodeAs(r, &in, a.Accounts.RequireAdmin(r.Context(), actor)); err != nil {
		return err
	}
	made, err := a.Trust.AddIssuer(r.Context(), actor, oidc.Issuer{
		URL: in.URL, Provider: in.Provider, Default: in.Default, Internal: in.Internal, CA: in.CA, Keys: in.Keys,
	})
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, issuerOf(made))
}

func (a *API) removeIssuer(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Trust.RemoveIssuer(r.Context(), actor, r.PathValue("issuer")))
}

func publisherID(p oidc.Publisher) string { return p.ID }

func newPublisher(in resource.NewPublisher) oidc.Publisher {
	return oidc.Publisher{
		Provider: in.Provider, Issuer: in.Issuer, Claims: in.Claims, Permission: evidence.Permission(in.Permission),
		Policy: oidc.Policy{Events: in.Events, Refs: in.Refs, Protected: in.Protected, Runner: in.Runner},
	}
}

func publisherOf(p oidc.Publisher) resource.Publisher {
	return resource.Publisher{
		ID: p.ID, Ecosystem: p.Ecosystem, Name: p.Name, Provider: p.Provider, Issuer: p.Issuer, Claims: p.Claims, Learnt: p.Learnt,
		Events: p.Policy.Events, Refs: p.Policy.Refs, Protected: p.Policy.Protected, Runner: p.Policy.Runner,
		Permission: string(p.Permission), Organisation: p.Organisation, Pending: p.Pending, Created: p.Created, CreatedBy: p.CreatedBy,
		LastUsed: optional(p.LastUsed), Flags: p.Flags,
	}
}

func issuerOf(i oidc.Issuer) resource.Issuer {
	return resource.Issuer{
		URL: i.URL, Provider: i.Provider, Builtin: i.Builtin, Default: i.Default, Internal: i.Internal, Static: i.Keys != "",
		Created: optional(i.Created), CreatedBy: i.CreatedBy,
	}
}
