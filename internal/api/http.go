package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	maxBody      = 64 << 10 // bytes of a request
	defaultLimit = 100      // items of a page
	maxLimit     = 500
)

// decode reads the request's JSON body into v. Codes: request-invalid, which names an unknown
// field, and request-too-large.
func decode(r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return fault.New(fault.Invalid, "request-invalid", "send the body as Content-Type: application/json")
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.Decode(new(json.RawMessage)) != io.EOF {
		err = errors.New("something follows the JSON value")
	}
	if err == nil {
		return nil
	}
	if cut, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return fault.New(fault.TooLarge, "request-too-large", "a request body takes at most %d bytes here", cut.Limit)
	}
	return fault.New(fault.Invalid, "request-invalid", "the body is not what this takes: %s", strings.TrimPrefix(err.Error(), "json: "))
}

// fail renders err as a problem document. Only a fault's own sentence leaves the server.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	f, status := fault.As(err), fault.HTTPStatus(err)
	if f.Kind == fault.Internal {
		a.Logger.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "error", err) // a path may hold a login code
	}
	if f.Kind == fault.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="hullmark"`)
	}
	p := resource.Problem{
		Type: "https://hullmark.dev/errors/" + f.Code, Title: strings.ReplaceAll(f.Code, "-", " "), Status: status,
		Detail: strings.TrimSpace(f.Text), Code: f.Code, Kind: f.Kind.String(), Docs: "docs/errors/" + f.Code + ".md",
	}
	if asked, ok := errors.AsType[asked](err); ok {
		p.AuthURL, p.DoneURL = asked.authURL, asked.doneURL
	}
	body, merr := json.Marshal(p)
	if merr != nil { // strings and numbers: it cannot
		status, body = http.StatusInternalServerError, nil
	}
	write(w, r, status, "application/problem+json", body)
}

// reply renders v as JSON.
func reply(w http.ResponseWriter, r *http.Request, status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	write(w, r, status, "application/json", body)
	return nil
}

// replyTagged renders a single resource with its ETag, or 304 when the caller has it.
func replyTagged(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	writeTagged(w, r, "application/json", body)
	return nil
}

func writeTagged(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	tag := etag(body)
	w.Header().Set("ETag", tag)
	if listed(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	write(w, r, http.StatusOK, contentType, body)
}

func write(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client went away: there is nobody to tell
	}
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return b.Bytes(), nil
}

func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// listed reports whether a header lists the tag. RFC 9110 section 13.1.2 compares weakly.
func listed(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

// mustMatch fails with code precondition-failed when the caller decided from another state of v.
func mustMatch(r *http.Request, v any) error {
	header := r.Header.Get("If-Match")
	if header == "" {
		return nil
	}
	body, err := encode(v)
	if err != nil || listed(header, etag(body)) {
		return err
	}
	return fault.New(fault.Conflict, "precondition-failed", "it changed since you read it; read it again and decide anew")
}

// cursorMark begins the text of a cursor, so that noise which happens to decode is not taken for one.
const cursorMark = "after:"

// page reads cursor and limit. A cursor is opaque to the caller: where the page before ended.
func page(r *http.Request) (after string, limit int, err error) {
	q := r.URL.Query()
	limit = defaultLimit
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLimit {
			return "", 0, fault.New(fault.Invalid, "request-invalid", "limit is a number from 1 to %d", maxLimit)
		}
	}
	if q.Get("cursor") == "" {
		return "", limit, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(q.Get("cursor"))
	after, ours := strings.CutPrefix(string(raw), cursorMark)
	if err != nil || !ours || after == "" || !utf8.ValidString(after) {
		return "", 0, errCursor()
	}
	return after, limit, nil
}

func errCursor() error {
	return fault.New(fault.Invalid, "request-invalid", "the cursor is not one that this server gave out; begin without one")
}

func cursor(after string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorMark + after))
}

// pageBySeq is page for lists that are ordered by sequence number; the first page is after -1.
func pageBySeq(r *http.Request) (after int64, limit int, err error) {
	text, limit, err := page(r)
	if err != nil || text == "" {
		return -1, limit, err
	}
	if after, err = strconv.ParseInt(text, 10, 64); err != nil {
		return 0, 0, errCursor()
	}
	return after, limit, nil
}

// part cuts one page out of a list that a stage returns whole. key orders it.
func part[T any](r *http.Request, all []T, key func(T) string) (resource.Page[T], error) {
	after, limit, err := page(r)
	if err != nil {
		return resource.Page[T]{}, err
	}
	start := 0
	if after != "" {
		last := slices.IndexFunc(all, func(one T) bool { return key(one) == after })
		if last < 0 {
			return resource.Page[T]{}, errCursor() // what the page before ended with is gone
		}
		start = last + 1
	}
	end := min(start+limit, len(all))
	p := resource.Page[T]{Items: append([]T{}, all[start:end]...)}
	if end < len(all) {
		p.Next = cursor(key(all[end-1]))
	}
	return p, nil
}

// number reads an integer from the query; def is for one that is not there, and none is allowed
// when def is negative.
func number(r *http.Request, name string, def int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" && def >= 0 {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.New(fault.Invalid, "request-invalid", "%s is a number from 0 on", name)
	}
	return n, nil
}
