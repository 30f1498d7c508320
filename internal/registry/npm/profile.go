package npm

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// Profiles is what the protocol asks about an account itself.
type Profiles interface {
	// Profile returns what the server keeps of the actor's account.
	Profile(ctx context.Context, actor evidence.Actor) (Profile, error)
	// SetEmail changes the actor's address; it counts when it was verified.
	SetEmail(ctx context.Context, actor evidence.Actor, address string) error
	// ChangePassword changes the actor's password.
	ChangePassword(ctx context.Context, actor evidence.Actor, old, password, remoteAddr string) error
	// BeginApp makes the secret of an authenticator app, as an otpauth:// address, for who knows the
	// password. ConfirmApp puts it into force when a code shows that the app has it, and returns
	// recovery codes; RemoveApp takes it away.
	BeginApp(ctx context.Context, actor evidence.Actor, password, remoteAddr string) (uri string, err error)
	ConfirmApp(ctx context.Context, actor evidence.Actor, code, remoteAddr string) (recovery []string, err error)
	RemoveApp(ctx context.Context, actor evidence.Actor, password, remoteAddr string) error
	// SetPublishFactor sets what publishing a name asks of its publishers beside a credential: a second
	// factor, unless a token may do without (exempt).
	SetPublishFactor(ctx context.Context, actor evidence.Actor, name string, factor, exempt bool) error
}

// Profile is what npm profile get prints.
type Profile struct {
	Email         string
	EmailVerified bool
	// TwoFactor reports whether the account has a second factor.
	TwoFactor bool
}

// profile answers GET /-/npm/v1/user. Source: npm, profile.js, "get".
func (r *Registry) profile(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	p, err := r.accounts.Profile(req.Context(), actor)
	if err != nil {
		return err
	}
	r.respond(w, http.StatusOK, p.document(actor.Account))
	return nil
}

func (p Profile) document(account string) map[string]any {
	var tfa any
	if p.TwoFactor {
		tfa = map[string]any{"pending": false, "mode": "auth-and-writes"}
	}
	return map[string]any{"name": account, "email": p.Email, "email_verified": p.EmailVerified, "tfa": tfa}
}

// unkeptFields are what npm profile set can set and no account here has: nobody needs them to publish, and
// what is not kept cannot leak.
var unkeptFields = []string{"fullname", "homepage", "freenode", "twitter", "github"}

// setProfile answers POST /-/npm/v1/user. npm sends all fields that can be set, those that did not change
// with the value that it was told, and null for what it was not told. Source: npm, profile.js, "set".
func (r *Registry) setProfile(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	var fields map[string]json.RawMessage
	if err := registry.ReadJSON(w, req, maxSmall, &fields); err != nil {
		return err
	}
	now, err := r.accounts.Profile(req.Context(), actor)
	if err != nil {
		return err
	}
	if err := checkProfile(fields); err != nil {
		return err
	}
	if raw := fields["tfa"]; present(raw) {
		return r.setFactor(w, req, actor, raw)
	}
	if raw := fields["password"]; present(raw) {
		var change struct{ Old, New string }
		if err := json.Unmarshal(raw, &change); err != nil {
			return fault.New(fault.Invalid, "body-malformed", "a password is changed with the old one and the new one; run: npm profile set password").Because(err)
		}
		if err := r.accounts.ChangePassword(req.Context(), actor, change.Old, change.New, req.RemoteAddr); err != nil {
			return err
		}
	}
	var email string
	if raw := fields["email"]; present(raw) && json.Unmarshal(raw, &email) == nil && email != "" && email != now.Email {
		if err := r.accounts.SetEmail(req.Context(), actor, email); err != nil {
			return err
		}
	}
	return r.profile(w, req, actor)
}

// setFactor enrols an authenticator app in two steps, or removes it: with the password npm asks for a secret,
// with a code it confirms that the app has it. The mode makes no difference, because what asks for a factor
// are the rules of the names. Source: npm, profile.js, "enable2fa" and "disable2fa".
func (r *Registry) setFactor(w http.ResponseWriter, req *http.Request, actor evidence.Actor, raw json.RawMessage) error {
	w.Header().Set("Cache-Control", "no-store")
	var codes []string
	if json.Unmarshal(raw, &codes) == nil && len(codes) == 1 {
		recovery, err := r.accounts.ConfirmApp(req.Context(), actor, codes[0], req.RemoteAddr)
		if err != nil {
			return err
		}
		r.respond(w, http.StatusOK, map[string]any{"tfa": append([]string{}, recovery...)})
		return nil
	}
	var change struct{ Password, Mode string }
	if err := json.Unmarshal(raw, &change); err != nil {
		return fault.New(fault.Invalid, "body-malformed", "a second factor is changed with a password and a mode, or with one code; run: npm profile enable-2fa").Because(err)
	}
	if change.Mode == "disable" {
		return r.done(w, r.accounts.RemoveApp(req.Context(), actor, change.Password, req.RemoteAddr))
	}
	uri, err := r.accounts.BeginApp(req.Context(), actor, change.Password, req.RemoteAddr)
	if err != nil {
		return err
	}
	r.respond(w, http.StatusOK, map[string]any{"tfa": uri})
	return nil
}

// checkProfile refuses what cannot be set here, before anything is.
func checkProfile(fields map[string]json.RawMessage) error {
	for field, raw := range fields {
		switch {
		case !present(raw) || field == "email" || field == "password" || field == "tfa":
		case slices.Contains(unkeptFields, field):
			return fault.New(fault.Unsupported, "profile-unkept", "accounts here have no %q; email and password can be set", fault.Clip(field))
		default:
			return fault.New(fault.Invalid, "profile-unkept", "%q cannot be set; email and password can", fault.Clip(field))
		}
	}
	return nil
}

// present reports whether a field has a value.
func present(raw json.RawMessage) bool {
	return len(raw) > 0 && string(raw) != "null" && string(raw) != `""` && string(raw) != "false"
}

// setAccess answers POST /-/package/{name}/access: what publishing the package needs (npm access set mfa),
// or who may read it (npm access set status), which belongs to its namespace here.
// Source: libnpmaccess, setAccess and setMfa.
func (r *Registry) setAccess(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	var body struct {
		Access string `json:"access"`
		Factor *bool  `json:"publish_requires_tfa"`
		Exempt bool   `json:"automation_token_overrides_tfa"`
	}
	if err := registry.ReadJSON(w, req, maxSmall, &body); err != nil {
		return err
	}
	name := req.PathValue("name")
	if body.Factor != nil {
		return r.done(w, r.accounts.SetPublishFactor(req.Context(), actor, name, *body.Factor, body.Exempt))
	}
	public, err := r.accounts.Public(req.Context(), name)
	if err != nil {
		return err
	}
	if want := map[string]bool{"public": true, "restricted": false}; public == want[body.Access] && (body.Access == "public" || body.Access == "restricted") {
		return r.done(w, nil)
	}
	return fault.New(fault.Unsupported, "access-by-namespace",
		"whether a package is public is set for its whole namespace here; an owner changes it with: hullmark namespace publish npm <namespace>, or hide in place of publish")
}
