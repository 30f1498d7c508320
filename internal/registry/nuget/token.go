package nuget

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// exchange answers POST api/v2/token: a pipeline's identity token becomes a key that pushes the packages that
// trust the pipeline. Source: NuGet/login, action; NuGetGallery, TokenApiController.cs.
func (r *Registry) exchange(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	if r.trust == nil {
		return fault.New(fault.Unsupported, "operation-unsupported", "this registry takes no identity tokens; push with a token")
	}
	if req.UserAgent() == "" {
		return malformed("it must have a User-Agent header")
	}
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		registry.WriteReason(w, req, http.StatusUnsupportedMediaType, "the request must be application/json", "application/json",
			`{"error":"the request must be application/json","code":"body-malformed"}`)
		return nil
	}
	var body struct {
		Username  string `json:"username"`
		TokenType string `json:"tokenType"`
	}
	if err := registry.ReadJSON(w, req, maxJSON, &body); err != nil {
		return err
	}
	if body.TokenType != "" && !strings.EqualFold(body.TokenType, "ApiKey") {
		return malformed("its tokenType must be ApiKey")
	}
	scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return r.unauthorized(w, req, fault.New(fault.Unauthenticated, "login-required", "send the pipeline's identity token as a bearer token"))
	}
	made, err := r.trust.Exchange(req.Context(), registry.ExchangeRequest{Ecosystem: purl.NuGet, Token: token, RemoteAddr: req.RemoteAddr})
	if kind := fault.KindOf(err); err != nil && kind != fault.Internal && kind != fault.Unavailable {
		return r.unauthorized(w, req, err)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return r.respond(w, map[string]string{"tokenType": "ApiKey", "expires": timestamp(made.Expires), "apiKey": made.Secret})
}

// unauthorized answers as nuget.org does, whatever is wrong with an identity token: clients only know 401.
func (r *Registry) unauthorized(w http.ResponseWriter, req *http.Request, err error) error {
	f := fault.As(err)
	body, _ := json.Marshal(map[string]string{"error": f.Text, "code": f.Code}) // strings always encode
	w.Header().Set("Www-Authenticate", "Bearer")
	registry.WriteReason(w, req, http.StatusUnauthorized, f.Text, "application/json", string(body))
	return nil
}
