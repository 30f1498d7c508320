package console

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"rsc.io/qr"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/fault"
)

// done answers a form on the account page that worked: the page, anew.
func (c *call) done(err error) error {
	if err != nil {
		return err
	}
	return c.to(home)
}

// passkeyOptions answers POST /account/passkeys/options.
func (c *call) passkeyOptions() error {
	options, state, err := c.s.Accounts.BeginPasskey(c.r.Context(), c.actor)
	return c.ceremony(options, state, err)
}

// addPasskey answers POST /account/passkeys.
func (c *call) addPasskey() error {
	_, recovery, err := c.s.Accounts.FinishPasskey(c.r.Context(), c.actor, c.form("state"), c.form("label"), []byte(c.form("response")))
	if err != nil {
		return err
	}
	return c.codes("The passkey is added.", recovery)
}

type codesView struct {
	Text  string
	Codes []string
	Next  string
}

// codes shows recovery codes, the one time that they are known.
func (c *call) codes(text string, codes []string) error {
	if len(codes) == 0 {
		return c.to(home)
	}
	c.show(http.StatusOK, "codes", "Your recovery codes", codesView{Text: text, Codes: codes, Next: home})
	return nil
}

// removePasskey answers POST /account/passkeys/{id}/removal.
func (c *call) removePasskey() error {
	return c.done(c.s.Accounts.RemovePasskey(c.r.Context(), c.actor, c.r.PathValue("id")))
}

type totpView struct {
	QR      template.HTML
	Secret  string
	Problem string
}

// beginTOTP answers POST /account/totp.
func (c *call) beginTOTP() error {
	made, err := c.s.Accounts.BeginTOTP(c.r.Context(), c.actor)
	if err != nil {
		return err
	}
	return c.showTOTP(http.StatusOK, made, "")
}

func (c *call) showTOTP(status int, made account.NewTOTP, problem string) error {
	view := totpView{Secret: made.Secret, Problem: problem}
	if made.URI != "" {
		svg, err := drawQR(made.URI)
		if err != nil {
			return err
		}
		view.QR = svg
	}
	c.show(status, "totp", "Add an authenticator app", view)
	return nil
}

// drawQR returns text as a QR code in SVG: one path of unit squares, with the quiet zone of four that
// readers expect.
func drawQR(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	const quiet = 4
	var path strings.Builder
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	size := code.Size + 2*quiet
	// Numbers alone go into it: there is nothing to escape.
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %d %d" role="img" aria-label="QR code with the secret" shape-rendering="crispEdges"><path d="%s" fill="#000"/></svg>`,
		size, size, path.String())), nil
}

// confirmTOTP answers POST /account/totp/confirmation. A wrong code can be typed again: the app has the
// secret by then, which is not shown a second time.
func (c *call) confirmTOTP() error {
	recovery, err := c.s.Accounts.ConfirmTOTP(c.r.Context(), c.actor, c.form("code"), c.r.RemoteAddr)
	if f := fault.As(err); err != nil && f.Code == "otp-invalid" {
		return c.showTOTP(http.StatusBadRequest, account.NewTOTP{}, f.Text)
	}
	if err != nil {
		return err
	}
	return c.codes("The app is added.", recovery)
}

// removeTOTP answers POST /account/totp/removal.
func (c *call) removeTOTP() error {
	return c.done(c.s.Accounts.RemoveTOTP(c.r.Context(), c.actor))
}

// renewCodes answers POST /account/recovery-codes.
func (c *call) renewCodes() error {
	codes, err := c.s.Accounts.RenewRecoveryCodes(c.r.Context(), c.actor)
	if err != nil {
		return err
	}
	return c.codes("The codes that you had do not work any more.", codes)
}
