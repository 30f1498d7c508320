package console

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/fault"
)

type recoverView struct {
	Problem string
	Mail    bool
}

type messageView struct {
	Text        []string
	Link, Label string
}

type recoveryView struct {
	account.Recovery
	Code    string
	Open    bool // the hold is over
	Problem string
}

const recoverTitle = "Get back into your account"

// recoverPage answers GET /account/recover.
func (c *call) recoverPage() error { return c.showRecover(http.StatusOK, "") }

func (c *call) showRecover(status int, problem string) error {
	c.show(status, "recover", recoverTitle, recoverView{Problem: problem, Mail: c.s.Mail})
	return nil
}

// startRecovery answers POST /account/recover, the same for every user: whether there is one, and
// whether they have an address, is nobody's business.
func (c *call) startRecovery() error {
	if err := c.s.Accounts.StartRecovery(c.r.Context(), c.form("user"), c.form("factors") != "", c.r.RemoteAddr); err != nil {
		return err
	}
	c.show(http.StatusOK, "message", recoverTitle, messageView{
		Text: []string{"If there is such an account and it has confirmed an e-mail address, a code is on its way there."},
		Link: "/account/recover", Label: "I have the code",
	})
	return nil
}

// confirmRecovery answers POST /account/recover/code: the first time it begins the hold.
func (c *call) confirmRecovery() error {
	r, err := c.s.Accounts.ConfirmRecovery(c.r.Context(), c.form("code"))
	if f := fault.As(err); err != nil && f.Kind != fault.Internal {
		return c.showRecover(http.StatusBadRequest, f.Text)
	}
	if err != nil {
		return err
	}
	return c.showRecovery(http.StatusOK, r, "")
}

func (c *call) showRecovery(status int, r account.Recovery, problem string) error {
	open := !c.s.Clock.Now().Before(r.Opens)
	c.show(status, "recovery", recoverTitle, recoveryView{Recovery: r, Code: c.form("code"), Open: open, Problem: problem})
	return nil
}

// finishRecovery answers POST /account/recover/password.
func (c *call) finishRecovery() error {
	code := c.form("code")
	err := c.s.Accounts.FinishRecovery(c.r.Context(), code, c.r.PostFormValue("password"), c.r.RemoteAddr)
	f := fault.As(err)
	if err != nil && f.Kind == fault.NotFound {
		return c.showRecover(http.StatusBadRequest, f.Text)
	}
	if err != nil && f.Kind == fault.Invalid {
		r, again := c.s.Accounts.ConfirmRecovery(c.r.Context(), code)
		if again != nil {
			return again
		}
		return c.showRecovery(http.StatusBadRequest, r, f.Text)
	}
	if err != nil {
		return err
	}
	c.forget()
	c.show(http.StatusOK, "message", "The password is set", messageView{
		Text: []string{"Sign in with it. All sessions and tokens have ended, and publishing rests for a day."},
		Link: "/account/sign-in?" + query("next", home), Label: "Sign in",
	})
	return nil
}
