package certs_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/admission/certs"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
)

var start = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

const name = "hullmark-admission.hullmark.svc"

// shared is a store with versions, as a secret is.
type shared struct {
	mu      sync.Mutex
	raw     []byte
	version int
	lose    int // this many writes are lost to somebody else
}

func (s *shared) Load(context.Context) ([]byte, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw, fmt.Sprint(s.version), nil
}

func (s *shared) Save(_ context.Context, raw []byte, version string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lose > 0 {
		s.lose--
		s.version++
		return certs.ErrConflict
	}
	if version != fmt.Sprint(s.version) {
		return certs.ErrConflict
	}
	s.raw = raw
	s.version++
	return nil
}

// verify checks a keeper's certificate as an API server with a bundle does.
func verify(k *certs.Keeper, bundle []byte, now time.Time) error {
	cert, err := k.GetCertificate(nil)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err
}

func count(bundle []byte) (n int) {
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	return n
}

func keeper(store certs.Store, now *time.Time) *certs.Keeper {
	return certs.NewKeeper(store, []string{name, "127.0.0.1"}, clock.Func(func() time.Time { return *now }), slog.New(slog.DiscardHandler))
}

func tend(t *testing.T, k *certs.Keeper) {
	t.Helper()
	if _, err := k.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// An API server holds the bundle that it was given some time ago. With one that is half an hour old it must always
// verify what is served.
func TestForThreeYearsNoAPIServerMeetsACertificateThatItHasNoRootFor(t *testing.T) {
	t.Parallel()
	now := start
	k := keeper(&shared{}, &now)
	tend(t, k)
	held, most := [][]byte{k.Bundle(), k.Bundle()}, 0 // older, newer
	serving, authorities, fine := map[string]bool{}, map[string]bool{}, 0
	for now.Before(start.Add(3 * 365 * 24 * time.Hour)) {
		step := 12 * time.Hour
		if fine > 0 { // something has just changed
			step = 15 * time.Minute
		}
		fine--
		now = now.Add(step)
		changed, err := k.Tend(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if changed {
			fine = 10
		}
		if err := verify(k, held[0], now); err != nil {
			t.Fatalf("at %s: %v", now, err)
		}
		cert, _ := k.GetCertificate(nil)
		serving[cert.Leaf.SerialNumber.String()] = true
		authorities[string(k.Bundle()[:200])] = true
		held = [][]byte{held[1], k.Bundle()}
		most = max(most, count(k.Bundle()))
	}
	if len(serving) < 50 || len(authorities) < 4 || most > 3 {
		t.Errorf("%d serving certificates, %d authorities, up to %d at once", len(serving), len(authorities), most)
	}
}

func TestBothAuthoritiesAreTrustedWhileOneFollowsTheOther(t *testing.T) {
	t.Parallel()
	now := start
	k := keeper(&shared{}, &now)
	tend(t, k)
	old := k.Bundle()
	now = now.Add(245 * 24 * time.Hour) // past two thirds of the authority's life, less than the sum of the steps
	tend(t, k)
	if count(k.Bundle()) != 2 {
		t.Fatalf("%d authorities are published", count(k.Bundle()))
	}
	if err := verify(k, old, now); err != nil {
		t.Errorf("the new authority signs before it can be known: %v", err)
	}
	announced := k.Bundle()
	now = now.Add(2 * time.Hour)
	tend(t, k)
	if err := verify(k, old, now); err == nil {
		t.Error("the new authority does not sign after the overlap")
	}
	if err := verify(k, announced, now); err != nil {
		t.Error(err)
	}
}

func TestAClockThatJumpsIsFollowedAtOnce(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{
		"forwards past the serving certificate": 40 * 24 * time.Hour,
		"forwards past the authority":           3 * 365 * 24 * time.Hour,
		"back an hour":                          -time.Hour,
		"back a year":                           -365 * 24 * time.Hour,
	} {
		now := start
		k := keeper(&shared{}, &now)
		tend(t, k)
		now = now.Add(jump)
		changed, err := k.Tend(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(k, k.Bundle(), now); err != nil {
			t.Errorf("%s: %v (bundle changed: %t)", name, err, changed)
		}
	}
}

func TestAllReplicasServeTheSameAuthority(t *testing.T) {
	t.Parallel()
	now := start
	store := &shared{}
	replicas := []*certs.Keeper{keeper(store, &now), keeper(store, &now), keeper(store, &now)}
	var all sync.WaitGroup
	for _, k := range replicas {
		all.Go(func() { tend(t, k) })
	}
	all.Wait()
	for _, k := range replicas {
		tend(t, k)
		if err := verify(k, replicas[0].Bundle(), now); err != nil {
			t.Error(err)
		}
	}
}

func TestAWriteThatLosesIsTriedAgain(t *testing.T) {
	t.Parallel()
	now := start
	store := &shared{lose: 2}
	k := keeper(store, &now)
	tend(t, k)
	if err := verify(k, k.Bundle(), now); err != nil {
		t.Error(err)
	}
	store.lose = 100
	now = now.Add(25 * 24 * time.Hour)
	if _, err := k.Tend(t.Context()); err == nil {
		t.Error("a store that takes nothing goes unnoticed")
	}
	if err := verify(k, k.Bundle(), now); err != nil {
		t.Errorf("what could not be renewed is no longer served: %v", err)
	}
}

func TestWhatIsNoCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"garbage", `{}`, `{"current":{"cert":"Zm9v","key":"Zm9v"},"serving":{"cert":"Zm9v"}}`} {
		now := start
		k := keeper(&shared{raw: []byte(raw)}, &now)
		tend(t, k)
		if err := verify(k, k.Bundle(), now); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestOtherNamesNeedAnotherCertificate(t *testing.T) {
	t.Parallel()
	now, file := start, certs.File(filepath.Join(t.TempDir(), "certificates.json"))
	k := keeper(file, &now)
	tend(t, k)
	other := certs.NewKeeper(file, []string{"10.0.0.7"}, clock.Func(func() time.Time { return now }), slog.New(slog.DiscardHandler))
	tend(t, other)
	if string(other.Bundle()) != string(k.Bundle()) {
		t.Error("another authority for another name")
	}
	cert, _ := other.GetCertificate(nil)
	if err := cert.Leaf.VerifyHostname("10.0.0.7"); err != nil {
		t.Error(err)
	}
}

func TestAKeyThatOthersCanReadIsNotUsed(t *testing.T) {
	t.Parallel()
	now, path := start, filepath.Join(t.TempDir(), "certificates.json")
	tend(t, keeper(certs.File(path), &now))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := keeper(certs.File(path), &now).Tend(t.Context()); err == nil || fault.As(err).Code != "key-exposed" {
		t.Errorf("got %v", err)
	}
}
