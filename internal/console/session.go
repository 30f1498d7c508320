package console

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// cookieName is the session's cookie. With the prefix a browser takes it from this host alone and over
// https alone, so that no neighbour under the same domain can plant one.
func (s *Console) cookieName() string {
	if s.secure {
		return "__Host-hullmark"
	}
	return "hullmark"
}

// remember hands the session to the browser, until that is closed. Other sites' links and forms do not
// carry it.
func (c *call) remember(secret string) {
	http.SetCookie(c.w, &http.Cookie{
		Name: c.s.cookieName(), Value: secret, Path: "/", HttpOnly: true, Secure: c.s.secure, SameSite: http.SameSiteStrictMode,
	})
}

// forget takes the session from the browser.
func (c *call) forget() {
	c.actor = evidence.Actor{}
	http.SetCookie(c.w, &http.Cookie{
		Name: c.s.cookieName(), Path: "/", MaxAge: -1, HttpOnly: true, Secure: c.s.secure, SameSite: http.SameSiteStrictMode,
	})
}

// identify finds out who sent the request. A session that has ended is none.
func (c *call) identify() error {
	cookie, err := c.r.Cookie(c.s.cookieName())
	if err != nil || cookie.Value == "" {
		return nil //nolint:nilerr // no cookie: nobody is signed in
	}
	c.actor, err = c.s.Accounts.SessionActor(c.r.Context(), cookie.Value, c.r.RemoteAddr)
	if fault.KindOf(err) == fault.Unauthenticated && err != nil {
		c.forget()
		return nil
	}
	return err
}

type signInView struct {
	Next    string
	Problem string
	User    string
	SignOn  []providerView
	Lead    string // what it is for
}

// askToSignIn answers with the sign-in page instead of the one that was asked for.
func (c *call) askToSignIn(problem string) {
	next := home
	if c.r.Method == http.MethodGet {
		next = local(c.r.URL.RequestURI())
	}
	c.show(http.StatusUnauthorized, "signin", "Sign in", signInView{Next: next, Problem: problem, SignOn: c.s.providers(next)})
}

// signInPage answers GET /account/sign-in.
func (c *call) signInPage() error {
	next := local(c.r.URL.Query().Get("next"))
	if c.signedIn() {
		return c.to(next)
	}
	c.show(http.StatusOK, "signin", "Sign in", signInView{Next: next, SignOn: c.s.providers(next)})
	return nil
}

// signIn answers POST /account/sign-in, with a password. When the account has a second factor, the page
// that comes next asks for it.
func (c *call) signIn() error {
	next, user := local(c.form("next")), c.form("user")
	secret, err := c.s.Accounts.SignInPassword(c.r.Context(), user, c.r.PostFormValue("password"), c.device())
	if err != nil {
		return c.signInFailed(next, user, err)
	}
	c.remember(secret)
	return c.to(next)
}

func (c *call) signInFailed(next, user string, err error) error {
	f := fault.As(err)
	if f.Kind == fault.Internal {
		return err
	}
	c.actor = evidence.Actor{}
	c.show(fault.HTTPStatus(f), "signin", "Sign in", signInView{Next: next, User: user, Problem: f.Text, SignOn: c.s.providers(next)})
	return nil
}

// signInOptions answers POST /account/sign-in/options: what the browser's authenticator is asked.
func (c *call) signInOptions() error {
	options, state, err := c.s.Accounts.BeginPasskeySignIn(c.r.Context(), c.r.RemoteAddr)
	return c.ceremony(options, state, err)
}

// signInPasskey answers POST /account/sign-in/passkey.
func (c *call) signInPasskey() error {
	next := local(c.form("next"))
	secret, err := c.s.Accounts.FinishPasskeySignIn(c.r.Context(), c.form("state"), []byte(c.form("response")), c.device())
	if err != nil {
		return c.signInFailed(next, "", err)
	}
	c.remember(secret)
	return c.to(next)
}

// signOut answers POST /account/sign-out.
func (c *call) signOut() error {
	if err := c.s.Accounts.EndSession(c.r.Context(), c.actor, ""); err != nil {
		return err
	}
	c.forget()
	return c.to("/account/sign-in")
}

type proveView struct {
	Next    string
	Why     string
	Problem string
	Means   means
}

// means are the ways in which an account can prove a second factor.
type means struct {
	Passkey, Code bool
}

func meansOf(f account.Factors) means {
	return means{Passkey: len(f.Passkeys) > 0, Code: f.TOTP || f.RecoveryCodes > 0}
}

// askToProve sends the browser to the page that asks for the second factor. After a form was posted it
// comes back to the page with that form.
func (c *call) askToProve(f *fault.Error) {
	next := c.back()
	if c.r.Method == http.MethodGet {
		next = local(c.r.URL.RequestURI())
	}
	if f.Code == "webauthn-required" && c.r.Method != http.MethodGet {
		next = c.back()
	}
	_ = c.to("/account/prove?" + query("next", next, "why", f.Code)) // it does not fail
}

// provePage answers GET /account/prove.
func (c *call) provePage() error {
	q := c.r.URL.Query()
	return c.prove(http.StatusOK, proveView{Next: local(q.Get("next")), Why: reasons()[q.Get("why")]})
}

// reasons are why a proof is asked for, by the code of what was refused. The text is ours and not the
// address's: who writes a link writes no sentence of ours.
func reasons() map[string]string {
	return map[string]string{
		"otp-required":      "This needs your second factor, proven within the last ten minutes.",
		"webauthn-required": "This needs a passkey: a code can be passed on by a page that looks like this one.",
	}
}

func (c *call) prove(status int, v proveView) error {
	f, err := c.s.Accounts.Factors(c.r.Context(), c.actor)
	if err != nil {
		return err
	}
	v.Means = meansOf(f)
	c.show(status, "prove", "Prove that it is you", v)
	return nil
}

// proveCode answers POST /account/prove, with a code.
func (c *call) proveCode() error {
	next := local(c.form("next"))
	_, err := c.s.Accounts.ProveSession(c.r.Context(), c.actor, c.form("otp"), c.r.RemoteAddr)
	return c.proven(next, err)
}

// proveOptions answers POST /account/prove/options.
func (c *call) proveOptions() error {
	options, state, err := c.s.Accounts.BeginPasskeyProof(c.r.Context(), c.actor)
	return c.ceremony(options, state, err)
}

// provePasskey answers POST /account/prove/passkey.
func (c *call) provePasskey() error {
	next := local(c.form("next"))
	_, err := c.s.Accounts.FinishPasskeyProof(c.r.Context(), c.actor, c.form("state"), []byte(c.form("response")), c.r.RemoteAddr)
	return c.proven(next, err)
}

func (c *call) proven(next string, err error) error {
	f := fault.As(err)
	switch {
	case err == nil:
		return c.to(next)
	case f.Kind == fault.Internal:
		return err
	}
	return c.prove(c.status(f), proveView{Next: next, Problem: f.Text})
}
