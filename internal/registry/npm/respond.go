package npm

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// guard makes the routes.
func (r *Registry) guard() registry.Guard {
	return registry.Guard{
		Core: r.core, Ecosystem: purl.NPM, Fail: r.fail, Ask: r.ask, Log: r.log,
		OTP: func(req *http.Request) string { return req.Header.Get(otpHeader) },
	}
}

// releaseName is the name in a path that has "name@version" in one segment.
func releaseName(req *http.Request) string {
	name, _ := splitRelease(req.PathValue("release"))
	return name
}

// maxDrain is how much of a refused request is read all the same, in bytes.
const maxDrain = 32 << 20

// fail answers with {"error": …}, the form that npm prints. It sends no WWW-Authenticate header but
// for a second factor: npm would print the header in place of the sentence (npm-registry-fetch,
// check-response.js). Where it must, the sentence goes into the notice, which npm prints in any case.
func (r *Registry) fail(w http.ResponseWriter, req *http.Request, err error) {
	f := fault.As(err)
	// A client reads the answer when it has sent its whole request; were the connection closed
	// before, it would show an error of the network in place of the sentence.
	io.CopyN(io.Discard, req.Body, maxDrain)
	body := struct {
		Error   string `json:"error"`
		Code    string `json:"code"`
		AuthURL string `json:"authUrl,omitempty"`
		DoneURL string `json:"doneUrl,omitempty"`
	}{Error: f.Text, Code: f.Code}
	if asked, ok := errors.AsType[asked](err); ok {
		body.AuthURL, body.DoneURL = asked.authURL, asked.doneURL
	}
	if asksForCode(f.Code) {
		w.Header().Set("Www-Authenticate", "OTP")
		w.Header().Set("Npm-Notice", registry.OneLine(f.Text))
	}
	w.Header().Set("Cache-Control", "no-store")
	r.respond(w, fault.HTTPStatus(err), body)
}

// respond writes v as JSON.
func (r *Registry) respond(w http.ResponseWriter, status int, v any) {
	data, err := encode(v)
	if err != nil {
		r.log.Error("npm answer could not be encoded", "error", err)
		status, data = http.StatusInternalServerError, []byte(`{"error":"something failed on our side","code":"internal"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(data) // a failure means that the caller has gone
}
