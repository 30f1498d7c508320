package e2e

import (
	"fmt"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
)

// transcript is a transcript in the words of oidctest.
type transcript struct{ *testscript.TestScript }

func (transcript) Helper()             {}
func (t transcript) Cleanup(fn func()) { t.Defer(fn) }
func (t transcript) Fatal(args ...any) { t.Fatalf("%s", fmt.Sprint(args...)) }

type issuerKey struct{}

// startIssuer starts an issuer of identity tokens on loopback and registers it, as what publishers of the
// provider mean when they name none. It sets ISSUER to its address, and what a job of GitHub has to get a token.
// With an address its tokens say that one, and the server has its keys from a file: Sigstore knows only issuers
// that are reached by HTTPS.
//
//	issuer PROVIDER [PATH|ADDRESS]
func startIssuer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: issuer PROVIDER [PATH|ADDRESS]")
	}
	at := strings.Join(args[1:], "")
	elsewhere := strings.HasPrefix(at, "https://")
	path := at
	if elsewhere {
		path = ""
	}
	i := oidctest.At(transcript{ts}, path)
	ts.Value(issuerKey{}).(map[string]*oidctest.Issuer)[args[0]] = i
	if args[0] == "github" {
		ts.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", i.RequestURL())
		ts.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", oidctest.RequestToken)
	}
	command := []string{"hullmark", "trust", "issuer", "add", i.URL, "--provider", args[0], "--internal", "--default"}
	if elsewhere {
		i.URL = at
		keys := ts.MkAbs("jwks.json")
		ts.Check(os.WriteFile(keys, []byte(i.KeySet()), 0o600))
		command = []string{"hullmark", "trust", "issuer", "add", i.URL, "--provider", args[0], "--keys", keys, "--default"}
	}
	ts.Setenv("ISSUER", i.URL)
	must(ts, command[0], command[1:]...)
}

// idToken makes an identity token and keeps it in a variable.
//
//	id-token VARIABLE PROVIDER AUDIENCE [CLAIM=VALUE...]
func idToken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: id-token VARIABLE PROVIDER AUDIENCE [CLAIM=VALUE...]")
	}
	i := ts.Value(issuerKey{}).(map[string]*oidctest.Issuer)[args[1]]
	if i == nil {
		ts.Fatalf("no issuer of %s was started", args[1])
	}
	claims := map[string]map[string]any{
		"github": oidctest.GitHub(), "gitlab": oidctest.GitLab(i.URL), "buildkite": oidctest.Buildkite(), "circleci": oidctest.CircleCI(),
		"google": oidctest.Google(), "kubernetes": oidctest.Kubernetes(args[2]), "generic": oidctest.Generic(),
	}[args[1]]
	for _, claim := range args[3:] {
		name, v, _ := strings.Cut(claim, "=")
		claims[name] = v
	}
	ts.Setenv(args[0], i.Token(args[2], claims))
}
