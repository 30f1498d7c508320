package upstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/fault"
)

// bearer gets tokens for container registries, which answer the first request with where to get one. Without a
// credential the token is nobody's, and public images need no more.
// Source: distribution, "Token Authentication Specification".
type bearer struct {
	mu     sync.Mutex
	tokens map[string]bearerToken // by repository
}

type bearerToken struct {
	value string
	until time.Time
}

const (
	maxTokens   = 1000
	maxToken    = 64 << 10 // bytes of a token service's answer
	tokenMargin = 10 * time.Second
)

var repositoryPath = regexp.MustCompile(`/v2/(.+)/(?:manifests|blobs|tags|referrers)/`)

func repositoryOf(u *url.URL) string {
	found := repositoryPath.FindStringSubmatch(u.Path)
	if found == nil {
		return ""
	}
	return found[1]
}

// get returns a token that is good for a repository now, or "".
func (b *bearer) get(repository string, now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t, ok := b.tokens[repository]; ok && now.Before(t.until) {
		return t.value
	}
	return ""
}

func (b *bearer) put(repository string, t bearerToken) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens == nil || len(b.tokens) >= maxTokens {
		b.tokens = map[string]bearerToken{}
	}
	b.tokens[repository] = t
}

var challengeField = regexp.MustCompile(`([a-z]+)="([^"]*)"`)

// challenge reads a WWW-Authenticate header; the realm is empty when it asks for something else than a token.
func challenge(header string) map[string]string {
	scheme, rest, _ := strings.Cut(header, " ")
	fields := map[string]string{}
	if !strings.EqualFold(scheme, "bearer") {
		return fields
	}
	for _, one := range challengeField.FindAllStringSubmatch(rest, 16) {
		fields[one[1]] = one[2]
	}
	return fields
}

// fetchToken asks the token service that a challenge names. It must be at one of the upstream's hosts: the
// credential goes there.
func (a *authorizing) fetchToken(r *http.Request, fields map[string]string) (bearerToken, error) {
	realm, err := url.Parse(fields["realm"])
	if err != nil || !a.source.allowed(realm) {
		return bearerToken{}, fmt.Errorf("the token service %q is not at one of the upstream's hosts", fault.Clip(fields["realm"]))
	}
	q := realm.Query()
	for _, key := range []string{"service", "scope"} {
		if fields[key] != "" {
			q.Set(key, fields[key])
		}
	}
	realm.RawQuery = q.Encode()
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, realm.String(), nil)
	if err != nil {
		return bearerToken{}, err
	}
	if a.source.header != "" {
		ask.Header.Set("Authorization", a.source.header)
	}
	resp, err := a.next.RoundTrip(ask)
	if err != nil {
		return bearerToken{}, err
	}
	defer resp.Body.Close()
	var said struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"` // seconds
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxToken)).Decode(&said); err != nil || resp.StatusCode != http.StatusOK {
		return bearerToken{}, fmt.Errorf("the token service answered %s: %w", resp.Status, err)
	}
	if said.Token == "" {
		said.Token = said.AccessToken
	}
	life := min(max(time.Duration(said.ExpiresIn)*time.Second, time.Minute), time.Hour)
	return bearerToken{value: said.Token, until: time.Now().Add(life - tokenMargin)}, nil
}
