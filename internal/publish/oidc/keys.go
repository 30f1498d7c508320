package oidc

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	// keysFresh is how long fetched keys are used without asking again: a key that the provider withdrew
	// is good for as long.
	keysFresh = time.Hour
	// keysStale is how long they are used when the issuer cannot be asked.
	keysStale = 24 * time.Hour
	// refreshEvery is the least time between two fetches, also when tokens name keys that are not there:
	// anybody can make up such tokens.
	refreshEvery = time.Minute
	// maxBackOff bounds how long an issuer that fails is left alone.
	maxBackOff = 16 * time.Minute
)

// keyring keeps the keys of issuers, each apart from the others.
type keyring struct {
	clock clock.Clock
	log   *slog.Logger
	fetch func(context.Context, *Issuer) (map[string]*jose.JSONWebKey, error)

	mu   sync.Mutex
	sets map[string]*keySet // by issuer
}

// keySet is what is known of one issuer's keys.
type keySet struct {
	fetching chan struct{} // holds one during a fetch; who finds a key does not wait for it

	mu       sync.RWMutex // guards what follows
	keys     map[string]*jose.JSONWebKey
	fetched  time.Time // when keys were; zero: never
	next     time.Time // not before this is the issuer asked again
	failures int       // in a row
}

func newKeyring(clk clock.Clock, log *slog.Logger, fetch func(context.Context, *Issuer) (map[string]*jose.JSONWebKey, error)) *keyring {
	return &keyring{clock: clk, log: log, fetch: fetch, sets: map[string]*keySet{}}
}

// forget drops an issuer's keys: it was registered anew, or removed.
func (k *keyring) forget(issuer string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.sets, issuer)
}

func (k *keyring) set(issuer string) *keySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	set := k.sets[issuer]
	if set == nil {
		set = &keySet{fetching: make(chan struct{}, 1)}
		k.sets[issuer] = set
	}
	return set
}

// find returns the key of an issuer with that id. Codes: identity-token-invalid when the issuer has none,
// issuer-unreachable when it cannot be asked.
func (k *keyring) find(ctx context.Context, iss *Issuer, id string) (*jose.JSONWebKey, error) {
	if iss.static != nil {
		if key := iss.static[id]; key != nil {
			return key, nil
		}
		return nil, errNoKey()
	}
	set := k.set(iss.URL)
	key, state := set.look(id, k.clock.Now())
	if state == fresh {
		return key, nil
	}
	k.refresh(ctx, iss, set)
	key, state = set.look(id, k.clock.Now())
	switch {
	case key != nil:
		return key, nil
	case state == nothing:
		return nil, fault.New(fault.Unavailable, "issuer-unreachable",
			"the keys of %s cannot be had at the moment; try again in some minutes, or see the server's log", iss.URL)
	}
	return nil, errNoKey()
}

func errNoKey() error { return errToken("its issuer has no key with that id") }

// What is known about a key.
type state int

const (
	nothing state = iota // the issuer's keys are not known
	missing              // they are, and this is not among them
	stale                // it is among them; they are old
	fresh
)

func (s *keySet) look(id string, now time.Time) (*jose.JSONWebKey, state) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	age := now.Sub(s.fetched)
	switch key := s.keys[id]; {
	case s.fetched.IsZero() || age > keysStale:
		return nil, nothing
	case key == nil:
		return nil, missing
	case age > keysFresh:
		return key, stale
	default:
		return key, fresh
	}
}

// refresh asks the issuer, unless that is too soon. One asks at a time; who waited finds what came.
func (k *keyring) refresh(ctx context.Context, iss *Issuer, set *keySet) {
	select {
	case set.fetching <- struct{}{}:
		defer func() { <-set.fetching }()
	case <-ctx.Done():
		return
	}
	set.mu.RLock()
	soon := k.clock.Now().Before(set.next)
	set.mu.RUnlock()
	if soon {
		return
	}
	// What one caller began is for all: it does not end because that caller goes away.
	keys, err := k.fetch(context.WithoutCancel(ctx), iss)
	now := k.clock.Now()
	set.mu.Lock()
	defer set.mu.Unlock()
	if err != nil {
		set.failures++
		set.next = now.Add(min(refreshEvery<<min(set.failures-1, 10), maxBackOff))
		k.log.WarnContext(ctx, "the keys of a trusted issuer cannot be fetched", "issuer", iss.URL, "failures", set.failures, "error", err)
		return
	}
	set.keys, set.fetched, set.next, set.failures = keys, now, now.Add(refreshEvery), 0
}
