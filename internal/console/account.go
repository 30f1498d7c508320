package console

import (
	"net/http"
	"time"

	"github.com/hullmark/hullmark/internal/account"
)

// maxHistory is how many events the account page shows.
const maxHistory = 20

type accountView struct {
	Factors    account.Factors
	Email      account.Email
	Sessions   []account.Session
	Tokens     []account.Token
	Identities []identityView
	SignOn     []providerView
	History    []eventView
	Frozen     time.Time
	Recovery   *account.Recovery
	Mail       bool
}

type eventView struct {
	At   time.Time
	Text string
}

// overview answers GET /account/.
func (c *call) overview() error {
	ctx, accounts, v := c.r.Context(), c.s.Accounts, accountView{Mail: c.s.Mail}
	var err error
	for _, read := range []func() error{
		func() error { v.Factors, err = accounts.Factors(ctx, c.actor); return err },
		func() error { v.Email, err = accounts.Email(ctx, c.actor); return err },
		func() error { v.Sessions, err = accounts.Sessions(ctx, c.actor); return err },
		func() error { v.Tokens, err = accounts.ListTokens(ctx, c.actor); return err },
		func() error { v.Frozen, err = accounts.Frozen(ctx, c.actor); return err },
		func() error { return c.readRecovery(&v) },
		func() error { return c.readIdentities(&v) },
		func() error { return c.readHistory(&v) },
	} {
		if err := read(); err != nil {
			return err
		}
	}
	c.show(http.StatusOK, "account", "Your account", v)
	return nil
}

func (c *call) readRecovery(v *accountView) error {
	r, underWay, err := c.s.Accounts.RecoveryUnderWay(c.r.Context(), c.actor)
	if underWay {
		v.Recovery = &r
	}
	return err
}

func (c *call) readHistory(v *accountView) error {
	events, err := c.s.Accounts.History(c.r.Context(), c.actor, maxHistory)
	if err != nil {
		return err
	}
	for _, e := range events {
		l, err := letterOf(e, c.s.URL)
		if err != nil {
			return err
		}
		v.History = append(v.History, eventView{At: e.Created, Text: l.Subject})
	}
	return nil
}

// endSession answers POST /account/sessions/{id}/end.
func (c *call) endSession() error {
	return c.done(c.s.Accounts.EndSession(c.r.Context(), c.actor, c.r.PathValue("id")))
}

// revokeToken answers POST /account/tokens/{id}/revocation.
func (c *call) revokeToken() error {
	return c.done(c.s.Accounts.RevokeToken(c.r.Context(), c.actor, c.r.PathValue("id")))
}

// changePassword answers POST /account/password.
func (c *call) changePassword() error {
	return c.done(c.s.Accounts.ChangePassword(c.r.Context(), c.actor, c.r.PostFormValue("old"), c.r.PostFormValue("password"), c.r.RemoteAddr))
}

// setEmail answers POST /account/email.
func (c *call) setEmail() error {
	return c.done(c.s.Accounts.SetEmail(c.r.Context(), c.actor, c.form("address")))
}

// verifyEmail answers POST /account/email/verification.
func (c *call) verifyEmail() error {
	return c.done(c.s.Accounts.VerifyEmail(c.r.Context(), c.actor, c.form("code")))
}

// cancelRecovery answers POST /account/recovery/cancellation.
func (c *call) cancelRecovery() error {
	return c.done(c.s.Accounts.CancelRecovery(c.r.Context(), c.actor))
}
