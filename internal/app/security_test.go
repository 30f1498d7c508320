package app_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/fault"
)

func TestWhoFindsAVulnerabilityFindsWhomToTell(t *testing.T) {
	t.Parallel()
	s := listen(t, open(t, app.Config{Data: t.TempDir(), Contact: "security@acme.example", Rules: "https://acme.example/safe-harbour"}))
	got := send(s.Handler(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/.well-known/security.txt", nil), "")
	text := got.Body.String()
	if got.Code != http.StatusOK || !strings.HasPrefix(got.Header().Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v %s", got.Code, got.Header(), text)
	}
	for _, line := range []string{"Contact: mailto:security@acme.example\n", "Policy: https://acme.example/safe-harbour\n", "Canonical: " + s.URL} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in:\n%s", line, text)
		}
	}
	expires := regexp.MustCompile(`(?m)^Expires: (.+)$`).FindStringSubmatch(text)
	if expires == nil {
		t.Fatalf("no end in:\n%s", text)
	}
	at, err := time.Parse(time.RFC3339, expires[1])
	if left := time.Until(at); err != nil || left < 24*time.Hour || left > 365*24*time.Hour {
		t.Errorf("expires %s (%v): RFC 9116 asks for less than a year", expires[1], err)
	}
}

func TestWithoutAContactThereIsNoFile(t *testing.T) {
	t.Parallel()
	s := listen(t, open(t, app.Config{Data: t.TempDir()}))
	got := send(s.Handler(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/.well-known/security.txt", nil), "")
	if got.Code != http.StatusNotFound {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

func TestAContactThatNobodyReachesIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	for _, c := range []app.Config{
		{Contact: "ask around"}, {Contact: "http://acme.example/contact"}, {Contact: "mailto:"}, {Contact: "https://acme.example/x\nContact: mailto:evil@example.com"},
		{Contact: "security@acme.example", Rules: "a page"}, {Rules: "https://acme.example/rules"},
	} {
		c.Data = t.TempDir()
		a, err := app.Open(t.Context(), c)
		if err == nil {
			a.Close()
		}
		if err == nil || fault.As(err).Code != "contact-invalid" {
			t.Errorf("%q, %q: %v", c.Contact, c.Rules, err)
		}
	}
}
