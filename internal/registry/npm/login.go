package npm

import (
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// startLogin answers POST /-/v1/login, the web login: npm opens loginUrl in a browser and polls
// doneUrl. The two addresses hold different secrets. Source: npm-profile, webAuth.
func (r *Registry) startLogin(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	code, poll, err := r.accounts.StartLogin(req.Context(), req.RemoteAddr)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	r.respond(w, http.StatusOK, map[string]string{
		"loginUrl": r.login + code, "doneUrl": r.base + "-/v1/done/" + poll,
	})
	return nil
}

// pollLogin answers GET /-/v1/done/{poll}: 202 until somebody has logged in, then the token, once.
func (r *Registry) pollLogin(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	token, done, err := r.accounts.PollLogin(req.Context(), req.PathValue("poll"))
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if !done {
		w.Header().Set("Retry-After", "1")
		r.respond(w, http.StatusAccepted, struct{}{})
		return nil
	}
	r.respond(w, http.StatusOK, map[string]string{"token": token})
	return nil
}

// legacyLogin answers PUT /-/user/org.couchdb.user:{name}: npm login --auth-type=legacy. A token
// is taken as the password. Nobody can register this way. Source: npm-profile, loginCouch.
func (r *Registry) legacyLogin(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	var body struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := registry.ReadJSON(w, req, maxSmallBody, &body); err != nil {
		return err
	}
	user, isUser := strings.CutPrefix(req.PathValue("user"), couchUser)
	if !isUser || user != body.Name {
		return fault.New(fault.Invalid, "body-malformed", "the user in the request's address and in its body differ")
	}
	token, actor, err := r.accounts.Login(req.Context(), user, body.Password, req.Header.Get(otpHeader), req.RemoteAddr)
	if err != nil {
		return r.ask(req, actor, err)
	}
	w.Header().Set("Cache-Control", "no-store")
	r.respond(w, http.StatusCreated, map[string]any{"ok": true, "id": couchUser + user, "token": token})
	return nil
}
