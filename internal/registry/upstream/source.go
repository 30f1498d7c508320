package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Source is one upstream of an ecosystem.
type Source struct {
	Ecosystem string `json:"ecosystem"` // "npm", "pypi", "maven", "nuget", "gem", "oci"
	// URL is the base address: paths of documents are put behind it.
	URL string `json:"url"`
	// Hosts are the other hosts that files and redirects may be at, "files.example.org", "host:8080" or
	// "*.example.org". Those of well-known public registries are known. Whoever controls one of them can only
	// answer: a file's digests are checked all the same.
	Hosts []string `json:"hosts"`
	// Credential names a file with "user:password" or with a token. It is sent to the host in URL, for images to
	// the token service that it names among Hosts, and to no other. It is read anew with each start.
	Credential string `json:"credential"`
}

// wellKnown are the hosts that public registries spread their files over.
var wellKnown = map[string][]string{
	"pypi.org":             {"files.pythonhosted.org"},
	"rubygems.org":         {"index.rubygems.org"},
	"api.nuget.org":        {"globalcdn.nuget.org"},
	"registry-1.docker.io": {"auth.docker.io", "production.cloudflare.docker.com", "*.cloudfront.net", "*.r2.cloudflarestorage.com"},
	"ghcr.io":              {"pkg-containers.githubusercontent.com"},
	"quay.io":              {"*.quay.io", "quayio-production-s3.s3.amazonaws.com"},
}

var ecosystems = []string{purl.NPM, purl.PyPI, purl.Maven, purl.NuGet, purl.Gem, purl.OCI}

// ParseSource reads "npm=https://registry.example.org". It fails with code upstream-invalid.
func ParseSource(s string) (Source, error) {
	ecosystem, address, ok := strings.Cut(s, "=")
	if !ok {
		return Source{}, invalid("%q is not an upstream; write it like npm=https://registry.npmjs.org", fault.Clip(s))
	}
	one := Source{Ecosystem: ecosystem, URL: address}
	_, err := one.parse()
	return one, err
}

// Load reads a YAML file of [Settings]. It fails with code upstream-invalid.
func Load(file string) (Settings, error) {
	var s Settings
	raw, err := os.ReadFile(file)
	if err == nil {
		err = yaml.UnmarshalStrict(raw, &s)
	}
	if err != nil {
		return s, invalid("the file of upstreams %s cannot be used: %v", file, err).Because(err)
	}
	for _, one := range s.Sources {
		if _, err := one.parse(); err != nil {
			return s, err
		}
	}
	return s, nil
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "upstream-invalid", format, args...)
}

func (s Source) parse() (*url.URL, error) {
	if !slices.Contains(ecosystems, s.Ecosystem) {
		return nil, invalid("%q has no upstreams; the ecosystems are %s", fault.Clip(s.Ecosystem), strings.Join(ecosystems, ", "))
	}
	u, err := url.Parse(strings.TrimRight(s.URL, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, invalid("%q is not the address of an upstream; it must be http or https, without query", fault.Clip(s.URL))
	}
	if u.User != nil {
		return nil, invalid("the address of the upstream %s holds a password; put it into a file and name that as its credential", u.Host)
	}
	return u, nil
}

// source is an upstream that can be asked.
type source struct {
	base   *url.URL
	hosts  []string
	header string // the Authorization header; empty for none
	client *http.Client
	heard  *hearing
}

func (s Source) open(transport http.RoundTripper, clk clock.Clock) (*source, error) {
	base, err := s.parse()
	if err != nil {
		return nil, err
	}
	out := &source{base: base, hosts: append(slices.Clone(s.Hosts), wellKnown[base.Hostname()]...)}
	if s.Credential != "" {
		if out.header, err = readCredential(s.Credential); err != nil {
			return nil, err
		}
	}
	out.heard = &hearing{next: transport, clock: clk}
	auth := &authorizing{source: out, next: out.heard}
	if s.Ecosystem == purl.OCI {
		auth.bearer = &bearer{}
	}
	out.client = &http.Client{Transport: auth, CheckRedirect: out.checkRedirect}
	return out, nil
}

func readCredential(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", invalid("the credential of an upstream cannot be read from %s", file).Because(err)
	}
	secret := strings.TrimSpace(string(raw))
	if strings.Contains(secret, ":") {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(secret)), nil
	}
	return "Bearer " + secret, nil
}

