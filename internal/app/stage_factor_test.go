package app_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/purl"
)

func TestApprovingAStagedVersionAsksForASecondFactorAsNpmDoes(t *testing.T) {
	t.Parallel()
	w := newAttack(t)
	ctx := t.Context()
	secret := w.ownerToken("colleague")
	colleague, err := w.app.Accounts.AuthenticateSecret(ctx, "token", secret, "127.0.0.1:1")
	must(t, err)
	app, err := w.app.Accounts.BeginTOTP(ctx, colleague)
	must(t, err)
	code := func() string {
		c, err := totp.GenerateCode(app.Secret, w.app.Record.Now())
		must(t, err)
		return c
	}
	_, err = w.app.Accounts.ConfirmTOTP(ctx, colleague, code(), "127.0.0.1:1")
	must(t, err)
	w.later(48 * time.Hour) // a new factor freezes publishing for a day
	w.set(publish.Scope{Ecosystem: purl.NPM, Namespace: "@acme"}, publish.Settings{Factor: "any"})

	staged := w.stageAs("maintainer", "@acme/ui", "1.0.0", plain("1"))
	approve := func(otp string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(ctx, "POST", "/-/stage/"+staged.id+"/approve", nil)
		if otp != "" {
			r.Header.Set("Npm-Otp", otp)
		}
		return send(w.handler, r, "Bearer "+w.tokens["colleague"])
	}
	if got := approve(""); got.Code != http.StatusUnauthorized || got.Header().Get("Www-Authenticate") != "OTP" {
		t.Errorf("without a code: %d %s %s", got.Code, got.Header().Get("Www-Authenticate"), got.Body)
	}
	w.offered("@acme/ui", "1.0.0", false)
	if got := approve("000000"); got.Code == http.StatusOK {
		t.Errorf("with a wrong code: %d %s", got.Code, got.Body)
	}
	if got := approve(code()); got.Code != http.StatusOK {
		t.Errorf("with the code: %d %s", got.Code, got.Body)
	}
	w.offered("@acme/ui", "1.0.0", true)
}
