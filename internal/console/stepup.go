package console

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const stepUpTitle = "Prove that it is you"

type stepUpView struct {
	account.Challenge
	SignIn  string // where to sign in first; empty for who is
	Strong  bool   // a code is not enough
	Fresh   bool   // what was proven lately is enough
	Means   means
	Problem string
}

// stepUpPage answers GET /step-up/{code}: a client waits for its user's second factor.
func (c *call) stepUpPage() error { return c.showStepUp(http.StatusOK, "") }

func (c *call) showStepUp(status int, problem string) error {
	challenge, err := c.s.Accounts.Challenge(c.r.Context(), c.r.PathValue("code"))
	if err != nil {
		return err
	}
	if challenge.Done {
		return c.approved()
	}
	v := stepUpView{Challenge: challenge, Strong: challenge.Level == account.PhishingResistant, Problem: problem}
	switch {
	case !c.signedIn():
		v.SignIn = "/account/sign-in?" + query("next", "/step-up/"+c.r.PathValue("code"))
	case c.actor.Account != challenge.Account:
		return fault.New(fault.Denied, "challenge-not-yours",
			"you are signed in as %s and this is for another account; sign out, then open the address again as its owner", c.actor.Account)
	default:
		if err := c.readMeans(&v); err != nil {
			return err
		}
	}
	c.show(status, "stepup", stepUpTitle, v)
	return nil
}

func (c *call) readMeans(v *stepUpView) error {
	f, err := c.s.Accounts.Factors(c.r.Context(), c.actor)
	if err != nil {
		return err
	}
	v.Means = meansOf(f)
	v.Means.Code = v.Means.Code && !v.Strong
	v.Fresh = c.actor.Factor == evidence.WebAuthn || c.actor.Factor != "" && !v.Strong
	return nil
}

// stepUp answers POST /step-up/{code}: proves the factor that the form carries, if any, and lets the
// client go on.
func (c *call) stepUp() error {
	actor, err := c.proof()
	if err == nil {
		err = c.s.Accounts.CompleteChallenge(c.r.Context(), c.r.PathValue("code"), actor)
	}
	f := fault.As(err)
	switch {
	case err == nil:
		return c.approved()
	case f.Kind == fault.Unauthenticated || f.Kind == fault.Invalid:
		return c.showStepUp(http.StatusBadRequest, f.Text)
	}
	return err
}

// proof returns the actor with the factor that the form proves.
func (c *call) proof() (evidence.Actor, error) {
	ctx := c.r.Context()
	switch {
	case c.form("response") != "":
		return c.s.Accounts.FinishPasskeyProof(ctx, c.actor, c.form("state"), []byte(c.form("response")), c.r.RemoteAddr)
	case c.form("otp") != "":
		return c.s.Accounts.ProveSession(ctx, c.actor, c.form("otp"), c.r.RemoteAddr)
	}
	return c.actor, nil
}

func (c *call) approved() error {
	c.show(http.StatusOK, "message", "Approved", messageView{Text: []string{"Go back to the terminal; this page can be closed."}})
	return nil
}
