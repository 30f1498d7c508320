package console

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/hullmark/hullmark/internal/api"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// Route is a row of the route table. AccessAccount means a browser's session here: tokens open no page.
type Route = registry.Route

// Routes returns the route table.
func (s *Console) Routes() []Route { return s.routes }

func (s *Console) table() []Route {
	return []Route{
		s.open("GET", "/account/assets/{file}", (*call).serveAsset),
		s.open("GET", "/account/sign-in", (*call).signInPage),
		s.open("POST", "/account/sign-in", (*call).signIn),
		s.open("POST", "/account/sign-in/options", (*call).signInOptions),
		s.open("POST", "/account/sign-in/passkey", (*call).signInPasskey),
		s.open("GET", "/account/sign-on/{provider}", (*call).signOn),
		s.open("GET", "/account/sign-on/{provider}/callback", (*call).signOnCallback),
		s.open("GET", "/account/recover", (*call).recoverPage),
		s.open("POST", "/account/recover", (*call).startRecovery),
		s.open("POST", "/account/recover/code", (*call).confirmRecovery),
		s.open("POST", "/account/recover/password", (*call).finishRecovery),

		s.person("GET", "/account/{$}", (*call).overview),
		s.person("POST", "/account/sign-out", (*call).signOut),
		s.person("GET", "/account/prove", (*call).provePage),
		s.person("POST", "/account/prove", (*call).proveCode),
		s.person("POST", "/account/prove/options", (*call).proveOptions),
		s.person("POST", "/account/prove/passkey", (*call).provePasskey),
		s.person("POST", "/account/passkeys", (*call).addPasskey),
		s.person("POST", "/account/passkeys/options", (*call).passkeyOptions),
		s.person("POST", "/account/passkeys/{id}/removal", (*call).removePasskey),
		s.person("POST", "/account/totp", (*call).beginTOTP),
		s.person("POST", "/account/totp/confirmation", (*call).confirmTOTP),
		s.person("POST", "/account/totp/removal", (*call).removeTOTP),
		s.person("POST", "/account/recovery-codes", (*call).renewCodes),
		s.person("POST", "/account/password", (*call).changePassword),
		s.person("POST", "/account/email", (*call).setEmail),
		s.person("POST", "/account/email/verification", (*call).verifyEmail),
		s.person("POST", "/account/recovery/cancellation", (*call).cancelRecovery),
		s.person("POST", "/account/sessions/{id}/end", (*call).endSession),
		s.person("POST", "/account/tokens/{id}/revocation", (*call).revokeToken),
		s.person("POST", "/account/identities/{provider}", (*call).linkIdentity),
		s.person("POST", "/account/identities/{id}/removal", (*call).removeIdentity),

		s.open("GET", "/login/{code}", (*call).loginPage),
		s.open("POST", "/login/{code}", (*call).approveLogin),
		s.open("GET", "/step-up/{code}", (*call).stepUpPage),
		s.person("POST", "/step-up/{code}", (*call).stepUp),
		s.person("GET", "/stage/{$}", (*call).stageList),
		s.publisher("GET", "/stage/{id...}", (*call).stagePage),
		s.publisher("POST", "/stage/{id...}", (*call).decideStage),
		s.person("GET", "/report/{$}", (*call).reportPage),
		s.person("POST", "/report/{$}", (*call).makeReport),
		s.admin("POST", "/report/{id}/outcome", (*call).closeReport),
	}
}

func (s *Console) open(method, pattern string, h handler) Route {
	return Route{Method: method, Pattern: pattern, Access: registry.AccessAnyone, Handler: s.handle(open, h)}
}

func (s *Console) person(method, pattern string, h handler) Route {
	return Route{Method: method, Pattern: pattern, Access: registry.AccessAccount, Handler: s.handle(person, h)}
}

// admin makes a route for site administrators: the stage that it asks refuses everybody else.
func (s *Console) admin(method, pattern string, h handler) Route {
	r := s.person(method, pattern, h)
	r.Access = api.AccessAdmin
	return r
}

// publisher makes a route on a name that the address leads to: package publish asks for the permission.
func (s *Console) publisher(method, pattern string, h handler) Route {
	r := s.person(method, pattern, h)
	r.Access, r.Permission = registry.AccessNamespace, evidence.Publish
	return r
}

// query makes the query of an address from names and values in turn.
func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// ceremony answers the script that talks to the authenticator: what to ask it, or why not.
func (c *call) ceremony(options json.RawMessage, state string, err error) error {
	answer, status := map[string]any{"options": options, "state": state}, http.StatusOK
	if err != nil {
		f := fault.As(err)
		if f.Kind == fault.Internal {
			c.s.report(c.r.Context(), c.r.Pattern, err)
		}
		answer, status = map[string]any{"problem": f.Text, "code": f.Code}, http.StatusBadRequest
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // the browser went away: there is nobody to tell
	return nil
}
