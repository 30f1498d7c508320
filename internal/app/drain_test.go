package app_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/app"
)

// A client that stops in the middle of a push must not make Ctrl-C an error.
func TestARequestThatNeverEndsIsCutOff(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		io.Copy(io.Discard, r.Body)
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	client, err := net.Dial("tcp", listener.Addr().String())
	must(t, err)
	defer client.Close()
	_, err = io.WriteString(client, "PATCH / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf of it")
	must(t, err)
	<-arrived
	if err := app.Drain(t.Context(), server, 10*time.Millisecond); err != nil {
		t.Errorf("it ended with: %v", err)
	}
	if err := <-ended; err != http.ErrServerClosed {
		t.Error(err)
	}
}
