package signingtest

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The hosts at which npm's client signs; it cannot be told otherwise either.
// Source: @sigstore/sign, config.js.
const (
	fulcioHost = "fulcio.sigstore.dev"
	rekorHost  = "rekor.sigstore.dev"
)

// issue answers POST /api/v2/signingCert: a certificate for who an identity token says it is of. It believes
// the token. Source: sigstore/fulcio, fulcio.proto; docs/oid-info.md.
func (a *Authority) issue(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Credentials      struct{ OIDCIdentityToken string }
		PublicKeyRequest struct{ PublicKey struct{ Content string } }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id, err := OfToken(in.Credentials.OIDCIdentityToken)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	block, _ := pem.Decode([]byte(in.PublicKeyRequest.PublicKey.Content))
	if block == nil {
		http.Error(w, "no key", http.StatusBadRequest)
		return
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	pub, ok := key.(*ecdsa.PublicKey)
	if err != nil || !ok {
		http.Error(w, "not a key on a curve", http.StatusBadRequest)
		return
	}
	leaf, err := a.leaf(id, pub)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var chain []string
	for _, c := range []*x509.Certificate{leaf, a.ca} {
		chain = append(chain, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	}
	reply(w, map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}})
}

// OfToken returns who a run of GitHub is by its identity token, at whichever server's address issues it.
func OfToken(token string) (Identity, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Identity{}, errors.New("not a token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Identity{}, err
	}
	var c map[string]any
	if err := json.Unmarshal(payload, &c); err != nil {
		return Identity{}, err
	}
	text := func(name string) string { s, _ := c[name].(string); return s }
	u, err := url.Parse(text("iss"))
	if err != nil {
		return Identity{}, err
	}
	host := "https://" + u.Host + "/"
	if u.Host == "token.actions.githubusercontent.com" {
		host = "https://github.com/"
	}
	base := host + text("repository")
	return Identity{Issuer: text("iss"), SAN: host + text("job_workflow_ref"), Claims: map[int]string{
		9: host + text("job_workflow_ref"), 11: text("runner_environment"), 12: base, 13: text("sha"), 14: text("ref"), 15: text("repository_id"),
		18: host + text("workflow_ref"), 20: text("event_name"), 22: text("repository_visibility"),
		21: fmt.Sprintf("%s/actions/runs/%s/attempts/%s", base, text("run_id"), text("run_attempt")),
	}}, nil
}

// log answers POST /api/v1/log/entries for an envelope. Source: sigstore/rekor, openapi.yaml; types/dsse/v0.0.1.
func (a *Authority) log(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Spec struct {
			ProposedContent struct {
				Envelope  string
				Verifiers [][]byte
			}
		}
	}
	var envelope struct {
		Payload    []byte
		Signatures []struct{ Sig []byte }
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	if err == nil {
		err = json.Unmarshal([]byte(in.Spec.ProposedContent.Envelope), &envelope)
	}
	if err != nil || len(envelope.Signatures) != 1 || len(in.Spec.ProposedContent.Verifiers) != 1 {
		http.Error(w, fmt.Sprintf("not an envelope with one signature: %v", err), http.StatusBadRequest)
		return
	}
	e, err := a.enter(json.RawMessage(in.Spec.ProposedContent.Envelope), envelope.Payload, envelope.Signatures[0].Sig, in.Spec.ProposedContent.Verifiers[0])
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, map[string]any{hex.EncodeToString(e.leaf): map[string]any{
		"body": e.body, "integratedTime": a.now.Unix(), "logID": hex.EncodeToString(e.log), "logIndex": logIndex,
		"verification": map[string]any{
			"signedEntryTimestamp": e.promise,
			"inclusionProof": map[string]any{
				"logIndex": 0, "treeSize": 1, "rootHash": hex.EncodeToString(e.leaf), "hashes": []any{}, "checkpoint": e.checkpoint,
			},
		},
	}})
}

// reply answers with what was made; both services say 201.
func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(body) // the client is gone
}
