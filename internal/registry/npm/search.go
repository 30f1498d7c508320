package npm

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

const (
	searchPage = 20  // results when the client does not say
	maxPage    = 250 // most results at a time; npm's registry has the same
	// maxScanned bounds how many names one search looks at: a private name costs a look too.
	maxScanned = 10_000
	// maxText is how much of a search text is looked at, in bytes: each word costs a look at each name.
	maxText = 512
)

// found is one search result.
type found struct {
	Package foundPackage `json:"package"`
	Score   score        `json:"score"`
	Search  float64      `json:"searchScore"`
}

type foundPackage struct {
	Name        string            `json:"name"`
	Version     string            `json:"version"`
	Description json.RawMessage   `json:"description,omitempty"`
	Keywords    json.RawMessage   `json:"keywords,omitempty"`
	License     json.RawMessage   `json:"license,omitempty"`
	Date        string            `json:"date"`
	Links       map[string]string `json:"links"`
	Publisher   searchUser        `json:"publisher"`
	Maintainers []searchUser      `json:"maintainers"`
}

// searchUser is how search results spell a user. Source: npm, format-search-stream.js.
type searchUser struct {
	Username string `json:"username"`
	Email    string `json:"email"`
}

// score has to be there and says nothing: results come in the order of their names.
type score struct {
	Final  float64            `json:"final"`
	Detail map[string]float64 `json:"detail"`
}

// search answers GET /-/v1/search: packages whose name contains every word of the text and that
// the caller may see. "scope:acme" selects a scope; other qualifiers are ignored. The total counts
// what was found up to the end of the page: names after it are not looked at.
func (r *Registry) search(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	q := req.URL.Query()
	from, size := number(q.Get("from"), 0), min(number(q.Get("size"), searchPage), maxPage)
	names, err := r.namesWith(req.Context(), actor, searchWords(q.Get("text")), from+size)
	if err != nil {
		return err
	}
	objects := []found{}
	for _, name := range names[min(from, len(names)):min(from+size, len(names))] {
		one, err := r.found(req.Context(), name)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			continue // it went away in between
		}
		if err != nil {
			return err
		}
		objects = append(objects, one)
	}
	w.Header().Set("Cache-Control", "no-cache")
	r.respond(w, http.StatusOK, map[string]any{"objects": objects, "total": len(names), "time": iso(r.clock.Now())})
	return nil
}

// number reads a query parameter that counts something.
func number(s string, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxScanned {
		return otherwise
	}
	return n
}

// searchWords splits a search text into what a name must contain.
func searchWords(text string) []string {
	var words []string
	for _, word := range strings.Fields(strings.ToLower(text[:min(len(text), maxText)])) {
		qualifier, value, qualified := strings.Cut(word, ":")
		switch {
		case !qualified:
			words = append(words, word)
		case qualifier == "scope":
			words = append(words, "@"+strings.TrimPrefix(value, "@")+"/")
		}
	}
	return words
}

// namesWith returns the first enough readable names that contain every word.
func (r *Registry) namesWith(ctx context.Context, actor evidence.Actor, words []string, enough int) ([]string, error) {
	first := ""
	if len(words) > 0 {
		first = words[0]
	}
	names, err := r.core.Names(ctx, purl.NPM, first, "", maxScanned)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range names {
		if len(out) == enough {
			break
		}
		if containsAll(name, words) && r.core.MayRead(ctx, actor, purl.NPM, name) == nil {
			out = append(out, name)
		}
	}
	return out, nil
}

func containsAll(name string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(name, w) {
			return false
		}
	}
	return true
}

func (r *Registry) found(ctx context.Context, name string) (found, error) {
	o, err := r.offer(ctx, name)
	if err != nil {
		return found{}, err
	}
	rel, err := o.release(latest)
	if err != nil {
		return found{}, err
	}
	m, err := r.manifest(ctx, name, rel)
	if err != nil {
		return found{}, err
	}
	maintainers := []searchUser{}
	for _, p := range o.maintainers() {
		maintainers = append(maintainers, searchUser{Username: p.Name})
	}
	return found{
		Package: foundPackage{
			Name: name, Version: rel.Version, Description: m["description"], Keywords: m["keywords"], License: m["license"],
			Date: iso(rel.Published), Links: map[string]string{"npm": r.base + escapedName(name)},
			Publisher: searchUser{Username: rel.Publisher}, Maintainers: maintainers,
		},
		Score:  score{Final: 1, Detail: map[string]float64{"quality": 1, "popularity": 1, "maintenance": 1}},
		Search: 1,
	}, nil
}
