package nuget

import (
	"bytes"
	"crypto"

	"github.com/hullmark/hullmark/internal/registry/nuget/nupkg"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// WithSignature returns the package with a signature in it.
func WithSignature(pkg, signature []byte) ([]byte, error) {
	a, err := nupkg.ReadArchive(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = a.Write(&b, signature)
	return b.Bytes(), err
}

// UnsignedHash returns the hash that a package's signature is over.
func UnsignedHash(pkg []byte, h crypto.Hash) ([]byte, error) {
	a, err := nupkg.ReadArchive(bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		return nil, err
	}
	return a.Hash(h)
}

// ReadPackage reads a package, and returns the names of its hooks.
func ReadPackage(pkg []byte) (hooks []string, err error) {
	in, err := nupkg.ReadInside(bytes.NewReader(pkg), int64(len(pkg)), safearchive.PackageLimits())
	if err != nil {
		return nil, err
	}
	for _, h := range in.Inventory.Hooks {
		hooks = append(hooks, h.Name)
	}
	return hooks, nil
}
