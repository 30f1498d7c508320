package certs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/durable"
)

// Store keeps the certificates and their keys. Several webhooks of one cluster share one.
type Store interface {
	// Load returns nothing, and no error, when nothing is stored. version is what [Store.Save] needs to
	// know that it replaces what was loaded.
	Load(context.Context) (raw []byte, version string, err error)
	// Save fails with an error that is [ErrConflict] when something else was stored in between.
	Save(ctx context.Context, raw []byte, version string) error
}

// ErrConflict says that another webhook was quicker.
var ErrConflict = errors.New("stored by another webhook in between")

// Keeper tends the certificates and serves the newest. It is safe for concurrent use.
type Keeper struct {
	store Store
	names []string
	clock clock.Clock
	log   *slog.Logger

	serving atomic.Pointer[tls.Certificate]
	bundle  atomic.Pointer[[]byte]
}

// NewKeeper returns a keeper for a server that is reached by these names and addresses. Call
// [Keeper.Tend] before serving.
func NewKeeper(store Store, names []string, c clock.Clock, log *slog.Logger) *Keeper {
	return &Keeper{store: store, names: names, clock: c, log: log}
}

// Tend loads the certificates, replaces what is due and takes the result into use. changed reports
// whether the bundle is another one than before. Call it every minute or so.
func (k *Keeper) Tend(ctx context.Context) (changed bool, err error) {
	const attempts = 5 // of which each but the last lost against another webhook
	for range attempts {
		changed, err = k.tend(ctx)
		if !errors.Is(err, ErrConflict) {
			return changed, err
		}
	}
	return false, err
}

func (k *Keeper) tend(ctx context.Context) (bool, error) {
	raw, version, err := k.store.Load(ctx)
	if err != nil {
		return false, fmt.Errorf("load the certificates: %w", err)
	}
	var s state
	if len(raw) > 0 {
		if s, err = parseState(raw); err != nil {
			k.log.Error("the stored certificates cannot be read; new ones are made", "error", err)
			s = state{}
		}
	}
	s, changed, err := s.advance(k.clock.Now(), k.names)
	if err != nil {
		return false, fmt.Errorf("renew the certificates: %w", err)
	}
	if changed {
		if raw, err = json.Marshal(s); err != nil {
			return false, err
		}
		if err := k.store.Save(ctx, raw, version); err != nil {
			return false, fmt.Errorf("store the certificates: %w", err)
		}
		k.log.Info("certificates were renewed")
	}
	return k.use(s)
}

func (k *Keeper) use(s state) (changed bool, err error) {
	cert, err := tls.X509KeyPair(s.Serving.Cert, s.Serving.Key)
	if err != nil {
		return false, fmt.Errorf("serving certificate: %w", err)
	}
	bundle := s.bundle()
	old := k.bundle.Swap(&bundle)
	k.serving.Store(&cert)
	return old == nil || string(*old) != string(bundle), nil
}

// GetCertificate is for a [tls.Config].
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if cert := k.serving.Load(); cert != nil {
		return cert, nil
	}
	return nil, errors.New("there is no certificate yet")
}

// Bundle returns the authorities to trust, in PEM.
func (k *Keeper) Bundle() []byte {
	if b := k.bundle.Load(); b != nil {
		return *b
	}
	return nil
}

// Expires is when the serving certificate ends; zero when there is none.
func (k *Keeper) Expires() time.Time {
	cert := k.serving.Load()
	if cert == nil || cert.Leaf == nil {
		return time.Time{}
	}
	return cert.Leaf.NotAfter
}

// File is a store in a file, for one webhook outside of a cluster.
type File string

// Load implements Store. It fails with code key-exposed when others can read the file.
func (f File) Load(context.Context) ([]byte, string, error) {
	if _, err := os.Stat(string(f)); errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	raw, err := durable.Secret(string(f), func() ([]byte, error) { return nil, fs.ErrNotExist })
	return raw, "", err
}

// Save implements Store.
func (f File) Save(_ context.Context, raw []byte, _ string) error {
	return durable.WriteFile(string(f), raw, 0o600)
}
