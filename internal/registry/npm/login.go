package npm

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
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
		"loginUrl": r.base + "-/v1/login/" + code, "doneUrl": r.base + "-/v1/done/" + poll,
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

//go:embed login.html
var loginHTML string

var loginTemplate = template.Must(template.New("login").Parse(loginHTML))

// loginPolicy allows the page its own style sheet and its form, and nothing else.
var loginPolicy = func() string {
	_, rest, _ := strings.Cut(loginHTML, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}()

// pageView is what the login page shows.
type pageView struct {
	Address string // of this registry
	Problem string
	Done    bool
}

// loginPage answers GET /-/v1/login/{code}.
func (r *Registry) loginPage(w http.ResponseWriter, _ *http.Request, _ evidence.Actor) error {
	r.page(w, http.StatusOK, pageView{})
	return nil
}

// completeLogin answers the page's form. Nobody else's page can post it: a browser says where a
// request comes from, and the code in the address is used up by the first login.
func (r *Registry) completeLogin(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	if err := http.NewCrossOriginProtection().Check(req); err != nil {
		return fault.New(fault.Denied, "login-cross-origin", "the login was sent from another site's page; open the address that npm printed").Because(err)
	}
	req.Body = http.MaxBytesReader(w, req.Body, maxSmallBody)
	user, secret := strings.TrimSpace(req.PostFormValue("user")), req.PostFormValue("secret")
	err := r.accounts.CompleteLogin(req.Context(), req.PathValue("code"), user, secret, req.RemoteAddr)
	if err == nil {
		r.page(w, http.StatusOK, pageView{Done: true})
		return nil
	}
	if fault.KindOf(err) == fault.Internal {
		return err
	}
	r.page(w, fault.HTTPStatus(err), pageView{Problem: fault.As(err).Text})
	return nil
}

func (r *Registry) page(w http.ResponseWriter, status int, v pageView) {
	v.Address = r.base
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", loginPolicy)
	h.Set("Referrer-Policy", "no-referrer") // the address is a secret
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if err := loginTemplate.Execute(w, v); err != nil {
		r.log.Error("login page", "error", err)
	}
}

// legacyLogin answers PUT /-/user/org.couchdb.user:{name}: npm login --auth-type=legacy. A token
// is taken as the password. Nobody can register this way. Source: npm-profile, loginCouch.
func (r *Registry) legacyLogin(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	var body struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := readJSON(w, req, maxSmallBody, &body); err != nil {
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
