package console

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const loginTitle = "Let a terminal act for you"

type loginView struct {
	Registry string
	SignIn   string
	Token    bool // the form for a token was used
	Problem  string
}

// loginPage answers GET /login/{code}: a client waits for somebody to log in.
func (c *call) loginPage() error { return c.showLogin(http.StatusOK, loginView{}) }

func (c *call) showLogin(status int, v loginView) error {
	v.Registry = c.s.Registry
	v.SignIn = "/account/sign-in?" + query("next", "/login/"+c.r.PathValue("code"))
	c.show(status, "login", loginTitle, v)
	return nil
}

// approveLogin answers POST /login/{code}, from a session or with a token: an account that only
// machines use has nothing else. Either way the new token gets no further than what approved it.
func (c *call) approveLogin() error {
	actor, byToken := c.actor, c.form("secret") != ""
	var err error
	if byToken {
		actor, err = c.tokenActor()
	}
	if err == nil && actor.Anonymous() {
		c.askToSignIn("")
		return nil
	}
	if err == nil {
		err = c.s.Accounts.CompleteLogin(c.r.Context(), c.r.PathValue("code"), actor)
	}
	f := fault.As(err)
	switch {
	case err == nil:
		c.show(http.StatusOK, "message", "You are logged in", messageView{Text: []string{"Go back to the terminal; this page can be closed."}})
		return nil
	case f.Kind == fault.Internal || c.signedIn() && f.Kind == fault.Unauthenticated:
		return err
	}
	return c.showLogin(fault.HTTPStatus(f), loginView{Problem: f.Text, Token: byToken})
}

// tokenActor is who the token in the form belongs to. A password is no token: it opens a session, which
// asks for the second factor.
func (c *call) tokenActor() (evidence.Actor, error) {
	secret := c.form("secret")
	if !account.ValidToken(secret) {
		return evidence.Actor{}, fault.New(fault.Unauthenticated, "credential-invalid", "that is no token; sign in with your password or passkey instead")
	}
	return c.s.Accounts.AuthenticateSecret(c.r.Context(), c.form("user"), secret, c.r.RemoteAddr)
}
