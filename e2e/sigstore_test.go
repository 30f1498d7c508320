package e2e

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	_ "embed"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hullmark/hullmark/internal/registry/pypi/pypitest"
	"github.com/hullmark/hullmark/internal/signing/signingtest"
)

type sigstoreKey struct{}

//go:embed holds.cjs
var holdsProgram []byte

// startSigstore makes a Sigstore of the transcript's own and points npm at it in place of the public one,
// which it cannot be told in a setting: by a proxy, an authority for the proxy's certificate, and the
// root that npm's caches begin with. It writes trusted_root.json for the server and holds.cjs, by which npm's own
// Sigstore client says whether a bundle or an attestation of PEP 740 holds for a file, and who signed it:
// node holds.cjs BUNDLE FILE.
//
//	sigstore
func startSigstore(ts *testscript.TestScript, neg bool, args []string) {
	now := time.Now()
	authority, err := signingtest.New(now)
	ts.Check(err)
	root, err := authority.TrustedRoot()
	ts.Check(err)
	tuf, err := signingtest.NewTUF(now, root)
	ts.Check(err)
	proxy, err := signingtest.NewProxy(now, tuf, authority)
	ts.Check(err)
	server := httptest.NewServer(proxy)
	ts.Defer(server.Close)

	home := ts.Getenv("HOME")
	files := map[string][]byte{ts.MkAbs("trusted_root.json"): root, filepath.Join(home, "proxy.pem"): proxy.CA(), ts.MkAbs("holds.cjs"): holdsProgram}
	for _, cache := range []string{ts.Getenv("npm_config_cache") + "/_tuf", ts.Getenv("XDG_DATA_HOME") + "/sigstore-js"} {
		files[filepath.Join(cache, "tuf-repo-cdn.sigstore.dev", "root.json")] = tuf.Root()
	}
	for path, content := range files {
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
		ts.Check(os.WriteFile(path, content, 0o600))
	}
	ts.Setenv("HTTPS_PROXY", server.URL)
	ts.Setenv("NO_PROXY", "127.0.0.1")
	ts.Setenv("NODE_EXTRA_CA_CERTS", filepath.Join(home, "proxy.pem"))
	ts.Value(sigstoreKey{}).(*sigstore).authority = authority
}

// sigstore is the transcript's, once it was started.
type sigstore struct{ authority *signingtest.Authority }

// attest writes the provenance of a file, as the workflow release.yml of a repository at GitHub makes it.
//
//	attest REPOSITORY PURL FILE BUNDLE
func attest(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: attest REPOSITORY PURL FILE BUNDLE")
	}
	content, err := os.ReadFile(ts.MkAbs(args[2]))
	ts.Check(err)
	sum := sha512.Sum512(content)
	statement, err := signingtest.Statement(args[1], map[string]string{"sha512": hex.EncodeToString(sum[:])}, signingtest.Provenance)
	ts.Check(err)
	run := signingtest.GitHubRun(args[0], "release.yml", "refs/heads/main", "1001")
	bundle, err := ts.Value(sigstoreKey{}).(*sigstore).authority.Attest(run, statement)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), bundle, 0o600))
}

// attestFile writes a list with one attestation of a file by its name (PEP 740), signed by whoever the identity
// token is of.
//
//	attest-file TOKEN FILE ATTESTATIONS
func attestFile(ts *testscript.TestScript, neg bool, args []string) {
	id, content := signerOf(ts, neg, "attest-file", args)
	sum := sha256.Sum256(content)
	statement, err := signingtest.Statement(filepath.Base(args[1]), map[string]string{"sha256": hex.EncodeToString(sum[:])},
		"https://docs.pypi.org/attestations/publish/v1")
	ts.Check(err)
	bundle, err := ts.Value(sigstoreKey{}).(*sigstore).authority.Attest(id, statement)
	ts.Check(err)
	one, err := pypitest.Attestation(bundle)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte("["+string(one)+"]"), 0o600))
}

// signFile writes a bundle that signs a whole file, by whoever the identity token is of.
//
//	sign-file TOKEN FILE BUNDLE
func signFile(ts *testscript.TestScript, neg bool, args []string) {
	id, content := signerOf(ts, neg, "sign-file", args)
	bundle, err := ts.Value(sigstoreKey{}).(*sigstore).authority.SignFile(id, content)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), bundle, 0o600))
}

// signerOf reads the arguments of the two.
func signerOf(ts *testscript.TestScript, neg bool, command string, args []string) (signingtest.Identity, []byte) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: %s TOKEN FILE OUTPUT", command)
	}
	id, err := signingtest.OfToken(args[0])
	ts.Check(err)
	content, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	return id, content
}
