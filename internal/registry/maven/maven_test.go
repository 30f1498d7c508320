package maven_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/maven"
	"github.com/hullmark/hullmark/internal/registry/upstream"
)

// instance is a repository with everything real below it: database, blob folder and accounts. The organisation acme
// owns com.acme, which is public; alice owns it, and mallory owns nothing.
type instance struct {
	*accounttest.World
	url     string
	handler http.Handler
	core    *registry.Core
}

func start(t testing.TB, settings ...func(*maven.Config)) *instance {
	t.Helper()
	in := &instance{World: accounttest.New(t, time.Time{}, registry.Schema(), account.WorkloadSchema(), upstream.Schema())}
	clk := in.Clock()
	in.core = registry.New(in.Record, in.Blobs, in.Accounts).WithCooldowns(in.Accounts, clk).WithOwners(in.Accounts)
	in.Users(map[string]account.Role{"alice": account.Owner, "mallory": ""})
	in.Claim(purl.Maven, account.Public, "com.acme")
	_, err := in.Accounts.VouchNamespace(t.Context(), in.Admin, purl.Maven, "com.acme")
	accounttest.Check(t, err)
	cfg := maven.Config{Clock: clk, Random: rand.Reader, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Signatures: signatures{}}
	for _, set := range settings {
		set(&cfg)
	}
	in.handler = maven.New(in.core, cfg).Handler()
	server := httptest.NewServer(http.StripPrefix("/maven", in.handler))
	t.Cleanup(server.Close)
	in.url = server.URL + "/maven/"
	return in
}

// signatures takes the word of whoever signs "good".
type signatures struct{}

func (signatures) OpenPGP(_ context.Context, name string, signature []byte, content io.Reader) (evidence.Verification, error) {
	signed, err := io.ReadAll(content)
	if err == nil && string(signature) != "signed: "+string(signed) {
		err = fault.New(fault.Integrity, "signature-invalid", "the signature does not hold: it is of something else")
	}
	return evidence.Verification{Proof: "openpgp", Identity: name, Verdict: "holds"}, err
}

func (signatures) Sigstore(bundle []byte, sha256 string, _ *evidence.WorkloadIdentity) (evidence.Verification, error) {
	if string(bundle) != sha256 {
		return evidence.Verification{}, fault.New(fault.Integrity, "attestation-untrusted", "the attestation does not hold")
	}
	return evidence.Verification{Proof: "sigstore", Identity: "somebody", Verdict: "holds"}, nil
}

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body string
}

// do sends a request as user ("" for nobody), as mvn does: by Basic.
func (in *instance) do(t testing.TB, user, method, path, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, in.url+path, strings.NewReader(body))
	accounttest.Check(t, err)
	if user != "" {
		req.SetBasicAuth(user, in.Tokens[user])
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	accounttest.Check(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	accounttest.Check(t, err)
	return reply{resp, string(raw)}
}

// want fails unless the answer has the status and, in its body, every text; one that begins with "!" must not be there.
func (r reply) want(t testing.TB, status int, texts ...string) reply {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s answered %s, want %d: %.400s", r.Request.Method, r.Request.URL.Path, r.Status, status, r.body)
	}
	for _, text := range texts {
		unwanted, not := strings.CutPrefix(text, "!")
		if strings.Contains(r.body, unwanted) == not {
			t.Fatalf("%s %s: %q in the answer is %t: %.2000s", r.Request.Method, r.Request.URL.Path, unwanted, not, r.body)
		}
	}
	return r
}

// refused fails unless the answer has the status and its reason phrase has the text, which is what mvn prints.
func (r reply) refused(t testing.TB, status int, text string) {
	t.Helper()
	r.want(t, status)
	if !strings.Contains(r.Status, text) {
		t.Fatalf("%s %s: the reason %q lacks %q", r.Request.Method, r.Request.URL.Path, r.Status, text)
	}
}

// pom is a project's description; more goes into it.
func pom(group, artifact, version, more string) string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version>%s</project>`, group, artifact, version, more)
}

// jar packs files: name, content pairs.
func jar(t testing.TB, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := z.Create(files[i])
		accounttest.Check(t, err)
		_, err = io.WriteString(f, files[i+1])
		accounttest.Check(t, err)
	}
	accounttest.Check(t, z.Close())
	return b.String()
}

// deploy puts a version's pom.
func (in *instance) deploy(t testing.TB, version string) {
	t.Helper()
	in.do(t, "alice", "PUT", "com/acme/ui/"+version+"/ui-"+version+".pom", pom("com.acme", "ui", version, "")).want(t, 201)
}

func sha1Of(s string) string {
	sum := sha1.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}
