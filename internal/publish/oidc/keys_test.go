package oidc

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
)

// provided is an issuer's key endpoint: what it answers, how often it was asked.
type provided struct {
	fetches atomic.Int64
	fail    atomic.Bool
	slow    time.Duration
	ids     atomic.Pointer[[]string]
}

func (p *provided) ring(ids ...string) *keyring {
	p.ids.Store(&ids)
	return newKeyring(clock.System{}, slog.New(slog.DiscardHandler), func(context.Context, *Issuer) (map[string]*jose.JSONWebKey, error) {
		p.fetches.Add(1)
		time.Sleep(p.slow) // the bubble's time
		if p.fail.Load() {
			return nil, errors.New("it is down")
		}
		keys := map[string]*jose.JSONWebKey{}
		for _, id := range *p.ids.Load() {
			keys[id] = &jose.JSONWebKey{KeyID: id}
		}
		return keys, nil
	})
}

var anIssuer = &Issuer{URL: "https://issuer.test"}

func (p *provided) want(t *testing.T, k *keyring, id, code string, fetches int64) {
	t.Helper()
	_, err := k.find(t.Context(), anIssuer, id)
	got := ""
	if err != nil {
		got = fault.As(err).Code
	}
	if got != code || p.fetches.Load() != fetches {
		t.Fatalf("key %q: %q after %d fetches, want %q after %d", id, got, p.fetches.Load(), code, fetches)
	}
}

func TestAKeyThatIsNotThereIsLookedForOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := new(provided)
		k := p.ring("one")
		p.want(t, k, "one", "", 1)
		p.want(t, k, "two", "identity-token-invalid", 1) // just fetched
		time.Sleep(time.Minute)
		p.ids.Store(&[]string{"one", "two"})
		p.want(t, k, "two", "", 2)
		p.want(t, k, "three", "identity-token-invalid", 2)
		time.Sleep(59 * time.Second)
		p.want(t, k, "three", "identity-token-invalid", 2)
		time.Sleep(time.Second)
		p.want(t, k, "three", "identity-token-invalid", 3)
		p.want(t, k, "one", "", 3)
	})
}

func TestAKeyThatTheIssuerWithdrewEndsWithinAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := new(provided)
		k := p.ring("stolen")
		p.want(t, k, "stolen", "", 1)
		p.ids.Store(&[]string{"new"})
		time.Sleep(time.Hour + time.Second)
		p.want(t, k, "stolen", "identity-token-invalid", 2)
	})
}

func TestAnIssuerThatFailsIsLeftAloneLongerAndLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := new(provided)
		k := p.ring("one")
		p.fail.Store(true)
		fetches := int64(0)
		for _, wait := range []time.Duration{1, 2, 4, 8, 16, 16, 16} {
			fetches++
			p.want(t, k, "one", "issuer-unreachable", fetches)
			time.Sleep(wait*time.Minute - time.Second)
			p.want(t, k, "one", "issuer-unreachable", fetches)
			time.Sleep(time.Second)
		}
		p.fail.Store(false)
		p.want(t, k, "one", "", fetches+1)
	})
}

func TestKnownKeysAreUsedForADayWhenTheIssuerIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := new(provided)
		k := p.ring("one")
		p.want(t, k, "one", "", 1)
		p.fail.Store(true)
		time.Sleep(2 * time.Hour)
		p.want(t, k, "one", "", 2)
		time.Sleep(23 * time.Hour)
		p.want(t, k, "one", "issuer-unreachable", 3)
	})
}

func TestASlowIssuerDoesNotKeepKnownKeysFromBeingFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := new(provided)
		k := p.ring("one")
		p.want(t, k, "one", "", 1)
		time.Sleep(2 * time.Minute)
		p.slow = 5 * time.Second
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() { k.find(t.Context(), anIssuer, "made up") })
		}
		synctest.Wait() // one fetches, nine wait for it
		began := time.Now()
		p.want(t, k, "one", "", 2)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("a known key waited %s for an unknown one", waited)
		}
		waiting.Wait()
		if n := p.fetches.Load(); n != 2 {
			t.Errorf("%d fetches for ten unknown keys at once", n)
		}
	})
}
