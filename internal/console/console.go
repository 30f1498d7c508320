// Package console serves the pages that people open in a browser: sign-in, the account with its
// second factors, the approval of a waiting client (/login, /step-up) and of a staged release
// (/stage), reports of malicious packages (/report).
//
// The pages are rendered on the server and work without scripts; one script of ours talks to the
// browser's authenticator, which nothing else can. A page shows what is about to be approved before
// it asks for proof: whoever was talked into opening a stranger's address must be able to notice.
//
// What it refuses: requests that another site's page sent, tokens in place of a session (a token is a
// machine's, and what is approved here asks for a person), being shown in a frame, and returning to an
// address outside of its own pages.
package console

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/console/sso"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/recall/report"
)

// maxForm bounds a request: the largest is a passkey's attestation.
const maxForm = 64 << 10 // bytes

// Config is what the pages need.
type Config struct {
	Accounts *account.Service
	Publish  *publish.Service
	Reports  *report.Service
	// URL is where browsers reach the pages, without trailing slash. Its host is what passkeys are
	// bound to: after a change of it, nobody's passkey works any more.
	URL string
	// Registry is the address that npm calls the registry, for the words on the login page.
	Registry string
	// SignOn are the identity providers that people may sign in with; none without.
	SignOn []*sso.Provider
	// Mail says whether the server can send mail.
	Mail  bool
	Clock clock.Clock // nil means the machine's
	Log   *slog.Logger
}

// Console is the pages. It is safe for concurrent use.
type Console struct {
	Config
	secure bool // the browser speaks https
	pages  pages
	assets map[string]asset
	origin *http.CrossOriginProtection
	routes []Route
}

// New returns the pages.
func New(c Config) (*Console, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	p, err := parsePages()
	if err != nil {
		return nil, err
	}
	a, err := readAssets()
	if err != nil {
		return nil, err
	}
	s := &Console{Config: c, secure: strings.HasPrefix(c.URL, "https://"), pages: p, assets: a, origin: http.NewCrossOriginProtection()}
	s.routes = s.table()
	return s, nil
}

// Mounts are the path prefixes that the pages live under.
func Mounts() []string { return []string{"/account/", "/login/", "/step-up/", "/stage/", "/report/"} }

// Handler serves the routes and nothing else.
func (s *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes {
		mux.HandleFunc(r.Method+" "+r.Pattern, r.Handler)
	}
	mux.HandleFunc("/", s.handle(open, func(*call) error {
		return fault.New(fault.NotFound, "page-unknown", "there is no such page; begin at %s/account/", s.URL)
	}))
	return s.onItsHost(mux)
}

// onItsHost sends who opened a page under the loopback address to the same page under the name that
// passkeys are bound to: a browser takes no address for one.
func (s *Console) onItsHost(next http.Handler) http.Handler {
	_, host, _ := strings.Cut(s.URL, "://")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.Host != host && isLoopbackAddress(r.Host) && strings.HasPrefix(host, "localhost") {
			http.Redirect(w, r, s.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// report logs what the reader is not told. A path may hold a code, so the pattern stands for it.
func (s *Console) report(ctx context.Context, pattern string, err error) {
	s.Log.ErrorContext(ctx, "page failed", "route", pattern, "error", err)
}
