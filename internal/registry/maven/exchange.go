package maven

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// tokenUser is the user name that goes with a token whose owner a client does not know.
const tokenUser = "token"

// maxExchange bounds the request for a token, in bytes.
const maxExchange = 64 << 10

func (r *Registry) trusting() error {
	if r.trust == nil {
		return fault.New(fault.Unsupported, "operation-unsupported", "trusted publishing is turned off here")
	}
	return nil
}

// audience answers GET /oidc/audience: what a provider's token must be for.
func (r *Registry) audience(w http.ResponseWriter, _ *http.Request, _ evidence.Actor) error {
	if err := r.trusting(); err != nil {
		return err
	}
	return registry.AnswerJSON(w, http.StatusOK, "application/json", map[string]string{"audience": r.trust.Audience(purl.Maven)})
}

// exchange answers POST /oidc/token: a provider's identity token becomes a token of ours, in the forms that settings.xml
// and the Portal take. It is good for every name whose publisher the identity matches, since a deployment has several.
func (r *Registry) exchange(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	if err := r.trusting(); err != nil {
		return err
	}
	var body struct {
		Token string `json:"token"`
	}
	raw, err := io.ReadAll(io.LimitReader(req.Body, maxExchange))
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &body)
	}
	if scheme, token, ok := strings.Cut(req.Header.Get("Authorization"), " "); body.Token == "" && ok && strings.EqualFold(scheme, "Bearer") {
		body.Token = token
	}
	if err != nil || body.Token == "" {
		return fault.New(fault.Invalid, "identity-token-malformed", `send the provider's identity token: {"token": "…"}`).Because(err)
	}
	minted, err := r.trust.Exchange(req.Context(), registry.ExchangeRequest{Ecosystem: purl.Maven, Token: body.Token, RemoteAddr: req.RemoteAddr})
	if err != nil {
		return err
	}
	return registry.AnswerJSON(w, http.StatusOK, "application/json", map[string]any{
		"username": tokenUser, "password": minted.Secret,
		"token":   base64.StdEncoding.EncodeToString([]byte(tokenUser + ":" + minted.Secret)),
		"expires": minted.Expires.Unix(), "names": minted.Names,
	})
}
