package registry

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/hullmark/hullmark/internal/fault"
)

// Answer sends a short body. Nobody keeps it, unless a Cache-Control header says otherwise.
func Answer(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	w.Write(body) // a failure means that the caller has gone
}

// AnswerJSON is Answer with v as JSON.
func AnswerJSON(w http.ResponseWriter, status int, contentType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	Answer(w, status, contentType, body)
	return nil
}

// ReadJSON decodes a request body of up to limit bytes into v. Codes: body-too-large, body-malformed.
func ReadJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit)).Decode(v)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return fault.New(fault.TooLarge, "body-too-large", "the request is larger than the %d bytes that are taken here", limit)
	}
	if err != nil {
		return fault.New(fault.Invalid, "body-malformed", "the request's body is not the JSON that was expected here").Because(err)
	}
	return nil
}
