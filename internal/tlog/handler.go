package tlog

import (
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// Handler serves the log as C2SP tlog-tiles has it: /checkpoint, /tile/<L>/<N>[.p/<W>] and
// /tile/entries/<N>[.p/<W>], by GET and HEAD. A path that is not exactly one of these, or names
// what is not there, is 404. The caller strips its own prefix, authenticates and compresses.
//
// Tiles are immutable, but not marked public: behind an authenticating server a shared cache
// must not keep them, and in front of an open one it may do so anyway.
func (l *Log) Handler() http.Handler {
	return http.HandlerFunc(l.serve)
}

func (l *Log) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the log is read by GET", http.StatusMethodNotAllowed)
		return
	}
	path, rooted := strings.CutPrefix(r.URL.Path, "/")
	_, _, _, isTile := parseTilePath(path)
	switch {
	case rooted && path == checkpointName:
		// From memory: never one whose storing has not been confirmed.
		respond(w, r, l.Checkpoint().Note, "text/plain; charset=utf-8", "no-cache")
	case rooted && isTile:
		l.serveTile(w, r, path)
	default:
		http.Error(w, "the log has no such file", http.StatusNotFound)
	}
}

func (l *Log) serveTile(w http.ResponseWriter, r *http.Request, path string) {
	data, err := l.config.Objects.ReadObject(r.Context(), path)
	if errors.Is(err, fs.ErrNotExist) {
		http.Error(w, "the log has no such tile; it covers "+strconv.FormatInt(l.Checkpoint().Size, 10)+" entries", http.StatusNotFound)
		return
	} else if err != nil {
		l.config.Logger.Error("reading a tile failed", "tile", path, "error", err)
		http.Error(w, fault.As(err).Text, fault.HTTPStatus(err))
		return
	}
	respond(w, r, data, "application/octet-stream", "max-age=31536000, immutable")
}

func respond(w http.ResponseWriter, r *http.Request, data []byte, contentType, cache string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", cache)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(data) // the client went away: there is nobody to tell
	}
}
