package gem

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
)

// yank answers DELETE /api/v1/gems/yank: the version is gone from indexes and downloads, and its number is
// never free again. Source: RubyGems 3.3, yank_command.rb.
func (r *Registry) yank(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	fields, err := form(w, req)
	if err != nil {
		return err
	}
	name := normal(fields.Get("gem_name"))
	if actor, err = r.admit(req, actor, evidence.Own, name); err != nil {
		return err
	}
	o, err := r.offerOf(req.Context(), name)
	if err != nil {
		return err
	}
	key := gemspec.VersionKey(fields.Get("version"), fields.Get("platform"))
	v, found := o.find(key)
	if !found || !o.hosted {
		return fault.New(fault.NotFound, "version-unknown", "This rubygem could not be found: %s has no version %s", o.display, fault.Clip(key))
	}
	if err := r.core.Withdraw(req.Context(), actor, purl.Gem, name, v.Version, "yanked"); err != nil {
		return err
	}
	r.index.stir()
	return respondText(w, http.StatusOK, fmt.Sprintf("Successfully deleted gem: %s (%s)", o.display, v.Version))
}

// owner is an owner as clients print it: by the first of email, handle and id. Addresses are nobody else's
// business. Source: RubyGems 3.3, owner_command.rb.
type owner struct {
	ID     string `json:"id" yaml:"id"`
	Handle string `json:"handle" yaml:"handle"`
}

// serveOwners answers GET /api/v1/gems/{name}/owners, in JSON or YAML.
func (r *Registry) serveOwners(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	names, err := r.accounts.Owners(req.Context(), named(req))
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return unknownName(req.PathValue("name"))
	}
	owners := make([]owner, len(names))
	for i, n := range names {
		owners[i] = owner{n, n}
	}
	if !strings.HasSuffix(req.URL.Path, ".yaml") {
		return respondJSON(w, http.StatusOK, owners)
	}
	return respondYAML(w, owners)
}

func respondYAML(w http.ResponseWriter, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	registry.Answer(w, http.StatusOK, yamlType, append([]byte("---\n"), data...))
	return nil
}

// setOwner answers POST and DELETE /api/v1/gems/{name}/owners, with a user name or an address as "email".
func (r *Registry) setOwner(add bool) func(http.ResponseWriter, *http.Request, evidence.Actor) error {
	return func(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
		fields, err := form(w, req)
		if err != nil {
			return err
		}
		user := fields.Get("email")
		if user == "" {
			return malformed("it names nobody")
		}
		if err := r.accounts.SetOwner(req.Context(), actor, named(req), user, add); err != nil {
			return err
		}
		if !add {
			return respondText(w, http.StatusOK, "Owner removed successfully.")
		}
		return respondText(w, http.StatusOK, "Owner added successfully.")
	}
}

// scopes are what a key can be for, with the permission that includes it here: permissions are nested, so
// that a key for yanking may push as well. Source: RubyGems 3.6, gemcutter_utilities.rb, API_SCOPES.
var scopes = map[string]evidence.Permission{
	"index_rubygems": evidence.Read, "show_dashboard": evidence.Read, "access_webhooks": evidence.Read,
	"push_rubygem": evidence.Publish, "yank_rubygem": evidence.Own, "add_owner": evidence.Own, "update_owner": evidence.Own,
	"remove_owner": evidence.Own, "configure_trusted_publishers": evidence.Own,
}

// asked returns the permission that the scopes in a form take together; "" for none.
func asked(fields map[string][]string) evidence.Permission {
	order := []evidence.Permission{"", evidence.Read, evidence.Publish, evidence.Own}
	var most int
	for scope, perm := range scopes {
		wanted := slices.Contains(fields["scopes[]"], scope) || slices.ContainsFunc(fields[scope], func(v string) bool { return v == "true" || v == "1" })
		if wanted {
			most = max(most, slices.Index(order, perm))
		}
	}
	return order[most]
}

// createKey answers POST /api/v1/api_key: gem signin, with name and password. The answer is the key.
func (r *Registry) createKey(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	fields, err := form(w, req)
	if err != nil {
		return err
	}
	want := Key{Description: fields.Get("name"), Permission: asked(fields)}
	if want.Permission == "" {
		return fault.New(fault.Invalid, "scope-invalid", "Scopes can't be blank: a key is for something; choose push_rubygem, say")
	}
	if name := fields.Get("rubygem_name"); name != "" {
		want.Names = []string{normal(name)}
	}
	if at := fields.Get("expires_at"); at != "" {
		if want.Expires, err = parseTime(at); err != nil {
			return malformed("%q is no time", fault.Clip(at))
		}
	}
	secret, err := r.accounts.CreateKey(req.Context(), actor, want)
	if err != nil {
		return err
	}
	return respondText(w, http.StatusOK, secret)
}

// raiseKey answers PUT /api/v1/api_key: a key gets another scope. Source: gemcutter_utilities.rb,
// "update_scope".
func (r *Registry) raiseKey(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	fields, err := form(w, req)
	if err != nil {
		return err
	}
	to := asked(fields)
	if to == "" || fields.Get("api_key") == "" {
		return malformed("it names no key, or no scope")
	}
	if err := r.accounts.RaiseKey(req.Context(), actor, fields.Get("api_key"), to); err != nil {
		return err
	}
	return respondText(w, http.StatusOK, "Scopes for the API key are updated")
}

// serveMe answers GET /api/v1/profile/me.yaml: gem signin looks whether there is a second factor.
func (r *Registry) serveMe(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	has, err := r.accounts.HasFactor(req.Context(), actor)
	if err != nil {
		return err
	}
	level := "disabled"
	if has {
		level = "ui_and_api"
	}
	me := struct {
		ID     string `json:"id" yaml:"id"`
		Handle string `json:"handle" yaml:"handle"`
		MFA    string `json:"mfa" yaml:"mfa"`
	}{actor.Account, actor.Account, level}
	if strings.HasSuffix(req.URL.Path, ".json") {
		return respondJSON(w, http.StatusOK, me)
	}
	return respondYAML(w, me)
}
