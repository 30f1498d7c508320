package console

import (
	"net/http"
	"time"

	"github.com/hullmark/hullmark/internal/console/sso"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// providerView is an identity provider that somebody may choose.
type providerView struct{ ID, Label, Address string }

type identityView struct{ ID, Label, Issuer string }

func (s *Console) providers(next string) []providerView {
	var all []providerView
	for _, p := range s.SignOn {
		all = append(all, providerView{ID: p.ID, Label: p.Label, Address: "/account/sign-on/" + p.ID + "?" + query("next", next)})
	}
	return all
}

func (c *call) provider() (*sso.Provider, error) {
	for _, p := range c.s.SignOn {
		if p.ID == c.r.PathValue("provider") {
			return p, nil
		}
	}
	return nil, fault.New(fault.NotFound, "page-unknown", "there is no such identity provider; begin at %s/account/", c.s.URL)
}

// bindingCookie ties the way back from a provider to the browser that went there. It is Lax, because that
// way begins at the provider's site.
func (c *call) bindingCookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: c.s.cookieName() + "-sign-on", Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: c.s.secure, SameSite: http.SameSiteLaxMode,
	}
}

const bindingLife = 10 * time.Minute

// begin starts a sign-in and returns where the browser has to go.
func (c *call) begin(next string, by evidence.Actor) (string, error) {
	p, err := c.provider()
	if err != nil {
		return "", err
	}
	begun, err := p.Begin(c.r.Context(), next, by)
	if err != nil {
		return "", err
	}
	http.SetCookie(c.w, c.bindingCookie(begun.Binding, int(bindingLife.Seconds())))
	return begun.Address, nil
}

// signOn answers GET /account/sign-on/{provider}.
func (c *call) signOn() error {
	address, err := c.begin(local(c.r.URL.Query().Get("next")), evidence.Actor{})
	if err != nil {
		return err
	}
	http.Redirect(c.w, c.r, address, http.StatusSeeOther)
	return nil
}

// linkIdentity answers POST /account/identities/{provider}. The way to the provider is a link: no form of
// ours may lead to another site.
func (c *call) linkIdentity() error {
	address, err := c.begin(home, c.actor)
	if err != nil {
		return err
	}
	c.show(http.StatusOK, "message", "Link an identity", messageView{
		Text: []string{"Sign in there; whoever can do so opens this account from then on."}, Link: address, Label: "Go on",
	})
	return nil
}

// signOnCallback answers GET /account/sign-on/{provider}/callback.
func (c *call) signOnCallback() error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	q := c.r.URL.Query()
	answer := sso.Answer{State: q.Get("state"), Code: q.Get("code"), Error: q.Get("error"), Issuer: q.Get("iss")}
	if cookie, err := c.r.Cookie(c.bindingCookie("", 0).Name); err == nil {
		answer.Binding = cookie.Value
	}
	finished, err := p.Finish(c.r.Context(), answer)
	if err != nil {
		return err
	}
	http.SetCookie(c.w, c.bindingCookie("", -1))
	// The session's cookie does not come along from the provider's site: it is who began, in this browser.
	if !finished.By.Anonymous() {
		if err := c.s.Accounts.LinkIdentity(c.r.Context(), finished.By, finished.Assertion); err != nil {
			return err
		}
		c.continueTo("The identity is linked", finished.Next)
		return nil
	}
	secret, err := c.s.Accounts.SignInIdentity(c.r.Context(), finished.Assertion, c.device())
	if err != nil {
		return err
	}
	c.remember(secret)
	c.continueTo("You are signed in", finished.Next)
	return nil
}

// continueTo leads on by a page of ours instead of a redirect: the browser carries the new cookie only
// where its way begins on this site.
func (c *call) continueTo(title, next string) {
	c.show(http.StatusOK, "continue", title, messageView{Link: next, Label: "Go on"})
}

func (c *call) readIdentities(v *accountView) error {
	v.SignOn = c.s.providers(home)
	if len(v.SignOn) == 0 {
		return nil
	}
	all, err := c.s.Accounts.Identities(c.r.Context(), c.actor)
	for _, i := range all {
		v.Identities = append(v.Identities, identityView{ID: i.ID, Label: i.Provider, Issuer: i.Issuer})
	}
	return err
}

// removeIdentity answers POST /account/identities/{id}/removal.
func (c *call) removeIdentity() error {
	return c.done(c.s.Accounts.RemoveIdentity(c.r.Context(), c.actor, c.r.PathValue("id")))
}
