package npm

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// checkBase checks a public URL.
func checkBase(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme == "" || u.Host == "" || !strings.HasSuffix(base, "/") {
		return fmt.Errorf("npm: the public URL %q must be absolute and end in a slash", base)
	}
	return nil
}

// joinScope makes one path segment of a scoped name that came as two: npm asks for
// /@acme%2fui, some clients for /@acme/ui, and the routes know the first form only. The same
// holds behind /-/package/ and /-/npm/v1/attestations/.
func joinScope(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		path := req.URL.EscapedPath()
		if joined, ok := joinedPath(path); ok {
			clone := *req
			u := *req.URL
			u.RawPath = joined
			u.Path, _ = url.PathUnescape(joined) // it was a valid path before
			clone.URL = &u
			req = &clone
		}
		next.ServeHTTP(w, req)
	})
}

// exchangePath comes before the package whose token is asked for.
const exchangePath = "/-/npm/v1/oidc/token/exchange/package/"

// joinedPath returns the escaped path with its scope joined, and whether that changed it.
func joinedPath(path string) (string, bool) {
	prefix := "/"
	for _, below := range []string{"/-/package/", "/-/npm/v1/attestations/", stagePrefix, exchangePath} {
		if strings.HasPrefix(path, below) {
			prefix = below
		}
	}
	rest := path[min(len(prefix), len(path)):]
	scope, below, found := strings.Cut(rest, "/")
	isScope := strings.HasPrefix(scope, "@") || strings.HasPrefix(scope, "%40")
	if !found || !isScope || strings.Contains(strings.ToLower(scope), "%2f") {
		return "", false
	}
	return prefix + scope + "%2f" + below, true
}
