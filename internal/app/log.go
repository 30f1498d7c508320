package app

import (
	"io"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// entryBundles is where the log serves the statements themselves (C2SP tlog-tiles, "Log entries").
const entryBundles = "/tile/entries/"

// logHandler serves checkpoints and hashes to anyone, which is what auditing takes. The statements
// behind the hashes go to site administrators only, because those about private names are among
// them; anybody else reads the ones that they may see under /api/v1/records.
//
// It looks at the decoded path, as the log does: a mux pattern would not see "tile%2fentries".
func (s *Server) logHandler() http.Handler {
	log := s.app.Log.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, entryBundles) {
			if err := s.requireAdmin(r); err != nil {
				http.Error(w, fault.As(err).Text, fault.HTTPStatus(err))
				return
			}
		}
		log.ServeHTTP(w, r)
	})
}

func (s *Server) requireAdmin(r *http.Request) error {
	actor, err := s.app.Accounts.Authenticate(r)
	if err != nil {
		return err
	}
	return s.app.Accounts.RequireAdmin(r.Context(), actor)
}

// serveKey publishes the log's public key. Trust it as far as the connection it came over.
func (s *Server) serveKey(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, s.app.LogKey+"\n")
}
