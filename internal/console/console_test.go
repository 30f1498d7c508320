package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// hostile is what somebody types who wants it to run in another's browser.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>`

func TestWhatOthersWroteIsTextOnEveryPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publish("alice", "left-pad", "1.0.0")
	_, mallory := w.session("mallory")
	if _, _, err := w.accounts.CreateToken(t.Context(), mallory, account.Token{Description: hostile, Expires: time.Now().Add(time.Hour), Scope: account.Scope{Permission: evidence.Read}}); err != nil {
		t.Fatal(err)
	}
	if got := w.ask("mallory", http.MethodPost, "/report/", url.Values{"purl": {p.String()}, "reason": {hostile}}); got.Code != http.StatusOK {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	for name, page := range map[string]string{
		"an administrator reads a report":  w.ask("admin", http.MethodGet, "/report/", nil).Body.String(),
		"an account lists its tokens":      w.ask("mallory", http.MethodGet, "/account/", nil).Body.String(),
		"an address fills the form in":     w.ask("alice", http.MethodGet, "/report/?purl="+url.QueryEscape(hostile), nil).Body.String(),
		"a form comes back with its words": w.ask("alice", http.MethodPost, "/report/", url.Values{"purl": {"x"}, "reason": {hostile}}).Body.String(),
		"a name is typed at the sign-in":   w.ask("", http.MethodPost, "/account/sign-in", url.Values{"user": {hostile}, "password": {"x"}}).Body.String(),
	} {
		if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img src=x") {
			t.Errorf("%s: it is markup there:\n%s", name, page)
		}
		if !strings.Contains(page, "&lt;script&gt;alert(1)") {
			t.Errorf("%s: the text is not there, so nothing was tested:\n%s", name, page)
		}
	}
}

func TestEveryAnswerForbidsScriptsOfOthersFramesAndGuessing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/account/", "/account/sign-in", "/account/assets/pages.css", "/account/assets/none", "/report/", "/stage/", "/stage/x", "/login/x", "/nothing"} {
		for _, name := range []string{"", "alice"} {
			h := w.ask(name, http.MethodGet, path, nil).Header()
			csp := h.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
				if !strings.Contains(csp, part) {
					t.Errorf("%s for %q: no %s in %q", path, name, part, csp)
				}
			}
			if strings.Contains(csp, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
				t.Errorf("%s for %q: %v", path, name, h)
			}
		}
	}
}

// A page with a script or style of its own would be blank under the policy above, and tempt to widen it.
func TestNoPageHasAScriptOrStyleInItsMarkup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inline := regexp.MustCompile(`(?i)<script>|<style|\son[a-z]+=|\sstyle=|javascript:`)
	for _, path := range []string{"/account/", "/account/sign-in", "/account/recover", "/report/", "/stage/"} {
		page := w.ask("alice", http.MethodGet, path, nil).Body.String()
		if found := inline.FindString(page); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
}

func TestAFormOfAnotherSiteDoesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.publish("alice", "left-pad", "1.0.0")
	form := url.Values{"purl": {p.String()}, "reason": {"test"}}
	for name, headers := range map[string][]string{
		"as browsers say it now":    {"Sec-Fetch-Site", "cross-site"},
		"from a sibling's domain":   {"Sec-Fetch-Site", "same-site"},
		"as browsers said it":       {"Origin", "https://evil.example"},
		"from the same host, plain": {"Origin", "http://hullmark.example:8080"},
		"from a sandboxed frame":    {"Origin", "null"},
	} {
		got := w.ask("alice", http.MethodPost, "/report/", form, headers...)
		if got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), "cross-origin") {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
	}
	if page := w.ask("admin", http.MethodGet, "/report/", nil).Body.String(); strings.Contains(page, "left-pad") {
		t.Error("a refused form made a report")
	}
	if got := w.ask("alice", http.MethodPost, "/report/", form, "Sec-Fetch-Site", "same-origin", "Origin", site); got.Code != http.StatusOK {
		t.Errorf("our own page's form: %d %s", got.Code, got.Body)
	}
}

func TestTheSessionsCookieIsForThisHostItsPagesAndNoScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const password = "seven short words make one phrase"
	must(t, w.accounts.CreateUser(t.Context(), w.admin, "bob", password))
	got := w.ask("", http.MethodPost, "/account/sign-in", url.Values{"user": {"bob"}, "password": {password}})
	cookies := got.Result().Cookies()
	if got.Code != http.StatusSeeOther || len(cookies) != 1 {
		t.Fatalf("%d %v", got.Code, got.Header())
	}
	c := cookies[0]
	if c.Name != "__Host-hullmark" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Domain != "" || c.Path != "/" {
		t.Errorf("%+v", c)
	}
	// A cookie with another name is none, and a session that has ended is none.
	if got := w.ask("", http.MethodGet, "/account/", nil, "Cookie", "hullmark="+c.Value); got.Code != http.StatusUnauthorized {
		t.Errorf("under the name without the prefix: %d", got.Code)
	}
	if got := w.ask("", http.MethodPost, "/account/sign-out", nil, "Cookie", c.Name+"="+c.Value); got.Code != http.StatusSeeOther {
		t.Fatalf("signing out: %d", got.Code)
	}
	if got := w.ask("", http.MethodGet, "/account/", nil, "Cookie", c.Name+"="+c.Value); got.Code != http.StatusUnauthorized {
		t.Errorf("after signing out: %d", got.Code)
	}
}

func TestNobodyIsSentOutOfThePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for next, want := range map[string]string{
		"/report/?purl=x":                "/report/?purl=x",
		"/step-up/abc":                   "/step-up/abc",
		"https://evil.example/account/":  "/account/",
		"//evil.example/account/":        "/account/",
		`/\evil.example/account/`:        "/account/",
		`\\evil.example`:                 "/account/",
		"javascript:alert(1)":            "/account/",
		"/npm/left-pad":                  "/account/",
		"/account/sign-out":              "/account/",
		"/account/sign-in?next=/account": "/account/",
		"":                               "/account/",
	} {
		got := w.ask("alice", http.MethodGet, "/account/sign-in?next="+url.QueryEscape(next), nil)
		if to := got.Header().Get("Location"); to != want {
			t.Errorf("next=%q leads to %q, want %q", next, to, want)
		}
	}
	for _, referer := range []string{"https://evil.example/x", "//evil.example", "javascript:alert(1)"} {
		page := w.ask("alice", http.MethodGet, "/nothing", nil, "Referer", referer).Body.String()
		if strings.Contains(page, "evil.example") || strings.Contains(page, "javascript:") {
			t.Errorf("the way back leads to %s:\n%s", referer, page)
		}
	}
}

func TestWhoIsNotSignedInSeesTheSignInPageAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := strings.NewReplacer("{$}", "", "{id...}", "x", "{id}", "x", "{provider}", "x", "{code}", "x", "{file}", "x")
	for _, r := range w.routes {
		if r.Access == "anyone" {
			continue
		}
		got := w.ask("", r.Method, path.Replace(r.Pattern), nil)
		if got.Code != http.StatusUnauthorized || !strings.Contains(got.Body.String(), "/account/sign-in") {
			t.Errorf("%s %s: %d", r.Method, r.Pattern, got.Code)
		}
	}
}

func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, alice := w.session("alice")
	must(t, w.accounts.CreateOrganisation(t.Context(), alice, "acme"))
	must(t, w.accounts.ClaimNamespace(t.Context(), alice, "acme", purl.NPM, "@acme", account.Private))
	public, private := w.publish("alice", "left-pad", "1.0.0"), w.publish("alice", "@acme/ui", "1.0.0")
	if got := w.ask("mallory", http.MethodPost, "/report/", url.Values{"purl": {public.String()}, "reason": {"it mines"}}); got.Code != http.StatusOK {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	got := w.ask("mallory", http.MethodPost, "/report/", url.Values{"purl": {private.String()}, "reason": {"is it there?"}})
	never := w.ask("mallory", http.MethodPost, "/report/", url.Values{"purl": {"pkg:npm/%40acme/none@1.0.0"}, "reason": {"is it there?"}})
	if got.Code != http.StatusBadRequest || never.Code != got.Code {
		t.Errorf("a private package: %d, one that is not there: %d", got.Code, never.Code)
	}
	for name, sees := range map[string]bool{"admin": true, "alice": false, "mallory": false} {
		if page := w.ask(name, http.MethodGet, "/report/", nil).Body.String(); strings.Contains(page, "it mines") != sees {
			t.Errorf("%s sees what was reported: %v", name, !sees)
		}
	}
	open := regexp.MustCompile(`rep_[0-9a-f]+`).FindString(w.ask("admin", http.MethodGet, "/report/", nil).Body.String())
	if got := w.ask("alice", http.MethodPost, "/report/"+open+"/outcome", url.Values{"outcome": {"unfounded"}}); got.Code != http.StatusForbidden {
		t.Errorf("the owner decides a report about herself: %d", got.Code)
	}
	if got := w.ask("admin", http.MethodPost, "/report/"+open+"/outcome", url.Values{"outcome": {"upheld"}}); got.Code != http.StatusSeeOther {
		t.Errorf("an administrator decides: %d %s", got.Code, got.Body)
	}
}

func TestAnAccountsPageShowsItsOwnThingsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, alice := w.session("alice")
	_, mine, err := w.accounts.CreateToken(t.Context(), alice, account.Token{Description: "alice's satchel", Expires: time.Now().Add(time.Hour), Scope: account.Scope{Permission: evidence.Read}})
	must(t, err)
	if page := w.ask("alice", http.MethodGet, "/account/", nil).Body.String(); !strings.Contains(page, "alice&#39;s satchel") {
		t.Fatalf("her token is not on her page:\n%s", page)
	}
	for _, other := range []string{"mallory", "admin"} {
		if page := w.ask(other, http.MethodGet, "/account/", nil).Body.String(); strings.Contains(page, mine.ID) || strings.Contains(page, "satchel") {
			t.Errorf("%s sees alice's token", other)
		}
	}
	if got := w.ask("mallory", http.MethodPost, "/account/tokens/"+mine.ID+"/revocation", nil); got.Code < 400 {
		t.Errorf("mallory revokes alice's token: %d", got.Code)
	}
	left, err := w.accounts.ListTokens(t.Context(), alice)
	must(t, err)
	if len(left) != 1 {
		t.Errorf("alice has %d tokens left", len(left))
	}
}

func TestAFormThatIsTooLargeIsNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.ask("alice", http.MethodPost, "/report/", url.Values{"purl": {"x"}, "reason": {strings.Repeat("x", 65<<10)}})
	if got.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d", got.Code)
	}
}
