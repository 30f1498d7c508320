package oidc_test

import (
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
)

// BenchmarkExchange is the server's time of an exchange with the issuer's keys known: checks, one durable
// transaction, and the statement. The target is 5 ms.
func BenchmarkExchange(b *testing.B) {
	for alg, key := range map[string]any{"RS256": oidctest.RSAKey(b), "ES256": oidctest.ECKey(b)} {
		b.Run(alg, func(b *testing.B) {
			w := newWorld(b)
			i := oidctest.New(b)
			i.SetKeys(jose.JSONWebKey{Key: key, KeyID: "k", Algorithm: alg, Use: "sig"})
			w.register(i, "github")
			w.trust(github(i.URL))
			tokens := make([]string, b.N+1)
			for n := range tokens {
				tokens[n] = i.Token(audience, oidctest.GitHub())
			}
			_, err := w.exchange(tokens[b.N]) // the keys are fetched
			must(b, err)
			took := make([]time.Duration, b.N)
			b.ResetTimer()
			for n := range b.N {
				began := time.Now()
				_, err := w.exchange(tokens[n])
				took[n] = time.Since(began)
				must(b, err)
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
