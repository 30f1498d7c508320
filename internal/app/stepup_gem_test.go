package app_test

import (
	"encoding/json"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/gem/gemtest"
)

// What gem 3.5 and later do: they push, ask for the address of a page, poll while a person is there, and push again with
// the code that they got. Source: rubygems, gemcutter_utilities.rb and webauthn_poller.rb.
func TestGemGoesOnOnceAPersonHasConfirmed(t *testing.T) {
	t.Parallel()
	w := newPathWorld(t)
	must(t, w.app.Accounts.ClaimNamespace(t.Context(), w.ada, "acme", purl.Gem, "acme-*", account.Private))
	w.rule(account.AnyFactor)
	key := strings.TrimPrefix(w.own, "Bearer ") // gem sends it without a scheme

	push := func(otp string) (int, string) {
		r := w.request("POST", "/gems/api/v1/gems", string(gemtest.Gem{Name: "acme-ui", Version: "1.0.0"}.Bytes()))
		r.Header.Set("OTP", otp)
		_, answer := w.send(r, key, inside)
		return answer.Code, answer.Body.String()
	}
	if code, body := push(""); code != http.StatusUnauthorized || !strings.HasPrefix(body, "You have enabled multifactor authentication") {
		t.Fatalf("without a factor: %d %s", code, body)
	}
	_, asked := w.send(w.request("POST", "/gems/api/v1/webauthn_verification", ""), key, inside)
	if asked.Code != http.StatusOK {
		t.Fatalf("the page: %d %s", asked.Code, asked.Body)
	}
	code := path.Base(asked.Body.String())
	poll := func() (status struct{ Status, Code string }) {
		_, answer := w.send(w.request("GET", "/gems/api/v1/webauthn_verification/"+code+"/status.json", ""), key, inside)
		must(t, json.Unmarshal(answer.Body.Bytes(), &status))
		return status
	}
	if got := poll(); got.Status != "pending" {
		t.Errorf("before the confirmation: %+v", got)
	}
	person := with(w.ada)
	person.Factor = evidence.WebAuthn
	must(t, w.app.Accounts.CompleteChallenge(t.Context(), code, person))
	got := poll()
	if got.Status != "success" || got.Code == "" {
		t.Fatalf("after the confirmation: %+v", got)
	}
	if status, body := push(got.Code); status != http.StatusOK {
		t.Errorf("with the code: %d %s", status, body)
	}
	if again := poll(); again.Status != "expired" {
		t.Errorf("a second time: %+v", again)
	}
}