// authorizing adds the credential to requests for the upstream itself. It works below redirects, where
// net/http would let a subdomain have it.
type authorizing struct {
	source *source
	next   http.RoundTripper
	bearer *bearer // nil where the protocol has no tokens
}

// RoundTrip implements http.RoundTripper.
func (a *authorizing) RoundTrip(r *http.Request) (*http.Response, error) {
	if !a.source.own(r.URL) {
		return a.next.RoundTrip(r)
	}
	if a.bearer == nil {
		return a.next.RoundTrip(withAuthorization(r, a.source.header))
	}
	repository := repositoryOf(r.URL)
	header := a.source.header
	if token := a.bearer.get(repository, time.Now()); token != "" {
		header = "Bearer " + token
	}
	resp, err := a.next.RoundTrip(withAuthorization(r, header))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	fields := challenge(resp.Header.Get("Www-Authenticate"))
	if fields["realm"] == "" {
		return resp, nil
	}
	resp.Body.Close()
	token, err := a.fetchToken(r, fields)
	if err != nil {
		return nil, err
	}
	a.bearer.put(repository, token)
	return a.next.RoundTrip(withAuthorization(r, "Bearer "+token.value))
}

func withAuthorization(r *http.Request, header string) *http.Request {
	if header == "" {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", header)
	return r
}

// own reports whether an address is at the upstream itself.
func (s *source) own(u *url.URL) bool { return u.Scheme == s.base.Scheme && u.Host == s.base.Host }

// allowed reports whether an address may be asked: at the upstream, or by https or like the upstream at a host
// that goes with it.
func (s *source) allowed(u *url.URL) bool {
	if s.own(u) {
		return true
	}
	if u.User != nil || u.Scheme != "https" && u.Scheme != s.base.Scheme || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	return slices.ContainsFunc(s.hosts, func(host string) bool {
		if below, ok := strings.CutPrefix(host, "*"); ok {
			return u.Port() == "" && strings.HasSuffix(u.Hostname(), below) && strings.HasPrefix(below, ".")
		}
		return u.Host == host
	})
}

const maxRedirects = 5

func (s *source) checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("too many redirects")
	}
	if !s.allowed(r.URL) {
		return fmt.Errorf("redirect to %s, which is not among the upstream's hosts", r.URL.Host)
	}
	if !s.own(r.URL) {
		r.Header.Del("Authorization")
	}
	return nil
}

// address is a document's: the path behind the base. A path that climbs is no path.
func (s *source) address(rel string) (string, bool) {
	full := s.base.String() + "/" + strings.TrimLeft(rel, "/")
	u, err := url.Parse(full)
	if err != nil || u.Host != s.base.Host {
		return "", false
	}
	for _, segment := range strings.Split(u.Path, "/") {
		if segment == "." || segment == ".." {
			return "", false
		}
	}
	return full, path.Clean(u.Path) != ""
}

// resolve returns the absolute address of a listed file, if it is one that this upstream may be asked for.
func (s *source) resolve(ref string) (*url.URL, bool) {
	base := *s.base
	base.Path += "/"
	u, err := base.Parse(ref)
	if err != nil || !s.allowed(u) {
		return nil, false
	}
	return u, true
}

// idleReader breaks a transfer that stands still.
type idleReader struct {
	io.ReadCloser
	timer *time.Timer
	idle  time.Duration
}

// watch returns the body of a response that is cancelled when nothing comes for so long.
func watch(body io.ReadCloser, idle time.Duration, cancel context.CancelCauseFunc) io.ReadCloser {
	return &idleReader{ReadCloser: body, idle: idle, timer: time.AfterFunc(idle, func() { cancel(errIdle) })}
}

var errIdle = errors.New("the upstream stopped sending")

// Read implements io.Reader.
func (r *idleReader) Read(p []byte) (int, error) {
	r.timer.Reset(r.idle)
	return r.ReadCloser.Read(p)
}

// Close implements io.Closer.
func (r *idleReader) Close() error {
	r.timer.Stop()
	return r.ReadCloser.Close()
}
