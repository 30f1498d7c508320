package api

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

func (a *API) whoami(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	err := a.Accounts.RequireAdmin(r.Context(), actor)
	if err != nil && !refused(err) {
		return err
	}
	return reply(w, r, http.StatusOK, resource.Whoami{
		Account: actor.Account, Credential: actor.Credential, Method: actor.Method, Admin: err == nil,
	})
}

func (a *API) listUsers(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	users, err := a.Accounts.ListUsers(r.Context(), actor)
	return replyPart(w, r, users, err, func(u account.User) string { return u.Name }, userOf)
}

func userOf(u account.User) resource.User {
	return resource.User{Name: u.Name, Admin: u.Admin, Created: u.Created}
}

// replyPart answers one page of what a stage returned whole. key orders it.
func replyPart[T, R any](w http.ResponseWriter, r *http.Request, all []T, err error, key func(T) string, render func(T) R) error {
	if err != nil {
		return err
	}
	p, err := part(r, all, key)
	if err != nil {
		return err
	}
	out := resource.Page[R]{Items: []R{}, Next: p.Next}
	for _, one := range p.Items {
		out.Items = append(out.Items, render(one))
	}
	return reply(w, r, http.StatusOK, out)
}

func (a *API) createUser(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewUser
	if err := decodeAs(r, &in, a.Accounts.RequireAdmin(r.Context(), actor)); err != nil {
		return err
	}
	if err := a.Accounts.CreateUser(r.Context(), actor, in.Name, in.Password); err != nil {
		return err
	}
	users, err := a.Accounts.ListUsers(r.Context(), actor)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.Name == in.Name {
			return reply(w, r, http.StatusCreated, userOf(u))
		}
	}
	return errors.New("the new user is not there")
}

// decodeAs decodes the body unless the caller was refused already: who may not do something need
// not learn how its body is spelt.
func decodeAs(r *http.Request, v any, refusal error) error {
	if refusal != nil {
		return refusal
	}
	return decode(r, v)
}

func (a *API) listOrganisations(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.Accounts.Organisations(r.Context(), actor)
	return replyPart(w, r, all, err, func(o account.Organisation) string { return o.Name }, organisationOf)
}

func organisationOf(o account.Organisation) resource.Organisation {
	return resource.Organisation{Name: o.Name, Created: &o.Created, CreatedBy: o.CreatedBy, Role: string(o.Role)}
}

func (a *API) createOrganisation(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewOrganisation
	if err := decode(r, &in); err != nil {
		return err
	}
	if err := a.Accounts.CreateOrganisation(r.Context(), actor, in.Name); err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, resource.Organisation{Name: in.Name, CreatedBy: actor.Account, Role: string(account.Owner)})
}

func (a *API) listMembers(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.Accounts.Members(r.Context(), actor, r.PathValue("organisation"))
	return replyPart(w, r, all, err, func(m account.Member) string { return m.Account }, func(m account.Member) resource.Member {
		return resource.Member{Account: m.Account, Role: string(m.Role)}
	})
}

func (a *API) setMember(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewMember
	if err := decode(r, &in); err != nil {
		return err
	}
	user := r.PathValue("account")
	if err := a.Accounts.SetMember(r.Context(), actor, r.PathValue("organisation"), user, account.Role(in.Role)); err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, resource.Member{Account: user, Role: in.Role})
}

func (a *API) removeMember(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Accounts.RemoveMember(r.Context(), actor, r.PathValue("organisation"), r.PathValue("account")))
}

func (a *API) listNamespaces(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.Accounts.ListNamespaces(r.Context(), actor, r.PathValue("organisation"))
	return replyPart(w, r, all, err, func(n account.Namespace) string { return n.Ecosystem + " " + n.Pattern }, namespaceOf)
}

func namespaceOf(n account.Namespace) resource.Namespace {
	out := resource.Namespace{Ecosystem: n.Ecosystem, Pattern: n.Pattern, Organisation: n.Organisation, Visibility: string(n.Visibility)}
	if n.Cooldown > 0 {
		out.Cooldown = n.Cooldown.String()
	}
	return out
}

func (a *API) claimNamespace(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewNamespace
	if err := decode(r, &in); err != nil {
		return err
	}
	organisation, visibility := r.PathValue("organisation"), account.Visibility(in.Visibility)
	if visibility == "" {
		visibility = account.Private
	}
	claim := a.Accounts.ClaimNamespace
	if in.AlthoughSimilar {
		claim = a.Accounts.ClaimSimilarNamespace
	}
	if err := claim(r.Context(), actor, organisation, in.Ecosystem, in.Pattern, visibility); err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, resource.Namespace{
		Ecosystem: in.Ecosystem, Pattern: in.Pattern, Organisation: organisation, Visibility: string(visibility),
	})
}

