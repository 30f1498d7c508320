package npm_test

import (
	"crypto/ecdsa"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/registry/npm"
	"github.com/hullmark/hullmark/internal/signing"
	"github.com/hullmark/hullmark/internal/signing/signingtest"
)

// attestations joins the verifier to what package npm asks of it, as the program's wiring does.
type attestations struct{ *signing.Verifier }

func (a attestations) Provenance(bundle []byte, c npm.Claim) (npm.Proof, error) {
	v, err := a.Verifier.Provenance(bundle, signing.Claim(c))
	return npm.Proof{PredicateType: v.PredicateType, Statement: v.Statement}, err
}

// sigstore is a Sigstore of the test's own, with what points an unmodified npm at it.
type sigstore struct {
	*signingtest.Authority
	root  []byte
	tuf   signingtest.TUF
	proxy *signingtest.Proxy
	url   string // of the proxy
}

func newSigstore(t testing.TB) *sigstore {
	t.Helper()
	s := &sigstore{}
	now := time.Now()
	var err error
	s.Authority, err = signingtest.New(now)
	check(t, err)
	s.root, err = s.TrustedRoot()
	check(t, err)
	s.tuf, err = signingtest.NewTUF(now, s.root)
	check(t, err)
	s.proxy, err = signingtest.NewProxy(now, s.tuf)
	check(t, err)
	server := httptest.NewServer(s.proxy)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// trusted makes a registry trust the Sigstore, and tell clients of attestations.
func (s *sigstore) trusted(t testing.TB) func(*npm.Config) {
	v, err := signing.New(signing.Config{Roots: []signing.Root{{Name: "test", JSON: s.root}}})
	check(t, err)
	return func(c *npm.Config) { c.Attestations, c.Advertise = attestations{v}, true }
}

// trust makes a client trust the Sigstore in place of the public one: its root is in the client's cache
// before the client first looks for it.
func (s *sigstore) trust(c *client) {
	c.t.Helper()
	write(c.t, filepath.Join(c.home, "cache/_tuf/tuf-repo-cdn.sigstore.dev/root.json"), string(s.tuf.Root()))
	write(c.t, filepath.Join(c.home, "ca.pem"), string(s.proxy.CA()))
	c.env = append(c.env, "HTTPS_PROXY="+s.url, "NO_PROXY=127.0.0.1", "NODE_EXTRA_CA_CERTS="+filepath.Join(c.home, "ca.pem"))
}

// signedBy makes a registry sign with a key.
func signedBy(key *ecdsa.PrivateKey, old ...npm.OldKey) func(*npm.Config) {
	return func(c *npm.Config) { c.Signer, c.OldKeys = key, old }
}

func TestNpmAuditVerifiesRegistrySignatures(t *testing.T) {
	t.Parallel()
	s := newSigstore(t)
	in := start(t)
	alice := npmClient(t, in, "alice")
	s.trust(alice)
	alice.pkg("ui", `{"name":"@acme/ui","version":"1.0.0"}`)
	alice.run("ui", "publish")
	alice.pkg("app", `{"name":"app","version":"1.0.0","private":true}`)
	alice.run("app", "install", "@acme/ui")
	contains(t, alice.run("app", "audit", "signatures"), "1 package has a verified registry signature")
}

var _ = strings.Contains
