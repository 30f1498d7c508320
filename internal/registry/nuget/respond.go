package nuget

import (
	"encoding/json"
	"net/http"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// keyHeader carries the token that pushes. Source: NuGet docs, "Push and delete".
const keyHeader = "X-NuGet-ApiKey"

// guard makes the routes.
func (r *Registry) guard() registry.Guard {
	return registry.Guard{Core: r.core, Ecosystem: purl.NuGet, Fail: r.fail, Log: r.log, Credential: func(req *http.Request) string {
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
	body, _ := json.Marshal(map[string]string{"error": f.Text, "code": f.Code}) // strings always encode
	switch f.Kind {
	case fault.Unauthenticated:
		w.Header().Set("Www-Authenticate", `Basic realm="Hullmark"`)
	case fault.NotFound:
		registry.Answer(w, http.StatusNotFound, "application/json", body)
		return
	}
	registry.WriteReason(w, req, fault.HTTPStatus(err), f.Text, "application/json", string(body))
}

// respond writes v as JSON.
func (r *Registry) respond(w http.ResponseWriter, v any) error {
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-cache")
	}
	return registry.AnswerJSON(w, http.StatusOK, "application/json", v)
}

// maxJSON bounds a small request, in bytes.
const maxJSON = 256 << 10
