package npm_test

import (
	"bytes"
	"crypto/ecdsa"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account/accounttest"
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
	accounttest.Check(t, err)
	s.root, err = s.TrustedRoot()
	accounttest.Check(t, err)
	s.tuf, err = signingtest.NewTUF(now, s.root)
	accounttest.Check(t, err)
	s.proxy, err = signingtest.NewProxy(now, s.tuf, s.Authority)
	accounttest.Check(t, err)
	server := httptest.NewServer(s.proxy)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// trusted makes a registry trust the Sigstore, and tell clients of attestations.
func (s *sigstore) trusted(t testing.TB) func(*npm.Config) {
	v, err := signing.New(signing.Config{Roots: []signing.Root{{Name: "test", JSON: s.root}}})
	accounttest.Check(t, err)
	return func(c *npm.Config) { c.Attestations, c.Advertise = attestations{v}, true }
}

// unadvertised keeps quiet about attestations.
func unadvertised(c *npm.Config) { c.Advertise = false }

// trust makes a client trust the Sigstore in place of the public one: its root is in the client's cache
// before the client first looks for it.
func (s *sigstore) trust(c *client) {
	c.t.Helper()
	for _, cache := range []string{"cache/_tuf", ".local/share/sigstore-js"} { // npm audit's and npm publish's
		write(c.t, filepath.Join(c.home, cache, "tuf-repo-cdn.sigstore.dev/root.json"), string(s.tuf.Root()))
	}
	write(c.t, filepath.Join(c.home, "ca.pem"), string(s.proxy.CA()))
	c.env = append(c.env, "HTTPS_PROXY="+s.url, "NO_PROXY=127.0.0.1", "NODE_EXTRA_CA_CERTS="+filepath.Join(c.home, "ca.pem"))
}

// signedBy makes a registry sign with a key.
func signedBy(key *ecdsa.PrivateKey, old ...npm.OldKey) func(*npm.Config) {
	return func(c *npm.Config) { c.Signer, c.OldKeys = key, old }
}

// installed publishes @acme/ui as alice and installs it into her folder "app".
func installed(t testing.TB, in *instance, s *sigstore) *client {
	t.Helper()
	alice := npmClient(t, in, "alice")
	s.trust(alice)
	alice.pkg("ui", `{"name":"@acme/ui","version":"1.0.0"}`)
	alice.run("ui", "publish")
	alice.pkg("app", `{"name":"app","version":"1.0.0","private":true}`)
	alice.run("app", "install", "@acme/ui")
	return alice
}

// rewriting returns the address of a registry that says what in says, with one text replaced by another:
// somebody in between.
func rewriting(t testing.TB, in *instance, old, with string) string {
	t.Helper()
	target, err := url.Parse(in.url)
	accounttest.Check(t, err)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: target.Scheme, Host: target.Host})
			r.Out.Header.Del("Accept-Encoding")
		},
		ModifyResponse: func(r *http.Response) error {
			body, err := io.ReadAll(r.Body)
			body = bytes.ReplaceAll(body, []byte(old), []byte(with))
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return err
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL + "/npm/"
}

func TestNpmAuditVerifiesRegistrySignatures(t *testing.T) {
	t.Parallel()
	in := start(t)
	alice := installed(t, in, newSigstore(t))
	contains(t, alice.run("app", "audit", "signatures"), "1 package has a verified registry signature")
}

func TestNpmAuditFindsASignatureThatIsAnotherVersions(t *testing.T) {
	t.Parallel()
	in := start(t)
	alice := installed(t, in, newSigstore(t))
	in.publish(t, "@acme/ui", "1.0.1")
	signature := func(version string) string {
		d := in.do(t, "", "GET", "@acme%2fui/"+version, nil).json(t)["dist"].(map[string]any)
		return d["signatures"].([]any)[0].(map[string]any)["sig"].(string)
	}
	between := rewriting(t, in, signature("1.0.0"), signature("1.0.1"))
	alice.fails("app", []string{"audit", "signatures", "--registry", between}, "1 package has an invalid registry signature", "tampered")
}

func TestNpmAuditTakesSignaturesOfBothKeysAfterARotation(t *testing.T) {
	t.Parallel()
	before, after := newKey(t), newKey(t)
	in := start(t, signedBy(before))
	alice := installed(t, in, newSigstore(t))

	rotated := in.again(t, signedBy(after, npm.OldKey{Public: before.Public(), Expires: time.Now().Add(time.Hour)}))
	alice.point(rotated)
	alice.pkg("ui", `{"name":"@acme/icons","version":"1.0.0"}`)
	alice.run("ui", "publish")
	alice.run("app", "install", "@acme/icons")
	contains(t, alice.run("app", "audit", "signatures"), "2 packages have verified registry signatures")

	// a key that had stopped signing before the version was published proves nothing about it
	expired := in.again(t, signedBy(after, npm.OldKey{Public: before.Public(), Expires: time.Now().Add(-time.Hour)}))
	alice.point(expired)
	alice.fails("app", []string{"audit", "signatures"}, "public key has expired")
}
