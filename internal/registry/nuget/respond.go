package nuget

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// keyHeader carries the token that pushes. Source: NuGet docs, "Push and delete".
const keyHeader = "X-NuGet-ApiKey"

// guard makes the routes.
func (r *Registry) guard() registry.Guard {
	return registry.Guard{Core: r.core, Ecosystem: purl.NuGet, Fail: r.fail, Credential: func(req *http.Request) string {
		if key := req.Header.Get(keyHeader); key != "" {
			return "Bearer " + key
		}
		return req.Header.Get("Authorization")
	}}
}

// fail answers with the sentence in the status line, which is what NuGet's clients print. What is not there
// is answered the usual way: clients ask for much that is not, and would lose their connection each time.
func (r *Registry) fail(w http.ResponseWriter, req *http.Request, err error) {
	f := fault.As(err)
	if f.Kind == fault.Internal {
		r.log.ErrorContext(req.Context(), "NuGet request failed", "route", req.Pattern, "name", req.PathValue("name"), "error", err)
	}
	if req.Context().Err() != nil {
		return // nobody is there to read the answer
	}
	body, _ := json.Marshal(map[string]string{"error": f.Text, "code": f.Code}) // strings always encode
	if f.Kind == fault.Unauthenticated {
		w.Header().Set("Www-Authenticate", `Basic realm="Hullmark"`)
	}
	if f.Kind == fault.NotFound {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNotFound)
		w.Write(body) // a failure means that the caller has gone
		return
	}
	registry.WriteReason(w, req, fault.HTTPStatus(err), f.Text, "application/json", string(body))
}

// respond writes v as JSON.
func (r *Registry) respond(w http.ResponseWriter, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	w.Write(data) // a failure means that the caller has gone
	return nil
}

// ascii makes a sentence fit a header: one line of ASCII.
func ascii(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

// maxJSON bounds a small request, in bytes.
const maxJSON = 256 << 10

// readJSON decodes a small request body into v.
func readJSON(w http.ResponseWriter, req *http.Request, v any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxJSON)).Decode(v)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return fault.New(fault.TooLarge, "body-too-large", "the request is larger than the %d KiB that are taken here", maxJSON>>10)
	}
	if err != nil {
		return malformed("it must be the JSON that is expected here").Because(err)
	}
	return nil
}
