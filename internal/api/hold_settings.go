package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/publish"
)

// holdScope reads whose settings a request is about from its path.
type holdScope func(r *http.Request) publish.Scope

func siteScope(*http.Request) publish.Scope { return publish.Scope{} }

func namespaceScope(r *http.Request) publish.Scope {
	return publish.Scope{Ecosystem: r.PathValue("ecosystem"), Namespace: r.PathValue("name")}
}

func nameScope(r *http.Request) publish.Scope {
	return publish.Scope{Ecosystem: r.PathValue("ecosystem"), Name: r.PathValue("name")}
}

func (a *API) getHoldSettings(of holdScope) handler {
	return func(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
		out, err := a.holdSettings(r, actor, of(r))
		if err != nil {
			return err
		}
		return replyTagged(w, r, out)
	}
}

func (a *API) putHoldSettings(of holdScope) handler {
	return func(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
		var in resource.HoldSettings
		if err := decode(r, &in); err != nil {
			return err
		}
		to, err := settingsFrom(in)
		if err != nil {
			return err
		}
		if err := a.Publish.SetSettings(r.Context(), actor, of(r), to); err != nil {
			return err
		}
		out, err := a.holdSettings(r, actor, of(r))
		if err != nil {
			return err
		}
		return reply(w, r, http.StatusOK, out)
	}
}

func (a *API) holdSettings(r *http.Request, actor evidence.Actor, sc publish.Scope) (out resource.HoldSettingsInForce, err error) {
	own, inForce, err := a.Publish.Settings(r.Context(), actor, sc)
	if err != nil {
		return out, err
	}
	if err := same(own, &out.Own); err != nil {
		return out, err
	}
	if err := same(inForce, &out.InForce); err != nil {
		return out, err
	}
	if sc.Name != "" {
		out.TokensAllowed, err = a.Publish.TokensAllowed(r.Context(), sc.Ecosystem, sc.Name)
	}
	return out, err
}

func (a *API) allowTokens(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.TokensAllowed
	if err := decode(r, &in); err != nil {
		return err
	}
	return done(w, a.Publish.AllowTokens(r.Context(), actor, r.PathValue("ecosystem"), r.PathValue("name"), in.Allowed))
}

func settingsFrom(in resource.HoldSettings) (to publish.Settings, err error) {
	if err := same(in, &to); err != nil {
		return to, fault.New(fault.Invalid, "hold-settings-invalid", "a duration in the settings cannot be read; write it like 72h").Because(err)
	}
	return to, nil
}

// same copies between two types that have the same JSON.
func same(from, to any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	return json.Unmarshal(raw, to)
}
