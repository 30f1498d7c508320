package app_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/publish"
)

// publishAda publishes a version of @acme/x with ada's token and returns what the gate decided: "" when it
// is offered, else the code of the refusal or of the rule that holds it.
func (w *pathWorld) publishAda(version string) string {
	w.t.Helper()
	body := document(w.t, "@acme/x", version, plain("exports.x = '"+version+"'"))
	code, answer := w.send(httptest.NewRequest("PUT", "/npm/"+url.PathEscape("@acme/x"), strings.NewReader(body)), w.own, inside)
	if answer.Code != 202 {
		return code
	}
	must(w.t, w.app.DB.Query().QueryRow(`SELECT code FROM decision WHERE gate = 'publish' AND verdict = 'hold' ORDER BY seq DESC LIMIT 1`).Scan(&code))
	return code
}

// recall asks for a recall of 1.0.0.
func (w *pathWorld) recall() string {
	r := httptest.NewRequest("POST", "/api/v1/recalls", strings.NewReader(`{"subject":"pkg:npm/%40acme/x@1.0.0","reason":"that was not me"}`))
	r.Header.Set("Content-Type", "application/json")
	code, _ := w.send(r, w.own, inside)
	return code
}

// lift asks for its end.
func (w *pathWorld) lift() string {
	r := httptest.NewRequest("DELETE", "/api/v1/recalls/"+url.PathEscape("pkg:npm/%40acme/x@1.0.0")+"?reason=mine", nil)
	code, _ := w.send(r, w.own, inside)
	return code
}

func (w *pathWorld) changePassword() {
	w.t.Helper()
	must(w.t, w.app.Accounts.ChangePassword(w.t.Context(), w.ada, password, "seven purple ostriches", inside))
}

func TestWithoutAFreezeWhatIsPublishedAfterAChangeOfCredentialsWaits(t *testing.T) {
	t.Parallel()
	w := pathWorldWith(t, account.Settings{Freeze: -1})
	if got := w.publishAda("1.0.0"); got != "" {
		t.Fatalf("before the change: %s", got)
	}
	w.changePassword()
	w.clock.advance(20 * time.Minute)
	if got := w.publishAda("1.0.1"); got != publish.CredentialChanged {
		t.Errorf("after the change: %q, want a hold by %s", got, publish.CredentialChanged)
	}
	w.clock.advance(24 * time.Hour)
	if got := w.publishAda("1.0.2"); got != "" {
		t.Errorf("a day later: %s", got)
	}
}

func TestAFrozenPublisherRecallsAndPublishesNothing(t *testing.T) {
	t.Parallel()
	w := newPathWorld(t)
	if got := w.publishAda("1.0.0"); got != "" {
		t.Fatalf("before the change: %s", got)
	}
	w.changePassword()
	if got := w.publishAda("1.0.1"); got != "publishing-frozen" {
		t.Errorf("publishing while frozen: %q", got)
	}
	if got := w.recall(); got != "" {
		t.Errorf("a recall while frozen: %s", got)
	}
	if got := w.lift(); got != "publishing-frozen" {
		t.Errorf("to lift it while frozen: %q", got)
	}
	w.clock.advance(thaw)
	if got := w.lift(); got != "recall-second-person" { // whose it is asks, and another confirms
		t.Errorf("to lift it afterwards: %q", got)
	}
}
