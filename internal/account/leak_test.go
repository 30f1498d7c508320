package account

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
)

func TestALeakedSecretIsRevokedAndItsAccountTold(t *testing.T) {
	t.Parallel()
	w, bob := mailed(t)
	token := w.token(bob, Token{Description: "ci", Scope: Scope{Permission: evidence.Publish}})
	session, err := w.SignInPassword(w.ctx, "bob", "correct horse battery", desk)
	w.must(err)
	member, _, err := w.Enrol(w.ctx, w.admin, Enrolment{Kind: AgentMember, Name: "node-7"})
	w.must(err)
	report := func(secret string, want bool) {
		t.Helper()
		ours, err := w.ReportLeak(w.ctx, Leak{Secret: secret, URL: "https://code.example/x"})
		w.must(err)
		if ours != want {
			t.Errorf("ours: %v, want %v", ours, want)
		}
	}
	report(token, true)
	data := w.notice("token-revoked", "bob@example.org")
	if data["url"] != "https://code.example/x" || data["description"] != "ci" {
		t.Errorf("notice %v", data)
	}
	_, err = w.AuthenticateSecret(w.ctx, "bob", token, here)
	w.refused(err, "credential-invalid")
	report(token, false)
	report(session, true)
	_, err = w.SessionActor(w.ctx, session, here)
	w.refused(err, "credential-invalid")
	report(member, true)
	_, err = w.Member(w.ctx, member)
	w.refused(err, "enrolment-unauthenticated")
	report(member, false)
	for _, secret := range []string{"", "hm_", "correct horse battery", token[:len(token)-1] + "x"} {
		report(secret, false)
	}
	w.quiet()
}

func TestAReportCountsWithTheSignatureOfAScannerThatIsKnown(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := sealed(t, Settings{Scanners: map[string]*ecdsa.PublicKey{"k1": &key.PublicKey}})
	body := []byte(`[{"token":"x"}]`)
	sum := sha256.Sum256(body)
	raw, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	w.must(err)
	signature := base64.StdEncoding.EncodeToString(raw)
	w.must(w.CheckReporter("k1", signature, body))
	w.refused(w.CheckReporter("k2", signature, body), "reporter-unknown")
	w.refused(w.CheckReporter("k1", signature, append(body, ' ')), "reporter-unknown")
	w.refused(w.CheckReporter("k1", "", body), "reporter-unknown")
	w.refused(w.CheckReporter("", "!", nil), "reporter-unknown")
}

func TestTokensThatNobodyUsesAreRevokedAndTold(t *testing.T) {
	t.Parallel()
	w, bob := mailed(t)
	used := w.token(bob, Token{Scope: Scope{Permission: evidence.Read}})
	unused := w.token(bob, Token{Description: "old laptop", Scope: Scope{Permission: evidence.Read}})
	w.clk.advance(80 * day)
	w.login("bob", used)
	w.login("admin", w.first)
	w.clk.advance(10 * day)
	n, err := w.Reap(w.ctx)
	w.must(err)
	if n != 1 {
		t.Errorf("%d revoked", n)
	}
	w.login("bob", used)
	_, err = w.AuthenticateSecret(w.ctx, "bob", unused, here)
	w.refused(err, "credential-invalid")
	w.notice("token-reaped", "bob@example.org")
	w.must(w.Configure(Settings{UnusedAfter: -1}))
	w.clk.advance(1000 * day)
	if n, err := w.Reap(w.ctx); n != 0 || err != nil {
		t.Errorf("switched off: %d revoked, %v", n, err)
	}
}
