package api_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// connect returns a client of s over the network, as role.
func (s *server) connect(role authztest.Role) *client.Client {
	s.t.Helper()
	listening := httptest.NewServer(s.handler)
	s.t.Cleanup(listening.Close)
	c, err := client.New(listening.URL, strings.TrimPrefix(s.Authorization(role), "Bearer "))
	must(s.t, err)
	return c
}

func TestTheClientReadsTheRecordAndVerifiesIt(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c, ctx := s.connect(authztest.Reader), t.Context()
	traced, err := c.Trace(ctx, "pkg:npm/%40own/ui@1.0.0")
	if err != nil || traced.Root.ID != "pkg:npm/%40own/ui@1.0.0" {
		t.Fatalf("%+v, %v", traced, err)
	}
	statements, err := c.Statements(ctx, traced.Root.ID)
	if err != nil || len(statements) != 1 || statements[0].Seq != traced.Root.Evidence[0] {
		t.Errorf("%+v, %v", statements, err)
	}
	bundle, err := c.Bundle(ctx, traced.Root.ID)
	must(t, err)
	verifier, err := note.NewVerifier(s.vkey)
	must(t, err)
	if _, err := evidence.VerifyBundle(bytes.NewReader(bundle), verifier); err != nil {
		t.Error(err)
	}
	p, err := c.Package(ctx, "npm", "@own/ui")
	if err != nil || len(p.Releases) != 1 || p.Releases[0].PURL != traced.Root.ID {
		t.Errorf("%+v, %v", p, err)
	}
	im, err := c.Image(ctx, string(s.Digest(authztest.Own)))
	if err != nil || len(im.References) != 1 {
		t.Errorf("%+v, %v", im, err)
	}
	inclusion, err := c.Inclusion(ctx, 0, 0)
	if err != nil || inclusion.Size == 0 {
		t.Errorf("%+v, %v", inclusion, err)
	}
	if _, err := c.Consistency(ctx, 1, 0); err != nil {
		t.Error(err)
	}
}

func TestAnEmptyListIsAListAndADigestNeedsNoPrefix(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := s.connect(authztest.Admin)
	recalls, err := c.Recalls(t.Context())
	must(t, err)
	if recalls == nil {
		t.Error("no recalls are printed as null")
	}
	_, err = c.Statements(t.Context(), strings.Repeat("ab", 32))
	if f := fault.As(err); f.Kind != fault.NotFound {
		t.Errorf("a digest as sha256sum prints it: %+v", f)
	}
	_, err = c.Statements(t.Context(), "acme/shop:1")
	if f := fault.As(err); f.Code != "subject-invalid" {
		t.Errorf("an image's name: %+v", f)
	}
}

func TestTheClientManagesAccounts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c, ctx := s.connect(authztest.Outsider), t.Context()
	_, err := c.CreateOrganisation(ctx, "fresh")
	must(t, err)
	_, err = c.ClaimNamespace(ctx, "fresh", resource.NewNamespace{Ecosystem: "npm", Pattern: "@fresh"})
	must(t, err)
	_, err = c.SetVisibility(ctx, "npm", "@fresh", "public")
	must(t, err)
	must(t, c.SetMember(ctx, "fresh", "spare", "reader"))
	must(t, c.RemoveMember(ctx, "fresh", "spare"))
	namespaces, err := c.Namespaces(ctx, "fresh")
	if err != nil || len(namespaces) != 1 || namespaces[0].Visibility != "public" {
		t.Errorf("%+v, %v", namespaces, err)
	}
	made, err := c.CreateToken(ctx, resource.NewToken{Permission: "publish", Ecosystem: "npm", Names: []string{"@fresh/*"}})
	must(t, err)
	tokens, err := c.Tokens(ctx)
	if err != nil || len(tokens) != 2 {
		t.Errorf("%+v, %v", tokens, err)
	}
	must(t, c.RevokeToken(ctx, made.Token.ID))
	who, err := c.Whoami(ctx)
	if err != nil || who.Account != "outsider" || who.Admin {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestAnErrorComesBackAsTheFaultThatItWas(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, err := s.connect(authztest.Outsider).Members(t.Context(), "own")
	if f := fault.As(err); f.Code != "organisation-unknown" || f.Kind != fault.NotFound || f.Text == "" {
		t.Errorf("%+v", f)
	}
	_, err = s.connect(authztest.Anonymous).Whoami(t.Context())
	if f := fault.As(err); f.Code != "login-required" || f.Kind != fault.Unauthenticated {
		t.Errorf("%+v", f)
	}
}

func TestTheClientTellsWhatIsNotAServer(t *testing.T) {
	t.Parallel()
	stranger := httptest.NewServer(http.NotFoundHandler())
	defer stranger.Close()
	c, err := client.New(stranger.URL, "")
	must(t, err)
	if _, err := c.Version(t.Context()); fault.As(err).Code != "server-answer-unreadable" {
		t.Error(err)
	}
	stranger.Close()
	if _, err := c.Version(t.Context()); fault.As(err).Code != "server-unreachable" {
		t.Error(err)
	}
	for address, code := range map[string]string{
		"": "server-address-invalid", "127.0.0.1:1": "server-address-invalid", "ftp://x": "server-address-invalid",
		"http://registry.example": "server-address-insecure",
	} {
		if _, err := client.New(address, "hm_x"); fault.As(err).Code != code {
			t.Errorf("%s: %v", address, err)
		}
	}
}
