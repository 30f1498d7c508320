package gem

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// guard makes the routes.
func (r *Registry) guard() registry.Guard {
	return registry.Guard{
		Core: r.core, Ecosystem: purl.Gem, Credential: credential, Fail: r.fail, Log: r.log,
		OTP: func(req *http.Request) string { return req.Header.Get("Otp") },
	}
}

// credential: gem sends its key as the whole Authorization header, without a scheme; downloads and sign-ins
// come with Basic. Source: RubyGems 3.3, gemcutter_utilities.rb.
func credential(req *http.Request) string {
	header := req.Header.Get("Authorization")
	if header == "" || strings.Contains(header, " ") {
		return header
	}
	return "Bearer " + header
}

func (r *Registry) admit(req *http.Request, actor evidence.Actor, perm evidence.Permission, name string) (evidence.Actor, error) {
	return r.guard().Admit(req, actor, perm, normal(name))
}

// fail answers in plain text, which gem prints. What it prints of a download that was refused is the reason
// phrase alone. Source: RubyGems 3.3, remote_fetcher.rb, "fetch_http".
func (r *Registry) fail(w http.ResponseWriter, req *http.Request, err error) {
	f := fault.As(err)
	status, text := fault.HTTPStatus(err), spoken(f)
	w.Header().Set("X-Hullmark-Code", f.Code)
	if f.Kind == fault.Unauthenticated && req.Method == http.MethodGet {
		w.Header().Set("Www-Authenticate", `Basic realm="gems"`)
	}
	if req.Method == http.MethodGet && (f.Kind == fault.Policy || f.Kind == fault.Integrity) {
		registry.WriteReason(w, req, status, text, plainText, text+"\n")
		return
	}
	io.CopyN(io.Discard, req.Body, maxDrain) // a client reads the answer when it has sent its whole request
	registry.Answer(w, status, plainText, []byte(text))
}

const (
	plainText = "text/plain; charset=utf-8"
	jsonType  = "application/json; charset=utf-8"
	yamlType  = "application/yaml; charset=utf-8"

	maxDrain = 32 << 20 // bytes of a refused request that are read all the same
	maxForm  = 64 << 10 // bytes of a form
)

// spoken is the sentence in the words that gem looks for: at one beginning it asks for a code, at the other
// it offers to add a scope to the key. Source: gemcutter_utilities.rb, "mfa_unauthorized?" and
// "api_key_forbidden?".
func spoken(f *fault.Error) string {
	text := strings.TrimSpace(f.Text)
	switch f.Code {
	case "otp-required", "webauthn-required":
		return "You have enabled multifactor authentication but no OTP code provided. Please fill it and retry. (" + text + ")"
	case "otp-invalid":
		return "You have enabled multifactor authentication but your OTP code is incorrect. Please check it and retry. (" + text + ")"
	case "token-scope":
		return "The API key doesn't have access to perform this action. (" + text + ")"
	}
	return text
}

func respondText(w http.ResponseWriter, status int, text string) error {
	registry.Answer(w, status, plainText, []byte(text))
	return nil
}

func respondJSON(w http.ResponseWriter, status int, v any) error {
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-cache")
	}
	return registry.AnswerJSON(w, status, jsonType, v)
}

// form reads what a client sends as a form or, where it likes that better, as JSON.
func form(w http.ResponseWriter, req *http.Request) (url.Values, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxForm))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, fault.New(fault.TooLarge, "body-too-large", "the request is larger than the %d bytes that are taken here", maxForm)
	}
	if err != nil {
		return nil, malformed("it broke off").Because(err)
	}
	if kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type")); kind == "application/json" {
		return jsonForm(body)
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, malformed("it is no form").Because(err)
	}
	for key, more := range req.URL.Query() {
		values[key] = append(values[key], more...)
	}
	return values, nil
}

// jsonForm takes the members of an object for fields; those of an object in it become "outer[inner]".
func jsonForm(body []byte) (url.Values, error) {
	var all map[string]any
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, malformed("it is no JSON object").Because(err)
	}
	values := url.Values{}
	var add func(key string, v any, deep bool)
	add = func(key string, v any, deep bool) {
		switch x := v.(type) {
		case string:
			values.Add(key, x)
		case bool:
			values.Add(key, strconv.FormatBool(x))
		case []any:
			for _, one := range x {
				if s, ok := one.(string); ok {
					values.Add(key+"[]", s)
				}
			}
		case map[string]any:
			for inner, one := range x {
				if deep {
					add(key+"["+inner+"]", one, false)
				}
			}
		}
	}
	for key, v := range all {
		add(key, v, true)
	}
	return values, nil
}

func malformed(format string, args ...any) *fault.Error {
	f := fault.New(fault.Invalid, "body-malformed", format, args...)
	f.Text = "the request cannot be read: " + f.Text
	return f
}

// named is the path's name, as the core has it.
func named(req *http.Request) string { return normal(req.PathValue("name")) }
