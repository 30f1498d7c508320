package account

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

func TestTheWebLoginHandsOutOneTokenToWhoWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	code, poll, err := w.StartLogin(w.ctx, here)
	w.must(err)
	if code == poll {
		t.Fatal("the browser's code is the client's secret")
	}
	if token, done, err := w.PollLogin(w.ctx, poll); token != "" || done || err != nil {
		t.Fatalf("before the login: %q, %v, %v", token, done, err)
	}
	w.must(w.CompleteLogin(w.ctx, code, alice))
	token, done, err := w.PollLogin(w.ctx, poll)
	w.must(err)
	if !done {
		t.Fatal("not done after the login")
	}
	actor := w.login("alice", token)
	tokens, err := w.ListTokens(w.ctx, actor)
	w.must(err)
	for _, got := range tokens {
		if "token:"+got.ID == actor.Credential &&
			(got.Description != "npm login" || got.Scope.Ecosystem != "npm" || got.Expires.Sub(w.clk.Now()) != 30*24*time.Hour) {
			t.Errorf("the token is %+v", got)
		}
	}
	_, _, err = w.PollLogin(w.ctx, poll)
	w.refused(err, "login-unknown")
}

func TestALoginIsRefusedInEveryOtherState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	code, poll, err := w.StartLogin(w.ctx, here)
	w.must(err)
	reader := narrow(w, Scope{Permission: evidence.Read})
	w.refused(w.CompleteLogin(w.ctx, code, evidence.Actor{}), "login-required")
	w.refused(w.CompleteLogin(w.ctx, code, reader), "token-scope")
	w.refused(w.CompleteLogin(w.ctx, poll, alice), "login-unknown")
	_, _, err = w.PollLogin(w.ctx, code)
	w.refused(err, "login-unknown")
	w.must(w.CompleteLogin(w.ctx, code, alice))
	w.refused(w.CompleteLogin(w.ctx, code, w.admin), "login-unknown")
	w.clk.advance(10 * time.Minute)
	_, _, err = w.PollLogin(w.ctx, poll)
	w.refused(err, "login-unknown")
}

func TestALoginExpiresAfterTenMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, poll, err := w.StartLogin(w.ctx, here)
	w.must(err)
	w.clk.advance(10*time.Minute - time.Millisecond)
	_, _, err = w.PollLogin(w.ctx, poll)
	w.must(err)
	w.clk.advance(time.Millisecond)
	_, _, err = w.PollLogin(w.ctx, poll)
	w.refused(err, "login-unknown")
	w.refused(w.CompleteLogin(w.ctx, code, w.admin), "login-unknown")
}

func TestALoginGivesNothingOnceWhatApprovedItIsRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, secret := w.user("alice")
	code, poll, err := w.StartLogin(w.ctx, here)
	w.must(err)
	w.must(w.CompleteLogin(w.ctx, code, alice))
	w.must(w.RevokeToken(w.ctx, alice, secret))
	_, done, err := w.PollLogin(w.ctx, poll)
	w.refused(err, "credential-invalid")
	if done {
		t.Error("done all the same")
	}
}

func TestALoginDoesNotOutliveWhatApprovedIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	short := w.login("alice", w.token(alice, Token{Scope: Scope{Permission: evidence.Own}, Expires: w.clk.Now().Add(time.Hour)}))
	code, poll, err := w.StartLogin(w.ctx, here)
	w.must(err)
	w.must(w.CompleteLogin(w.ctx, code, short))
	token, _, err := w.PollLogin(w.ctx, poll)
	w.must(err)
	w.login("alice", token)
	w.clk.advance(time.Hour)
	_, err = w.ask("Bearer " + token)
	w.refused(err, "token-expired")
}

func TestOfManyWhoPollAtOnceOneGetsTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, poll, err := w.StartLogin(w.ctx, here)
	w.must(err)
	w.must(w.CompleteLogin(w.ctx, code, w.admin))
	var got atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, done, _ := w.PollLogin(w.ctx, poll); done {
				got.Add(1)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d clients got a token", got.Load())
	}
}

func TestOpenLoginsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range maxLoginStarts {
		_, _, err := w.StartLogin(w.ctx, here)
		w.must(err)
	}
	_, _, err := w.StartLogin(w.ctx, here)
	w.refused(err, "too-many-attempts")
	for i := range maxLogins - maxLoginStarts {
		_, _, err := w.StartLogin(w.ctx, fmt.Sprintf("10.0.%d.%d:1", i/250, i%250))
		w.must(err)
	}
	_, _, err = w.StartLogin(w.ctx, "10.1.0.0:1")
	w.refused(err, "login-busy")
	w.clk.advance(10 * time.Minute)
	_, _, err = w.StartLogin(w.ctx, "10.1.0.0:1")
	w.must(err)
}
