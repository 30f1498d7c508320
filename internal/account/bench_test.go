package account

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
)

// BenchmarkTokenCheck is what every request of a client pays: who sent it, and may they publish, under
// a rule. It reports the median beside the mean; the target is 50 µs.
func BenchmarkTokenCheck(b *testing.B) {
	w, alice, _ := acme(b, MFARule{Action: "publish", Level: AnyFactor, Automation: true})
	secret := w.token(with(alice, evidence.TOTP), Token{Scope: Scope{Ecosystem: "npm", Names: []string{"@acme/*"}, Permission: evidence.Publish}, Bypass: true})
	r := httptest.NewRequestWithContext(w.ctx, http.MethodPut, "/", nil)
	r.RemoteAddr = here
	r.Header.Set("Authorization", "Bearer "+secret)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		actor, err := w.Authenticate(r)
		if err == nil {
			err = w.publishes(actor)
		}
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "µs/p50")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "µs/p99")
}

// BenchmarkRevocation is how long it takes from revoking a token to the first refusal, the write included.
func BenchmarkRevocation(b *testing.B) {
	w, alice, _ := acme(b, MFARule{Action: "own", Level: AnyFactor})
	for b.Loop() {
		b.StopTimer()
		secret, made, err := w.CreateToken(w.ctx, with(alice, evidence.TOTP), Token{Scope: Scope{Permission: evidence.Publish}})
		w.must(err)
		w.login("alice", secret)
		b.StartTimer()
		w.must(w.RevokeToken(w.ctx, alice, made.ID))
		if _, err := w.AuthenticateSecret(w.ctx, "alice", secret, here); err == nil {
			b.Fatal("the next request was let through")
		}
	}
}

// guesses runs a thousand guesses a second until ctx ends, from as many networks as it names.
func (w *world) guesses(ctx context.Context, networks int, user func(i int) string) (refused, hashed *atomic.Int64) {
	refused, hashed = new(atomic.Int64), new(atomic.Int64)
	var wg sync.WaitGroup
	w.t.Cleanup(wg.Wait)
	wg.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i, start := 0, time.Now(); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for ; i < int(time.Since(start).Milliseconds()); i++ { // a busy machine drops ticks
				wg.Go(func() {
					from := fmt.Sprintf("10.%d.%d.%d:1", i%networks>>16&255, i%networks>>8&255, i%networks&255)
					if err := w.CheckPassword(ctx, user(i), "wrong", from); err != nil && err.Error() == errTooMany().Error() {
						refused.Add(1)
					} else {
						hashed.Add(1)
					}
				})
			}
		}
	})
	return refused, hashed
}

// BenchmarkSignInUnderGuessing signs a person in, from where they did before, while somebody guesses a
// thousand passwords a second: from one network, from many at that person's account, and from many at
// many accounts. The target is a second.
func BenchmarkSignInUnderGuessing(b *testing.B) {
	for name, attack := range map[string]struct {
		networks int
		user     func(int) string
	}{
		"one network":                    {1, func(i int) string { return fmt.Sprintf("user%d", i) }},
		"many networks at one account":   {1 << 20, func(int) string { return "bob" }},
		"many networks at many accounts": {1 << 20, func(i int) string { return fmt.Sprintf("user%d", i) }},
	} {
		b.Run(name, func(b *testing.B) {
			w := sealed(b, Settings{})
			w.clk = nil
			w.Service.clk = clock.System{}
			password := w.bob()
			w.must(w.CheckPassword(w.ctx, "bob", password, here))
			ctx, stop := context.WithCancel(w.ctx)
			b.Cleanup(stop)
			refused, hashed := w.guesses(ctx, attack.networks, attack.user)
			var worst time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := w.SignInPassword(w.ctx, "bob", password, desk); err != nil {
					b.Fatal(err)
				}
				worst = max(worst, time.Since(start))
			}
			stop()
			b.ReportMetric(float64(worst.Milliseconds()), "ms/worst")
			b.ReportMetric(float64(refused.Load()), "refused")
			b.ReportMetric(float64(hashed.Load()), "hashed")
		})
	}
}
