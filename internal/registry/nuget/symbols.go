package nuget

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// pushSymbols answers PUT api/v2/symbolpackage: the symbols of a version that is there become its second file.
// Source: NuGet docs, "Push symbol packages".
func (r *Registry) pushSymbols(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	return r.push(w, req, &push{r: r, actor: actor, sort: symbolsType})
}

// checkSymbols fails unless the symbols are of a version that is there.
func (p *push) checkSymbols(req *http.Request) error {
	if !p.inside.symbols {
		return packageInvalid("the symbols package has no .pdb file; pack it with dotnet pack --include-symbols -p:SymbolPackageFormat=snupkg")
	}
	_, err := p.r.core.File(req.Context(), purl.NuGet, p.name(), fileName(p.name(), p.version(), packageType))
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return fault.New(fault.NotFound, "version-unknown", "%s %s is not here; push the package before its symbols", p.inside.nuspec.ID, p.version())
	}
	return err
}

const (
	keyLife  = time.Hour
	maxKeys  = 10_000
	keyBytes = 16
)

// verifyKeys are keys that prove to a symbol server, once, that their holder may push symbols of a version.
// They are not kept over a restart. It is safe for concurrent use.
type verifyKeys struct {
	clock  clock.Clock
	random io.Reader

	mu   sync.Mutex
	keys map[[sha256.Size]byte]verifyKey // by the key's hash
}

type verifyKey struct {
	name, version string
	expires       time.Time
}

func newVerifyKeys(clk clock.Clock, random io.Reader) *verifyKeys {
	return &verifyKeys{clock: clk, random: random, keys: map[[sha256.Size]byte]verifyKey{}}
}

// make returns a new key.
func (k *verifyKeys) make(name, version string) (string, time.Time, error) {
	raw := make([]byte, keyBytes)
	if _, err := io.ReadFull(k.random, raw); err != nil {
		return "", time.Time{}, err
	}
	key, now := hex.EncodeToString(raw), k.clock.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for old, known := range k.keys {
		if !now.Before(known.expires) || len(k.keys) >= maxKeys {
			delete(k.keys, old)
		}
	}
	k.keys[sha256.Sum256([]byte(key))] = verifyKey{name, version, now.Add(keyLife)}
	return key, now.Add(keyLife), nil
}

// use reports whether the key is for the version; it is not any more afterwards.
func (k *verifyKeys) use(key, name, version string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	hash := sha256.Sum256([]byte(key))
	known, ok := k.keys[hash]
	delete(k.keys, hash)
	return ok && known.name == name && known.version == version && k.clock.Now().Before(known.expires)
}

// makeKey answers POST api/v2/package/create-verification-key/{id}/{version}.
// Source: NuGet.Client, PackageUpdateResource.cs; NuGetGallery, ApiController.cs.
func (r *Registry) makeKey(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	name, version, err := versionOf(req)
	if err != nil {
		return err
	}
	if _, err := r.core.Release(req.Context(), purl.NuGet, name, version); err != nil {
		return err
	}
	key, expires, err := r.keys.make(name, version)
	if err != nil {
		return err
	}
	return r.respond(w, map[string]string{"Key": key, "Expires": timestamp(expires)})
}

// useKey answers GET api/v2/verifykey/{id}/{version}, which a symbol server asks with the key that it was
// sent. A key works once.
func (r *Registry) useKey(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	name, version, err := versionOf(req)
	if err != nil {
		return err
	}
	if !r.keys.use(req.Header.Get(keyHeader), name, version) {
		return fault.New(fault.Denied, "verify-key-invalid", "this is no key for %s %s, or it was used, or it is older than %s; ask for a new one", name, version, keyLife)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
