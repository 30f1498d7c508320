package api

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
)

func (a *API) getFactors(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	f, err := a.Accounts.Factors(r.Context(), actor)
	if err != nil {
		return err
	}
	until, err := a.Accounts.Frozen(r.Context(), actor)
	if err != nil {
		return err
	}
	out := resource.Factors{
		TOTP: f.TOTP, TOTPSince: optional(f.TOTPSince), Passkeys: []resource.Passkey{}, RecoveryCodes: f.RecoveryCodes, FrozenUntil: optional(until),
	}
	for _, p := range f.Passkeys {
		out.Passkeys = append(out.Passkeys, resource.Passkey{ID: p.ID, Label: p.Label, Created: p.Created, LastUsed: optional(p.LastUsed)})
	}
	return reply(w, r, http.StatusOK, out)
}

func (a *API) beginTOTP(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	made, err := a.Accounts.BeginTOTP(r.Context(), actor)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, r, http.StatusCreated, resource.NewTOTP{Secret: made.Secret, URI: made.URI})
}

func (a *API) confirmTOTP(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.Code
	if err := decode(r, &in); err != nil {
		return err
	}
	codes, err := a.Accounts.ConfirmTOTP(r.Context(), actor, in.Code, r.RemoteAddr)
	return replyCodes(w, r, codes, err)
}

func replyCodes(w http.ResponseWriter, r *http.Request, codes []string, err error) error {
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, r, http.StatusCreated, resource.RecoveryCodes{Codes: append([]string{}, codes...)})
}

func (a *API) removeTOTP(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Accounts.RemoveTOTP(r.Context(), actor))
}

func (a *API) renewRecoveryCodes(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	codes, err := a.Accounts.RenewRecoveryCodes(r.Context(), actor)
	return replyCodes(w, r, codes, err)
}

func (a *API) listMFARules(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	all, err := a.Accounts.MFARules(r.Context(), actor, r.PathValue("organisation"))
	key := func(m account.MFARule) string {
		return m.Ecosystem + " " + m.Namespace + " " + m.Package + " " + m.Action
	}
	return replyPart(w, r, all, err, key, ruleOf)
}

func ruleOf(m account.MFARule) resource.MFARule {
	return resource.MFARule{
		Organisation: m.Organisation, Ecosystem: m.Ecosystem, Namespace: m.Namespace, Package: m.Package,
		Action: m.Action, Level: string(m.Level), Automation: m.Automation,
	}
}

func (a *API) setOrganisationMFA(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return a.setMFA(w, r, actor, account.MFARule{Organisation: r.PathValue("organisation")})
}

func (a *API) setNamespaceMFA(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return a.setMFA(w, r, actor, account.MFARule{Ecosystem: r.PathValue("ecosystem"), Namespace: r.PathValue("name")})
}

func (a *API) setPackageMFA(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return a.setMFA(w, r, actor, account.MFARule{Ecosystem: r.PathValue("ecosystem"), Package: r.PathValue("name")})
}

func (a *API) setMFA(w http.ResponseWriter, r *http.Request, actor evidence.Actor, rule account.MFARule) error {
	var in resource.NewMFARule
	if err := decode(r, &in); err != nil {
		return err
	}
	rule.Action, rule.Level, rule.Automation = in.Action, account.Level(in.Level), in.Automation
	if err := a.Accounts.SetMFA(r.Context(), actor, rule); err != nil {
		return err
	}
	return reply(w, r, http.StatusOK, ruleOf(rule))
}