// namespaceAt returns the namespace that the path's name falls into, to who may read it.
func (a *API) namespaceAt(r *http.Request, actor evidence.Actor) (account.Namespace, error) {
	ecosystem, name := r.PathValue("ecosystem"), r.PathValue("name")
	if strings.HasPrefix(name, "@") && !strings.Contains(name, "/") {
		name += "/x" // a bare scope is no package's name; any name in it falls into it
	}
	if prefix, ok := strings.CutSuffix(name, "*"); ok {
		name = prefix + "x" // "acme-*" is none either
	}
	n, err := a.Accounts.Namespace(r.Context(), ecosystem, name)
	if err != nil {
		return n, err
	}
	if n.Organisation == "" {
		return n, fault.New(fault.NotFound, "namespace-unknown",
			"nobody owns %q; claim it with: hullmark namespace claim", r.PathValue("name"))
	}
	return n, a.Accounts.Authorize(r.Context(), actor, evidence.Read, ecosystem, name)
}

func (a *API) getNamespace(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	n, err := a.namespaceAt(r, actor)
	if err != nil {
		return err
	}
	return replyTagged(w, r, namespaceOf(n))
}

func (a *API) changeNamespace(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NamespaceSettings
	if err := decode(r, &in); err != nil {
		return err
	}
	n, err := a.namespaceAt(r, actor)
	if err != nil {
		return err
	}
	if err := mustMatch(r, namespaceOf(n)); err != nil {
		return err
	}
	if n, err = a.applySettings(r, actor, n, in); err != nil {
		return err
	}
	return replyTagged(w, r, namespaceOf(n))
}

// applySettings changes what in names; nothing at all is a mistake in the request.
func (a *API) applySettings(r *http.Request, actor evidence.Actor, n account.Namespace, in resource.NamespaceSettings) (account.Namespace, error) {
	var cooldown time.Duration
	var err error
	if in.Cooldown != "" {
		if cooldown, err = time.ParseDuration(in.Cooldown); err != nil {
			return n, fault.New(fault.Invalid, "cooldown-invalid", "%q is not a duration; expected something like 24h, or 0", in.Cooldown[:min(len(in.Cooldown), 50)])
		}
	}
	if in == (resource.NamespaceSettings{}) {
		return n, fault.New(fault.Invalid, "request-invalid", "the body sets neither visibility nor cooldown")
	}
	pattern := r.PathValue("name")
	if in.Visibility != "" {
		n.Visibility = account.Visibility(in.Visibility)
		if err := a.Accounts.SetVisibility(r.Context(), actor, n.Ecosystem, pattern, n.Visibility); err != nil {
			return n, err
		}
	}
	if in.Cooldown != "" {
		n.Cooldown = cooldown
		if err := a.Accounts.SetCooldown(r.Context(), actor, n.Ecosystem, pattern, cooldown); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (a *API) listTokens(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.Accounts.ListTokens(r.Context(), actor)
	return replyPart(w, r, all, err, func(t account.Token) string { return t.ID }, tokenOf)
}

func tokenOf(t account.Token) resource.Token {
	out := resource.Token{
		ID: t.ID, Account: t.Account, Description: t.Description, Ecosystem: t.Scope.Ecosystem, Names: t.Scope.Names,
		Permission: string(t.Scope.Permission), Expires: optional(t.Expires), Created: t.Created, LastUsed: optional(t.LastUsed),
		MadeBy: t.MadeBy, Bypass: t.Bypass,
	}
	for _, n := range t.Networks {
		out.Networks = append(out.Networks, n.String())
	}
	return out
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (a *API) createToken(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewToken
	if err := decode(r, &in); err != nil {
		return err
	}
	t := account.Token{
		Account: in.Account, Description: in.Description, Bypass: in.Bypass,
		Scope: account.Scope{Ecosystem: in.Ecosystem, Names: in.Names, Permission: evidence.Permission(in.Permission)},
	}
	if in.Expires != nil {
		t.Expires = *in.Expires
	}
	for _, text := range in.Networks {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return fault.New(fault.Invalid, "request-invalid", "%q is not a network; expected something like 192.0.2.0/24", text[:min(len(text), 100)])
		}
		t.Networks = append(t.Networks, n)
	}
	secret, made, err := a.Accounts.CreateToken(r.Context(), actor, t)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, r, http.StatusCreated, resource.CreatedToken{Secret: secret, Token: tokenOf(made)})
}

func (a *API) revokeToken(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Accounts.RevokeToken(r.Context(), actor, r.PathValue("id")))
}

func (a *API) approveLogin(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Accounts.CompleteLogin(r.Context(), r.PathValue("code"), actor))
}
