package nuget

import (
	"encoding/hex"
	"io"
	"net/http"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/nuget/nupkg"
)

// pushSymbols answers PUT api/v2/symbolpackage: the symbols of a version that is there become its second file.
// Source: NuGet docs, "Push symbol packages".
func (r *Registry) pushSymbols(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	return r.push(w, req, &push{r: r, actor: actor, sort: symbolsType})
}

// checkSymbols fails unless the symbols are of a version that is there.
func (p *push) checkSymbols(req *http.Request) error {
	if !p.inside.Symbols {
		return nupkg.PackageInvalid("the symbols package has no .pdb file; pack it with dotnet pack --include-symbols -p:SymbolPackageFormat=snupkg")
	}
	_, err := p.r.core.File(req.Context(), purl.NuGet, p.name(), fileName(p.name(), p.version(), packageType))
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return fault.New(fault.NotFound, "version-unknown", "%s %s is not here; push the package before its symbols", p.inside.Nuspec.ID, p.version())
	}
	return err
}

const (
	keyLife  = time.Hour
	maxKeys  = 10_000
	keyBytes = 16
)

// verified is the version that a key is for. It proves to a symbol server, once, that its holder may push symbols of
// that.
type verified struct{ name, version string }

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
	raw := make([]byte, keyBytes)
	if _, err := io.ReadFull(r.random, raw); err != nil {
		return err
	}
	key := hex.EncodeToString(raw)
	expires := r.keys.Put(key, verified{name, version}, keyLife)
	return r.respond(w, map[string]string{"Key": key, "Expires": timestamp(expires)})
}

// useKey answers GET api/v2/verifykey/{id}/{version}, which a symbol server asks with the key that it was
// sent. A key works once.
func (r *Registry) useKey(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	name, version, err := versionOf(req)
	if err != nil {
		return err
	}
	if known, ok := r.keys.Take(req.Header.Get(keyHeader)); !ok || known != (verified{name, version}) {
		return fault.New(fault.Denied, "verify-key-invalid", "this is no key for %s %s, or it was used, or it is older than %s; ask for a new one", name, version, keyLife)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
