package app

import (
	"io"
	"net/http"
	"time"
)

// bodyTimeout is how long the server waits for the next bytes of a request. A client that sends none
// holds a connection, an upload and perhaps a layer's reader.
const bodyTimeout = time.Minute

// impatient cuts off requests whose bodies stop coming. The time starts anew with every read, so that
// a large upload may take as long as it takes.
func impatient(next http.Handler, patience time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			body := &timedBody{ReadCloser: r.Body, conn: http.NewResponseController(w), patience: patience}
			body.extend()
			r.Body = body
		}
		next.ServeHTTP(w, r)
	})
}

type timedBody struct {
	io.ReadCloser
	conn     *http.ResponseController
	patience time.Duration
}

// extend fails where there is no connection, in tests; then nothing can hang on one either.
func (b *timedBody) extend() { _ = b.conn.SetReadDeadline(time.Now().Add(b.patience)) }

// Read implements io.Reader. At the end of the body there is no deadline any more: the server goes on
// listening whether the client is still there, for as long as the answer takes.
func (b *timedBody) Read(p []byte) (int, error) {
	b.extend()
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}
