package account

import (
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

func TestAChallengeHandsOneProofToTheCredentialThatAsked(t *testing.T) {
	t.Parallel()
	w, alice, _ := acme(t, MFARule{Action: "publish", Level: AnyFactor})
	other := w.login("alice", w.token(with(alice, evidence.TOTP), Token{Scope: Scope{Permission: evidence.Publish}}))
	code, poll, err := w.StartChallenge(w.ctx, alice, AnyFactor, "npm publish @acme/ui", here)
	w.must(err)
	if proof, done, err := w.PollChallenge(w.ctx, poll); proof != "" || done || err != nil {
		t.Fatalf("before: %q, %v, %v", proof, done, err)
	}
	ch, err := w.Challenge(w.ctx, code)
	w.must(err)
	if ch.Account != "alice" || ch.What != "npm publish @acme/ui" || ch.Level != AnyFactor || ch.Done {
		t.Errorf("challenge %+v", ch)
	}
	w.must(w.CompleteChallenge(w.ctx, code, with(alice, evidence.TOTP)))
	proof, done, err := w.PollChallenge(w.ctx, poll)
	w.must(err)
	if !done {
		t.Fatal("not done")
	}
	_, _, err = w.PollChallenge(w.ctx, poll)
	w.refused(err, "challenge-unknown")
	_, err = w.Prove(w.ctx, other, proof, here)
	w.refused(err, "otp-invalid")
	proven, err := w.Prove(w.ctx, alice, proof, here)
	w.must(err)
	w.must(w.publishes(proven))
	w.clk.advance(proofLifetime)
	_, err = w.Prove(w.ctx, alice, proof, here)
	w.refused(err, "otp-invalid")
}

func TestAChallengeIsCompletedByItsAccountWithAFactorThatIsStrongEnough(t *testing.T) {
	t.Parallel()
	w, alice, _ := acme(t, MFARule{Action: "publish", Level: AnyFactor})
	bob, _ := w.user("bob")
	code, poll, err := w.StartChallenge(w.ctx, alice, PhishingResistant, "x", here)
	w.must(err)
	w.refused(w.CompleteChallenge(w.ctx, code, with(bob, evidence.WebAuthn)), "challenge-not-yours")
	w.refused(w.CompleteChallenge(w.ctx, code, with(alice, evidence.TOTP)), "factor-missing")
	w.refused(w.CompleteChallenge(w.ctx, poll, with(alice, evidence.WebAuthn)), "challenge-unknown")
	_, _, err = w.PollChallenge(w.ctx, code)
	w.refused(err, "challenge-unknown")
	w.must(w.CompleteChallenge(w.ctx, code, with(alice, evidence.WebAuthn)))
	w.refused(w.CompleteChallenge(w.ctx, code, with(alice, evidence.WebAuthn)), "challenge-unknown")
	proof, _, err := w.PollChallenge(w.ctx, poll)
	w.must(err)
	proven, err := w.Prove(w.ctx, alice, proof, here)
	w.must(err)
	if proven.Factor != evidence.WebAuthn {
		t.Errorf("factor %q", proven.Factor)
	}
}

func TestAChallengeRunsOutAndTheirNumberIsBounded(t *testing.T) {
	t.Parallel()
	w, alice, _ := acme(t, MFARule{Action: "publish", Level: AnyFactor})
	code, poll, err := w.StartChallenge(w.ctx, alice, AnyFactor, "x", here)
	w.must(err)
	w.clk.advance(challengeLifetime)
	_, err = w.Challenge(w.ctx, code)
	w.refused(err, "challenge-unknown")
	w.refused(w.CompleteChallenge(w.ctx, code, with(alice, evidence.TOTP)), "challenge-unknown")
	_, _, err = w.PollChallenge(w.ctx, poll)
	w.refused(err, "challenge-unknown")
	for range maxAsked {
		_, _, err = w.StartChallenge(w.ctx, alice, AnyFactor, "x", here)
		w.must(err)
	}
	_, _, err = w.StartChallenge(w.ctx, alice, AnyFactor, "x", here)
	w.refused(err, "too-many-attempts")
	w.clk.advance(time.Minute)
	_, _, err = w.StartChallenge(w.ctx, alice, AnyFactor, "x", here)
	w.must(err)
}
