package oci

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/hullmark/hullmark/internal/fault"
)

// errorBody is what clients parse.
// Source: distribution-spec 1.1, "Error codes".
type errorBody struct {
	Errors []errorItem `json:"errors"`
}

type errorItem struct {
	Code    string            `json:"code"`
	Message string            `json:"message"`
	Detail  map[string]string `json:"detail,omitempty"`
}

// byCode gives the specification's code for those of our faults where the kind alone does not
// decide it. status, when not zero, replaces the kind's.
var byCode = map[string]struct {
	code   string
	status int
}{
	"blob-unknown":           {"BLOB_UNKNOWN", 0},
	"blob-too-large":         {"SIZE_INVALID", 0},
	"digest-invalid":         {"DIGEST_INVALID", 0},
	"digest-mismatch":        {"DIGEST_INVALID", 0},
	"list-invalid":           {"PAGINATION_NUMBER_INVALID", 0},
	"manifest-blob-unknown":  {"MANIFEST_BLOB_UNKNOWN", 0},
	"manifest-invalid":       {"MANIFEST_INVALID", 0},
	"manifest-not-accepted":  {"MANIFEST_UNKNOWN", 0},
	"manifest-too-large":     {"MANIFEST_INVALID", 0},
	"name-unknown":           {"NAME_UNKNOWN", 0},
	"name-invalid":           {"NAME_INVALID", 0},
	"path-unknown":           {"NAME_UNKNOWN", 0},
	"repository-invalid":     {"NAME_INVALID", 0},
	"tag-invalid":            {"MANIFEST_INVALID", 0},
	"too-many-attempts":      {"TOOMANYREQUESTS", http.StatusTooManyRequests},
	"upload-busy":            {"BLOB_UPLOAD_INVALID", 0},
	"upload-cut-off":         {"BLOB_UPLOAD_INVALID", 0},
	"upload-range":           {"BLOB_UPLOAD_INVALID", http.StatusRequestedRangeNotSatisfiable},
	"upload-range-malformed": {"BLOB_UPLOAD_INVALID", 0},
	"upload-unknown":         {"BLOB_UPLOAD_UNKNOWN", 0},
	"version-unknown":        {"MANIFEST_UNKNOWN", 0},
	"version-withdrawn":      {"MANIFEST_UNKNOWN", 0},
}

var byKind = map[fault.Kind]string{
	fault.Unauthenticated: "UNAUTHORIZED",
	fault.Denied:          "DENIED",
	fault.Policy:          "DENIED",
	fault.Unsupported:     "UNSUPPORTED",
	fault.Unavailable:     "TOOMANYREQUESTS",
	fault.NotFound:        "NAME_UNKNOWN",
	fault.Invalid:         "UNSUPPORTED",
}

// statusAndCode is the one place where a fault becomes an answer of this protocol.
func statusAndCode(err error) (int, string) {
	f := fault.As(err)
	status, row := fault.HTTPStatus(f), byCode[f.Code]
	if row.status != 0 {
		status = row.status
	}
	if row.code != "" {
		return status, row.code
	}
	if code := byKind[f.Kind]; code != "" {
		return status, code
	}
	return status, "UNKNOWN"
}

// fail answers with err. A refusal for want of a login carries the challenge that tells clients
// where to get one.
func (g *Registry) fail(c *call, err error) {
	f := fault.As(err)
	status, code := statusAndCode(err)
	if f.Kind == fault.Internal {
		g.config.Log.ErrorContext(c.r.Context(), "oci request failed", slog.String("method", c.r.Method),
			slog.String("path", c.r.URL.Path), slog.Any("error", err))
	}
	if f.Kind == fault.Unauthenticated {
		c.w.Header().Set("WWW-Authenticate", g.challenge(c, f.Code))
	}
	body := errorBody{Errors: []errorItem{{Code: code, Message: f.Text, Detail: map[string]string{"code": f.Code}}}}
	if err := writeJSON(c, status, body); err != nil {
		g.config.Log.ErrorContext(c.r.Context(), "oci answer failed", slog.Any("error", err))
	}
}

// writeJSON answers with v. For HEAD the server drops the body by itself.
func writeJSON(c *call, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	h := c.w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // the client is gone: nobody is left to tell
	return nil
}
